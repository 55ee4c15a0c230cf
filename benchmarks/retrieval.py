"""How often the passage that answers is found, on XQuAD and KorQuAD, beside BM25 and langchain-postgres.

Run: ``python benchmarks/retrieval.py [--data ../shared/data/qa] [--sets xquad_en korquad1] [--tune]``. Every paragraph
is a document of its own and goes through the same reading, cutting and indexing as any file; a question counts by the
best-placed passage of its paragraph. Questions of the even paragraphs tune, those of the odd ones are scored, so that
no paragraph does both; what is printed without ``--tune`` is the odd half. One paragraph answers a question: nDCG@10 is
1 / log2(1 + rank). KorQuAD is only evaluated, never shipped. The peers: bm25s and rank_bm25 with the words they take by
default (white space, for rank_bm25), and langchain-postgres over the same vectors.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from peers import quantiles, run
from psycopg.conninfo import make_conninfo
from vectors import uri

from store import DocumentStore, EmbeddedPostgres, MiniLM, Ranking

SETS = {"xquad_en": "English", "korquad1": "Korean"}
DEPTH = 30  # passages asked for; more than ten because a paragraph may be cut in several

Row = dict[str, Any]
Find = Callable[[str], Sequence[str]]
"""The paragraphs found for a question, best first, each once."""


def load(path: Path) -> list[Row]:
    """Rows of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def halves(paragraphs: list[Row], questions: list[Row]) -> tuple[list[Row], list[Row]]:
    """Questions of even paragraphs, and of odd ones."""
    number = {row["id"]: n for n, row in enumerate(paragraphs)}
    return tuple([row for row in questions if number[row["gold"]] % 2 == half] for half in (0, 1))  # type: ignore[return-value]


def measures(ranks: Sequence[int | None]) -> dict[str, float]:
    """Of the place of the right paragraph for each question, from 1."""
    count = len(ranks)
    found = [rank for rank in ranks if rank is not None]
    return {
        **{f"R@{k}": sum(rank <= k for rank in found) / count for k in (1, 5, 10)},
        "MRR": sum(1 / rank for rank in found) / count,
        "nDCG@10": sum(1 / math.log2(1 + rank) for rank in found if rank <= 10) / count,
    }


def score(find: Find, questions: list[Row]) -> dict[str, float]:
    """The measures, and the times of a search in milliseconds (embedding of the question included)."""
    ranks, times = [], []
    for row in questions:
        began = time.perf_counter()
        names = list(dict.fromkeys(find(row["question"])))
        times.append((time.perf_counter() - began) * 1000)
        ranks.append(names.index(row["gold"]) + 1 if row["gold"] in names else None)
    return measures(ranks) | quantiles(times)


def ours(store: DocumentStore, **changed: Any) -> Find:
    """Our search under the default ranking but for what is ``changed``."""

    def find(question: str) -> list[str]:
        store.ranking = Ranking(**changed)
        return [passage["document"].removesuffix(".txt") for passage in store.search(question, k=DEPTH)]

    return find


def tune(store: DocumentStore, korean: bool, tuning: list[Row]) -> None:
    """A grid on the tuning half: BM25's two numbers by words alone, then the weight that this language uses."""
    for k1 in (0.6, 0.9, 1.2, 1.6):
        for b in (0.2, 0.4, 0.6, 0.75):
            changed = {"k1": k1, "b": b}
            show(f"tuning half, words alone, {changed}", score(ours(store, lexical_weight=1.0, **changed), tuning))
    if korean:
        for weight in (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6):
            show(f"tuning half, pair_weight {weight}", score(ours(store, pair_weight=weight), tuning))
        return
    for weight, figures in fused(store, tuning):
        show(f"tuning half, lexical_weight {weight:.2f}", figures)


def fused(store: DocumentStore, questions: list[Row]) -> Iterator[tuple[float, dict[str, float]]]:
    """The measures for each weight of the words, of one search a question: each candidate has both of its scores."""
    store.ranking = Ranking()
    found = [store.search(row["question"], k=3 * store.ranking.pool) for row in questions]
    for step in range(21):
        weight = step / 20
        ranks: list[int | None] = []
        for row, passages in zip(questions, found, strict=True):
            scored = [(p["scores"], p["document"].removesuffix(".txt")) for p in passages]
            scored.sort(key=lambda one: -weight * one[0]["lexical"] - (1 - weight) * one[0].get("vector", 0.0))
            names = list(dict.fromkeys(name for _, name in scored))
            ranks.append(names.index(row["gold"]) + 1 if row["gold"] in names else None)
        yield weight, measures(ranks)


def show(label: str, figures: dict[str, float]) -> None:
    """One line of the table."""
    cells = [f"{value:.3f}" if name not in ("p50", "p99") else f"{value:.1f}" for name, value in figures.items()]
    print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def run_set(dsn: str, folder: Path, language: str, tuned: bool, peers: bool) -> None:
    """Measure one set on a fresh database."""
    paragraphs, questions = load(folder / "paragraphs.jsonl"), load(folder / "questions.jsonl")
    tuning, scored = halves(paragraphs, questions)
    name = f"bench_{folder.name}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        for database in (name, f"{name}_peer"):
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
    embedder = MiniLM()
    with DocumentStore(make_conninfo(dsn, dbname=name), embedder) as store:
        passages = sum(store.ingest_bytes(f"{row['id']}.txt", row["text"].encode()).passages for row in paragraphs)
        print(f"\n{language}: {len(paragraphs)} paragraphs, {passages} passages, {len(scored)} questions scored\n")
        print("| | R@1 | R@5 | R@10 | MRR | nDCG@10 | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|---|")
        if tuned:
            tune(store, language == "Korean", tuning)
            if language == "English":
                for weight, figures in fused(store, scored):
                    show(f"scored half, lexical_weight {weight:.2f}", figures)
        show("Dojang, lexical", score(ours(store, lexical_weight=1.0), scored))
        if language == "English":
            show("Dojang, vector", score(ours(store, lexical_weight=0.0), scored))
        show("Dojang, hybrid" if language == "English" else "Dojang, default (lexical)", score(ours(store), scored))
    if peers:
        beside(dsn, f"{name}_peer", paragraphs, scored, embedder)


def beside(dsn: str, database: str, paragraphs: list[Row], scored: list[Row], embedder: MiniLM) -> None:
    """The peers' lines; they find paragraphs, as we do."""
    texts, asked = [row["text"] for row in paragraphs], [row["question"] for row in scored]
    found = run("bm25", texts=texts, questions=asked)
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "vectors.npz")
        np.savez(data, base=embedder.embed(texts), queries=embedder.embed(asked))
        found["langchain-postgres, MiniLM"] = run("langchain_texts", url=uri(dsn, database), texts=texts, data=data)
    ids = [row["id"] for row in paragraphs]
    for name, rows in found.items():
        places = [[ids[n] for n in row] for row in rows]
        ranks = [p.index(row["gold"]) + 1 if row["gold"] in p else None for p, row in zip(places, scored, strict=True)]
        show(name, measures(ranks))


def main() -> None:
    """Read the options and measure both sets."""
    default = Path(os.environ.get("DOJANG_TEST_DATA", "../shared/data")) / "qa"
    parser = argparse.ArgumentParser(description="Measure retrieval on XQuAD and KorQuAD.")
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--sets", nargs="*", choices=list(SETS), default=list(SETS))
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    given = parser.parse_args()
    print(f"default ranking: {dataclasses.asdict(Ranking())}")
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as home:
        with EmbeddedPostgres(Path(home) / "postgres", linger_s=0.0) as dsn:
            for name in given.sets:
                run_set(dsn, given.data / name, SETS[name], given.tune, not given.no_peers)
        time.sleep(2.0)  # let the watcher stop the server before its folder goes


if __name__ == "__main__":
    main()
