"""The peers that the benchmarks run beside us, in an environment of their own: langchain-postgres pins pgvector < 0.4.

As a module: :func:`run` starts one of the tasks below in that environment, made at the first call in ``build/peers``
(``DOJANG_BENCH_PEERS`` names another place). As a program: ``python benchmarks/peers.py`` says which versions it has.
Only the standard library is imported at the top: the tasks run where Dojang is not installed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

REQUIREMENTS = (
    "langchain-postgres==0.0.19",
    "psycopg[binary]>=3.2",
    "numpy",
    "qdrant-client==1.20.0",
    "bm25s==0.3.16",
    "rank-bm25==0.2.2",
)
K = 10


def python() -> str:
    """The interpreter of the peers' environment; made when it is missing."""
    place = Path(os.environ.get("DOJANG_BENCH_PEERS", Path(__file__).parents[1] / "build" / "peers"))
    program = place / "bin" / "python"
    ready = place / "ready"
    if not ready.exists():
        print(f"making the peers' environment in {place} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run(
            [str(program), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS], check=True
        )
        ready.write_text("\n".join(REQUIREMENTS))
    return str(program)


def run(task: str, **given: Any) -> Any:
    """What the task returns, through JSON. Its environment has none of ours."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [python(), str(Path(__file__).resolve()), task],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the peer task {task} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def quantiles(times_ms: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds."""
    ordered = sorted(times_ms)
    return {"p50": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def cpu_s(backends: Sequence[int] = ()) -> float:
    """CPU seconds so far of this process and of these: what load on the machine does not change much."""
    return time.process_time() + sum(cpu_of(pid) for pid in backends)


def memory_mib(pid: int | None = None) -> float:
    """What a process has in memory now; this one where none is named."""
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def timed(
    call: Callable[[Any], list[int]], queries: Any, truth: Any, backends: Callable[[], Sequence[int]] = tuple
) -> dict[str, float]:
    """Recall at 10, times and CPU time of ``call`` in ms, after five to warm up; ``backends``: server processes."""
    for query in queries[:5]:
        call(query)
    times, hits = [], 0
    pids = list(backends())
    before = cpu_s(pids)
    for query, right in zip(queries, truth, strict=True):
        began = time.perf_counter()
        found = call(query)
        times.append((time.perf_counter() - began) * 1000)
        hits += len(set(found) & set(right))
    spent_ms = (cpu_s(pids) - before) * 1000 / len(times)
    return {"recall": hits / sum(map(len, truth)), **quantiles(times), "cpu": spent_ms}


# -- tasks: run in the peers' environment --------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """What is installed."""
    from importlib.metadata import version

    names = [requirement.split("=")[0].split("[")[0].split(">")[0] for requirement in REQUIREMENTS]
    return {name: version(name) for name in [*names, "pgvector"]}


def langchain_vectors(url: str, data: str, rows_by_api: int, efs: list[int]) -> dict[str, Any]:
    """PGVectorStore: the first rows by ``add_embeddings`` (its rate), the rest by COPY; HNSW; searches."""
    import numpy as np
    import psycopg
    from langchain_postgres import Column, PGEngine, PGVectorStore
    from langchain_postgres.v2.indexes import DistanceStrategy, HNSWIndex, HNSWQueryOptions

    arrays = np.load(data)
    base, queries, truth = arrays["base"], arrays["queries"], arrays["truth"].tolist()
    address = url.replace("postgresql://", "postgresql+psycopg://")
    engine = PGEngine.from_connection_string(url=address)
    engine.init_vectorstore_table("peer", base.shape[1], metadata_columns=[Column("g", "INTEGER")])

    class Nothing:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    def opened(ef: int = 40, options: str = "") -> Any:
        """``options``: settings of pgvector that the library has no argument for, as its user would set them."""
        return PGVectorStore.create_sync(
            PGEngine.from_connection_string(url=address + options) if options else engine,
            Nothing(),
            "peer",
            metadata_columns=["g"],
            k=K,
            distance_strategy=DistanceStrategy.COSINE_DISTANCE,
            index_query_options=HNSWQueryOptions(ef_search=ef),
        )

    store = opened()
    ids = [f"00000000-0000-0000-0000-{n:012d}" for n in range(len(base))]
    part = range(min(rows_by_api, len(base)))
    texts = [f"passage {n} of the collection" for n in part]
    began = time.perf_counter()
    store.add_embeddings(
        texts, [base[n].tolist() for n in part], [{"g": n % 100} for n in part], [ids[n] for n in part]
    )
    rate = len(part) / (time.perf_counter() - began)
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor().copy("COPY peer (langchain_id, content, embedding, g) FROM STDIN") as copy:
            for n in range(len(part), len(base)):
                vector = "[" + ",".join(f"{x:.6f}" for x in base[n]) + "]"
                copy.write_row((ids[n], f"passage {n} of the collection", vector, n % 100))
        began = time.perf_counter()
        store.apply_vector_index(HNSWIndex(name="peer_hnsw", distance_strategy=DistanceStrategy.COSINE_DISTANCE))
        build_s = time.perf_counter() - began
        connection.execute("CREATE INDEX ON peer (g)")
        connection.execute("VACUUM ANALYZE peer")
        size = connection.execute("SELECT pg_relation_size('peer_hnsw'), pg_table_size('peer')").fetchone()

    def searching(given: Any, filter: dict[str, int] | None = None) -> Callable[[Any], list[int]]:
        def call(query: Any) -> list[int]:
            found = given.similarity_search_with_score_by_vector(query.tolist(), k=K, filter=filter)
            return [int(document.page_content.split()[1]) for document, _ in found]

        return call

    def backends() -> list[int]:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        return [row[0] for row in rows]

    curve = []
    for ef in efs:
        curve.append({"ef": ef, **timed(searching(opened(ef)), queries, truth, backends)})
    filtered = []
    kept = []  # a store that went would take its server process along, whose CPU time is counted
    for scan in ("off", "strict_order", "relaxed_order"):
        for ef, tuples in ((40, 20_000), (200, 20_000), (200, 200_000)):
            options = f"&options=-c%20hnsw.iterative_scan%3D{scan}%20-c%20hnsw.max_scan_tuples%3D{tuples}"
            kept.append(opened(ef, options))
            found = timed(searching(kept[-1], {"g": 7}), queries[:100], arrays["truth_few"].tolist()[:100], backends)
            filtered.append({"scan": scan, "ef": ef, "tuples": tuples, **found})
    return {
        "rows_s": rate,
        "build_s": build_s,
        "index_bytes": size[0],
        "table_bytes": size[1],
        "curve": curve,
        "few": filtered[0],
        "filtered": filtered,
    }


def langchain_ingest(url: str, data: str) -> dict[str, float]:
    """PGVectorStore: rows a second without an index of vectors, with one made afterwards, and with one in place."""
    import numpy as np
    from langchain_postgres import PGEngine, PGVectorStore
    from langchain_postgres.v2.indexes import DistanceStrategy, HNSWIndex

    base = np.load(data)["base"]
    engine = PGEngine.from_connection_string(url=url.replace("postgresql://", "postgresql+psycopg://"))

    class Nothing:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    rates = {}
    texts = [f"passage {n} of the collection, as long as a passage is: {'word ' * 40}" for n in range(len(base))]
    rows = [vector.tolist() for vector in base]

    def store(table: str) -> Any:
        engine.init_vectorstore_table(table, base.shape[1])
        return PGVectorStore.create_sync(engine, Nothing(), table)

    def indexed(given: Any, name: str) -> None:
        given.apply_vector_index(HNSWIndex(name=name, distance_strategy=DistanceStrategy.COSINE_DISTANCE))

    first = store("first")
    began = time.perf_counter()
    first.add_embeddings(texts, rows)
    rates["add_embeddings"] = len(base) / (time.perf_counter() - began)
    indexed(first, "first_hnsw")
    rates["add_embeddings, then its index"] = len(base) / (time.perf_counter() - began)
    second = store("second")
    began = time.perf_counter()
    engine._run_as_sync(second.aadd_embeddings(texts, rows))
    rates["aadd_embeddings"] = len(base) / (time.perf_counter() - began)
    third = store("third")
    indexed(third, "third_hnsw")
    began = time.perf_counter()
    third.add_embeddings(texts, rows)
    rates["add_embeddings, index in place"] = len(base) / (time.perf_counter() - began)
    return rates


def qdrant_vectors(data: str, path: str, count: int) -> dict[str, Any]:
    """Qdrant's local mode compares with every vector in NumPy: its recall is 1. Rows a second of 1,000 rows on disk."""
    import warnings

    import numpy as np
    from qdrant_client import QdrantClient, models

    warnings.simplefilter("ignore")
    arrays = np.load(data)
    base, queries = arrays["base"], arrays["queries"][:count]

    def fill(client: Any, rows: int) -> float:
        client.create_collection("peer", models.VectorParams(size=base.shape[1], distance=models.Distance.COSINE))
        began = time.perf_counter()
        for start in range(0, rows, 1000):
            points = [
                models.PointStruct(id=n, vector=base[n].tolist(), payload={"g": n % 100})
                for n in range(start, min(start + 1000, rows))
            ]
            client.upsert("peer", points)
        return rows / (time.perf_counter() - began)

    rate = fill(QdrantClient(path=path), min(1000, len(base)))
    client = QdrantClient(":memory:")
    fill(client, len(base))

    def call(query: Any, few: Any = None) -> list[int]:
        return [
            int(point.id) for point in client.query_points("peer", query.tolist(), limit=K, query_filter=few).points
        ]

    only = models.Filter(must=[models.FieldCondition(key="g", match=models.MatchValue(value=7))])
    every = timed(call, queries, arrays["truth"].tolist()[:count])
    few = timed(lambda query: call(query, only), queries, arrays["truth_few"].tolist()[:count])
    return {"rows_s": rate, "every": every, "few": few}


def bm25(texts: list[str], questions: list[str]) -> dict[str, list[list[int]]]:
    """The best thirty texts for each question by bm25s and by rank_bm25, with the words that each takes by default."""
    import bm25s
    import numpy as np
    from rank_bm25 import BM25Okapi

    depth = min(30, len(texts))
    tokens = bm25s.tokenize(texts, stopwords="en", show_progress=False)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    asked = bm25s.tokenize(questions, stopwords="en", show_progress=False)
    found, _ = index.retrieve(asked, k=depth, show_progress=False)
    okapi = BM25Okapi([text.lower().split() for text in texts])
    ranked = [np.argsort(-okapi.get_scores(question.lower().split()), kind="stable")[:depth] for question in questions]
    return {"bm25s": found.tolist(), "rank_bm25": [row.tolist() for row in ranked]}


def langchain_texts(url: str, texts: list[str], data: str) -> list[list[int]]:
    """The best thirty texts for each question by PGVectorStore, over the same vectors as ours."""
    import numpy as np
    from langchain_postgres import PGEngine, PGVectorStore

    arrays = np.load(data)
    engine = PGEngine.from_connection_string(url=url.replace("postgresql://", "postgresql+psycopg://"))
    engine.init_vectorstore_table("peer", arrays["base"].shape[1])

    class Nothing:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise NotImplementedError

        def embed_query(self, text: str) -> list[float]:
            raise NotImplementedError

    store = PGVectorStore.create_sync(engine, Nothing(), "peer")
    store.add_embeddings([str(n) for n in range(len(texts))], arrays["base"].tolist())
    return [
        [int(document.page_content) for document in store.similarity_search_by_vector(vector.tolist(), k=30)]
        for vector in arrays["queries"]
    ]


TASKS: dict[str, Callable[..., Any]] = {
    task.__name__: task
    for task in (versions, langchain_vectors, langchain_ingest, qdrant_vectors, bm25, langchain_texts)
}


def main() -> None:
    """Without an argument: the versions. With the name of a task: that task, its arguments as JSON on stdin."""
    if len(sys.argv) > 1:
        print(json.dumps(TASKS[sys.argv[1]](**json.load(sys.stdin))))
    else:
        print("  ".join(f"{name} {number}" for name, number in run("versions").items()))


if __name__ == "__main__":
    main()
