"""How often the passage that answers is found: R@1, R@10 and MRR on XQuAD (English) and KorQuAD (Korean).

Run: ``python benchmarks/retrieval.py [--data ../shared/data/qa] [--tune]``. Every paragraph is a document of its own
and goes through the same reading, cutting and indexing as any file; a question counts by the best-placed passage of its
paragraph. Questions with an even number tune, those with an odd number are scored; what is printed without
``--tune`` is the odd half under the default ranking. KorQuAD is only evaluated, never shipped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from store import DocumentStore, EmbeddedPostgres, MiniLM, Ranking

SETS = {"xquad_en": "English", "korquad1": "Korean"}
DEPTH = 30  # passages asked for; more than ten because a paragraph may be cut in several


def load(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rank_of(store: DocumentStore, question: str, gold: str) -> int | None:
    """Place of the gold paragraph among the paragraphs found, from 1."""
    names = dict.fromkeys(passage["document"] for passage in store.search(question, k=DEPTH))
    return next((place for place, name in enumerate(names, start=1) if name == f"{gold}.txt"), None)


def score(store: DocumentStore, questions: list[dict[str, Any]]) -> dict[str, float]:
    """The three measures, and the median time of a search in milliseconds (embedding of the question included)."""
    ranks, times = [], []
    for row in questions:
        began = time.perf_counter()
        ranks.append(rank_of(store, row["question"], row["gold"]))
        times.append((time.perf_counter() - began) * 1000)
    count = len(ranks)
    return {
        "R@1": sum(rank == 1 for rank in ranks) / count,
        "R@10": sum(rank is not None and rank <= 10 for rank in ranks) / count,
        "MRR": sum(1 / rank for rank in ranks if rank) / count,
        "p50_ms": statistics.median(times),
    }


def variants(korean: bool) -> Iterator[Ranking]:
    """A small grid around the defaults."""
    base = Ranking()
    if korean:
        for weight in (0.0, 0.1, 0.2, 0.3):
            yield dataclasses.replace(base, pair_weight=weight)
        return
    for weight in (1.0, 0.7, 0.6, 0.5, 0.4, 0.3, 0.0):
        yield dataclasses.replace(base, lexical_weight=weight)


def show(label: str, figures: dict[str, float]) -> None:
    """One line of the table."""
    print(f"{label:40} " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()), flush=True)


def run(dsn: str, folder: Path, language: str, tune: bool) -> None:
    """Measure one set on a fresh database."""
    paragraphs, questions = load(folder / "paragraphs.jsonl"), load(folder / "questions.jsonl")
    name = f"bench_{folder.name}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    with DocumentStore(make_conninfo(dsn, dbname=name), MiniLM()) as store:
        began = time.perf_counter()
        passages = 0
        for row in paragraphs:
            passages += store.ingest_bytes(f"{row['id']}.txt", row["text"].encode()).passages
        took = time.perf_counter() - began
        print(
            f"{language}: {len(paragraphs)} paragraphs, {passages} passages in {took:.1f} s, {len(questions)} questions"
        )
        if tune:
            for ranking in variants(language == "Korean"):
                store.ranking = ranking
                show(f"  tuning half, {ranking.lexical_weight=} {ranking.pair_weight=}", score(store, questions[::2]))
        store.ranking = Ranking()
        show("  scored half, default ranking", score(store, questions[1::2]))


def main() -> None:
    """Read the options and measure both sets."""
    default = Path(os.environ.get("DOJANG_TEST_DATA", "../shared/data")) / "qa"
    parser = argparse.ArgumentParser(description="Measure retrieval on XQuAD and KorQuAD.")
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--tune", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as home:
        with EmbeddedPostgres(Path(home) / "postgres", linger_s=0.0) as dsn:
            for name, language in SETS.items():
                run(dsn, given.data / name, language, given.tune)
        time.sleep(2.0)  # let the watcher stop the server before its folder goes


if __name__ == "__main__":
    main()
