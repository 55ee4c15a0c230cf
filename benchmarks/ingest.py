"""How fast rows go in: passages with their vectors, with their postings, with their index, beside a peer's.

Run: ``python benchmarks/ingest.py [--rows 100000] [--no-peer]``.

*rows*: passages (250 characters) and 384-wide vectors by COPY into our tables and their indexes, without postings and
without an index of vectors, as langchain-postgres has none either; vectors are made beforehand. *whole passages*: the
same with postings (40 words a passage). Each also with the index of vectors made at the end, as a large ingest does it
(its time counted), and with that index kept up row by row, as a small one does it. The peer,
langchain-postgres on the same server: `add_embeddings` and its asynchronous twin into a table without an index of
vectors, with its HNSW index made afterwards (its time counted), and with that index in place.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import psycopg
from peers import cpu_of, run
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store import EmbeddedPostgres
from store.ingesting.bulk import finish
from store.ingesting.chunking import Chunk
from store.ingesting.preparing import Part
from store.ingesting.writing import adjust_corpus, put
from store.readers.extract import extract_of
from store.schema.migrations import migrate
from store.schema.vectors import Model, VectorTable, create, index, record

WIDTH = 384
PART = 2_000
SENTENCE = (
    "Parking costs 15,000 won a night for guests of the house. "
    "주차 요금은 1박에 15,000원이며 투숙객만 이용할 수 있습니다. "
)
TEXT = (SENTENCE * 3)[:250]
WORDS = [f"word{n}" for n in range(50_000)]


def parts(rows: int, *, words: int) -> Iterator[Part]:
    """Passages of ``TEXT`` with ``words`` terms and a vector each."""
    rng = np.random.default_rng(7)
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        vectors = rng.standard_normal((count, WIDTH)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        chosen = rng.zipf(1.3, size=(count, max(words, 1))) % len(WORDS)
        chunks = [
            Chunk(n * 250, n * 250 + 250, "House", None, "ko", ((0, 58), (59, 250)))
            for n in range(start, start + count)
        ]
        terms = [Counter(WORDS[one] for one in row[:words]) for row in chosen]
        yield Part(chunks, terms, list(vectors), [[]] * count)


def fresh(dsn: str, name: str) -> str:
    """The DSN of a new database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return make_conninfo(dsn, dbname=name)


Index = Literal["no", "at the end", "in place"]


def rows_a_second(dsn: str, rows: int, *, words: int, index_of_vectors: Index) -> tuple[float, float, float]:
    """Rows a second of one document's transaction, and CPU seconds of client and server for 100,000 rows.

    The server's are those of the backend: two workers that help it to make an index are not counted.
    """
    made = list(parts(rows, words=words))
    text = TEXT * rows
    extract = extract_of("a.txt", b"x", "txt", text)
    with psycopg.connect(dsn) as connection:
        migrate(connection)
        table = VectorTable(1)
        create(connection, table, WIDTH)
        record(connection, Model("bench", "", WIDTH), table)
        if index_of_vectors == "in place":
            index(connection, table)
        connection.commit()
        server = connection.info.backend_pid
        began, client_s, server_s = time.perf_counter(), time.process_time(), cpu_of(server)
        written = put(connection, extract, made, table, source="", told="trusted", metadata={})
        adjust_corpus(connection, written.passages, written.terms)
        connection.commit()
        if index_of_vectors == "at the end":
            assert finish(connection, table)
            connection.commit()
        scale = 100_000 / rows
        wall_s = time.perf_counter() - began
        return rows / wall_s, (time.process_time() - client_s) * scale, (cpu_of(server) - server_s) * scale


def peer(dsn: str, rows: int) -> dict[str, float]:
    """Rows a second of langchain-postgres on the same server."""
    given = conninfo_to_dict(dsn)
    secret = Path(str(given["passfile"])).read_text().strip().rsplit(":", 1)[1]
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as place:
        file = Path(place) / "data.npz"
        rng = np.random.default_rng(7)
        np.savez(file, base=rng.standard_normal((rows, WIDTH)).astype(np.float32))
        url = f"postgresql://{given['user']}:{secret}@/{given['dbname']}?host={given['host']}&port={given['port']}"
        return dict(run("langchain_ingest", url=url, data=str(file)))


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description="Measure how fast documents go in.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--peer-rows", type=int, default=2_000)
    parser.add_argument(
        "--peer",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="langchain-postgres too, in an environment of its own",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as home:
        with EmbeddedPostgres(Path(home) / "postgres", linger_s=0.0) as dsn:
            few = max(given.rows // 50, 1)
            plans: list[tuple[str, int, int, Index]] = [
                ("rows", given.rows, 0, "no"),
                ("rows", given.rows, 0, "at the end"),
                ("rows", few, 0, "in place"),
                ("whole passages", given.rows, 40, "no"),
                ("whole passages", given.rows, 40, "at the end"),
                ("whole passages", few, 40, "in place"),
            ]
            rates = []
            for number, (label, count, words, index_of_vectors) in enumerate(plans):
                database = fresh(dsn, f"ours_{number}")
                rate, client, server = rows_a_second(database, count, words=words, index_of_vectors=index_of_vectors)
                rates.append(rate)
                cpu = f"CPU for 100,000: client {client:.1f} s, server {server:.1f} s"
                print(
                    f"{label}, index of vectors {index_of_vectors}, {count:,}: {rate:,.0f} rows/s ({cpu})", flush=True
                )
            if given.peer:
                found = peer(fresh(dsn, "peer"), given.peer_rows)
                for name, rate in found.items():
                    print(f"langchain-postgres {name}, {given.peer_rows:,} rows: {rate:,.0f} rows/s")
                plain = max(found["add_embeddings"], found["aadd_embeddings"])
                print(
                    f"ours beside the better of its own: rows {rates[0] / plain:,.0f} times; "
                    f"index at the end {rates[1] / found['add_embeddings, then its index']:,.0f} times; "
                    f"index in place {rates[2] / found['add_embeddings, index in place']:,.1f} times"
                )
        time.sleep(2.0)  # let the watcher stop the server before its folder goes


if __name__ == "__main__":
    main()
