"""Vector search over 100,000 x 384 beside its peers: rows a second, build time, bytes, recall@10, p50 and p99, filters.

Run: ``python benchmarks/vectors.py [--rows 1000000] [--queries 300] [--peers numpy langchain qdrant]``.

The vectors are made, and not drawn evenly from a sphere: no text looks like that. There are 1,000 topics of Zipf-like
sizes; a topic's middle, and what its members differ by, vary along the axes as MiniLM's vectors of XQuAD do (the i-th
variance as 1 / (i + 12) ** 1.4), scaled so that the nearest neighbour lies near .75 and random pairs near .07. Queries
are drawn apart, from the same topics. The truth is brute force in float32.

All systems search the same vectors; ours and langchain-postgres on one server with its default settings. Times are of
one client, one query after the other, from the call to the list of passages (documents, points), in milliseconds. "CPU"
is what the client and its server process spent for a query: compare that where the machine has other work.

rows/s: ours is a bare COPY of vectors, langchain-postgres' its own call with texts and metadata, both without an index
of vectors, which is made afterwards ("build s"); ``ingest.py`` compares whole rows and the other ways.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from peers import K, run, timed
from pgvector import HalfVector
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store import EmbeddedPostgres
from store.schema.migrations import migrate
from store.schema.vectors import Model, VectorTable, copy_vectors, create, index, record
from store.searching.search import Question, Ranking, configure, search

Floats = npt.NDArray[np.float32]
WIDTH = 384
TOPICS = 1_000
EFS = [20, 30, 40, 60, 80, 100, 140, 200]
WANTED = (0.95, 0.99)


def make(rows: int, queries: int, seed: int = 7) -> tuple[Floats, Floats]:
    """``(rows, WIDTH)`` to be indexed and ``(queries, WIDTH)`` to search with, of length 1."""
    rng = np.random.default_rng(seed)
    spread = (np.arange(WIDTH) + 12.0) ** -0.7
    spread /= np.linalg.norm(spread)
    middles = rng.normal(size=(TOPICS, WIDTH)) * spread
    share = 1 / np.arange(1, TOPICS + 1) ** 0.7
    common = 0.35 * spread / np.linalg.norm(spread)

    def draw(count: int) -> Floats:
        topic = rng.choice(TOPICS, size=count, p=share / share.sum())
        raw = common + middles[topic] + 0.75 * rng.normal(size=(count, WIDTH)) * spread
        return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), dtype=np.float32)

    return np.concatenate([draw(min(50_000, rows - at)) for at in range(0, rows, 50_000)]), draw(queries)


def brute(base: Floats, queries: Floats, numbers: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """The ``K`` nearest of each query by inner product, among ``numbers``."""
    kept = base if numbers is None else base[numbers]
    found = np.empty((len(queries), K), dtype=np.int64)
    for at, query in enumerate(queries):
        scores = kept @ query
        best = np.argpartition(-scores, K)[:K]
        found[at] = best[np.argsort(-scores[best], kind="stable")]
    return found if numbers is None else numbers[found]


def numpy_figures(base: Floats, queries: Floats, truth: Any) -> dict[str, float]:
    """Brute force, as a peer."""

    def call(query: Floats) -> list[int]:
        scores = base @ query
        best = np.argpartition(-scores, K)[:K]
        return [int(n) for n in best]

    return timed(call, queries[:100], truth[:100])


def ours(dsn: str, base: Floats, queries: Floats, truth: Any, truth_few: Any) -> dict[str, Any]:
    """Our table, our COPY, our index, our statement."""
    with psycopg.connect(dsn) as connection:
        migrate(connection)
        configure(connection)
        table = VectorTable(1)
        create(connection, table, WIDTH)
        record(connection, Model("bench", "", WIDTH), table)
        _passages(connection, len(base))
        connection.commit()
        numbers = list(range(1, len(base) + 1))
        began = time.perf_counter()
        copy_vectors(connection, table, numbers, base)
        connection.commit()
        copied_s = time.perf_counter() - began
        began = time.perf_counter()
        index(connection, table)
        connection.commit()
        build_s = time.perf_counter() - began
    with psycopg.connect(dsn, autocommit=True) as connection:
        configure(connection)
        connection.execute("VACUUM ANALYZE")
        size = connection.execute("SELECT pg_relation_size('vectors_1_hnsw'), pg_table_size('vectors_1')").fetchone()
        assert size is not None
        ranking = Ranking(lexical_weight=0.0)

        def searching(filters: dict[str, str] | None = None) -> Callable[[Floats], list[int]]:
            def call(query: Floats) -> list[int]:
                asked = Question([], [], HalfVector(query))
                found = search(connection, asked, k=K, filters=filters, table=table, ranking=ranking)
                return [int(passage["id"]) - 1 for passage in found]

            return call

        def backends() -> list[int]:
            return [connection.info.backend_pid]

        curve = []
        for ef in EFS:
            connection.execute(sql.SQL("SET hnsw.ef_search = {}").format(sql.Literal(ef)))
            curve.append({"ef": ef, **timed(searching(), queries, truth, backends)})
        few = timed(searching({"g": "7"}), queries[:100], truth_few[:100], backends)
    rate = len(base) / copied_s
    return {
        "rows_s": rate,
        "build_s": build_s,
        "index_bytes": size[0],
        "table_bytes": size[1],
        "curve": curve,
        "few": few,
    }


def _passages(connection: psycopg.Connection[Any], rows: int) -> None:
    """What the vectors belong to: a document and a passage each, of which one in a hundred has ``g`` 7."""
    connection.execute(
        "INSERT INTO documents (name, title, format, source, digest, size, text, trust, metadata, passages) "
        "SELECT n || '.txt', '', 'txt', '', '', 0, '', 'trusted', jsonb_build_object('g', ((n - 1) %% 100)::text), 1 "
        "FROM generate_series(1, %s) n",
        (rows,),
    )
    connection.execute(
        "INSERT INTO passages (id, document, start_at, end_at, language, title, text, sentences, length) "
        "SELECT id::text, id, 0, 0, 'en', '', 'passage ' || id || ' of the collection', '{}', 5 FROM documents"
    )
    connection.execute("UPDATE corpus SET passages = %s, terms = 5 * %s", (rows, rows))


def first_over(curve: list[dict[str, float]], recall: float) -> dict[str, float] | None:
    """The cheapest point of the curve with that recall."""
    return next((point for point in curve if point["recall"] >= recall), None)


def line(name: str, figures: dict[str, Any]) -> None:
    """One system's row of the table."""
    cells = [f"{figures['rows_s']:,.0f}" if "rows_s" in figures else "–"]
    cells.append(f"{figures['build_s']:.1f}" if "build_s" in figures else "–")
    cells += [f"{figures[key] / 2**20:.0f}" if key in figures else "–" for key in ("index_bytes", "table_bytes")]
    for wanted in WANTED:
        point = first_over(figures["curve"], wanted) if "curve" in figures else figures["every"]
        cells.append(
            "not reached"
            if point is None
            else f"{point['p50']:.2f} / {point['p99']:.2f}, CPU {point['cpu']:.2f} (recall {point['recall']:.3f}"
            + (f", ef {point['ef']})" if "ef" in point else ")")
        )
    few = figures.get("few")
    cells.append(f"{few['recall']:.3f}, {few['p50']:.2f} / {few['p99']:.2f}, CPU {few['cpu']:.2f}" if few else "–")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def show_filtered(rows: list[dict[str, Any]]) -> None:
    """The peer's filter at each setting."""
    print("\nThe 1 % filter by langchain-postgres, with settings of pgvector that its user may make:\n")
    print("| iterative_scan | ef_search | max_scan_tuples | recall | p50 | p99 | CPU |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row["scan"], str(row["ef"]), f"{row['tuples']:,}", f"{row['recall']:.3f}"]
        print("| " + " | ".join([*cells, *(f"{row[key]:.2f}" for key in ("p50", "p99", "cpu"))]) + " |")


def uri(dsn: str, database: str) -> str:
    """The DSN as a URI without a password, as SQLAlchemy reads it."""
    from urllib.parse import quote

    parts = conninfo_to_dict(dsn)
    options = "&".join(
        f"{key}={quote(str(parts[key]), safe='')}" for key in ("host", "port", "passfile") if parts.get(key)
    )
    return f"postgresql://{parts['user']}@/{database}?{options}"


def main() -> None:
    """Read the options, make the vectors, measure each system in turn."""
    parser = argparse.ArgumentParser(description="Measure vector search beside its peers.")
    parser.add_argument("--rows", type=int, default=int(os.environ.get("DOJANG_BENCH_ROWS", "100000")))
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument(
        "--peer-rows", type=int, default=2_000, help="rows that langchain-postgres adds by its own call"
    )
    parser.add_argument("--peers", nargs="*", default=["numpy", "langchain", "qdrant"])
    given = parser.parse_args()
    base, queries = make(given.rows, given.queries)
    few = np.arange(7, given.rows, 100)
    truth, truth_few = brute(base, queries), brute(base, queries, few)
    print(f"{given.rows:,} x {WIDTH}, {given.queries} queries; times in ms, bytes in MiB\n")
    print(
        "| system | rows/s | build s | index | table "
        "| p50 / p99 at recall ≥ .95 | at recall ≥ .99 | 1 % filter: recall, p50 / p99 |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as home:
        data = str(Path(home) / "vectors.npz")
        np.savez(data, base=base, queries=queries, truth=truth, truth_few=truth_few)
        with EmbeddedPostgres(Path(home) / "postgres", linger_s=0.0) as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE DATABASE ours")
                connection.execute("CREATE DATABASE peer")
            line("Dojang (halfvec HNSW)", ours(make_conninfo(dsn, dbname="ours"), base, queries, truth, truth_few))
            if "langchain" in given.peers:
                url = uri(dsn, "peer")
                figures = run("langchain_vectors", url=url, data=data, rows_by_api=given.peer_rows, efs=EFS)
                line("langchain-postgres PGVectorStore", figures)
                filtered = figures["filtered"]
        if "numpy" in given.peers:
            line("NumPy, brute force", {"every": numpy_figures(base, queries, truth), "table_bytes": base.nbytes})
        if "qdrant" in given.peers:
            line("Qdrant, local mode", run("qdrant_vectors", data=data, path=str(Path(home) / "qdrant"), count=40))
        if "langchain" in given.peers:
            show_filtered(filtered)
        time.sleep(2.0)  # let the watcher stop the server before its folder goes


if __name__ == "__main__":
    main()
