"""How long a hybrid search over 100,000 passages takes: the question's embedding apart, the statement, each half.

Run: ``python benchmarks/hybrid.py [--rows 100000] [--data ../shared/data/qa]``. The passages are XQuAD's paragraphs
over and over, in copies whose rare words are renamed: a word of one or two paragraphs is shared by a random number of
copies, evenly on a log scale, so that document frequencies fall as in text; all other words keep their share of the
passages, so that common words have the long lists of postings that they would have. A passage's vector is its
paragraph's, moved by a random combination of the differences between paragraphs. Questions are XQuAD's own, each about
one copy. ``agreement`` compares the first five with those of a search that reads every posting and takes ten times
the candidates.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from peers import cpu_s, quantiles
from pgvector import HalfVector
from psycopg.conninfo import make_conninfo
from retrieval import Row, load

from store import EmbeddedPostgres, MiniLM, Ranking
from store.schema.migrations import migrate
from store.schema.vectors import Model, VectorTable, copy_vectors, create, index, record
from store.searching.search import UNLIMITED, Question, configure, search
from store.text.language import syllable_pairs, terms

RARE = 2  # paragraphs that a word may stand in to be renamed
BLOCK = 5_000  # passages a COPY


class Copies:
    """Which name a word has in which copy."""

    def __init__(self, paragraphs: list[Row], copies: int, seed: int = 1) -> None:
        self.counts = [Counter([*terms(row["text"]), *syllable_pairs(row["text"])]) for row in paragraphs]
        rng = random.Random(seed)
        shared = Counter(term for counts in self.counts for term in counts)
        self._group = {term: round(copies ** rng.random()) for term, df in shared.items() if df <= RARE}

    def name(self, term: str, copy: int) -> str:
        """The word in that copy."""
        group = self._group.get(term)
        return term if group is None else f"{term}~{copy // group}"


def fill(connection: psycopg.Connection[Any], copies: Copies, texts: list[str], vectors: Any, rows: int) -> None:
    """Documents, passages, postings and vectors, by COPY."""
    length = [sum(counts.values()) for counts in copies.counts]
    rng = np.random.default_rng(2)
    differences = vectors - vectors.mean(0)
    table = VectorTable(1)
    for start in range(0, rows, BLOCK):
        numbers = range(start, min(start + BLOCK, rows))
        with connection.cursor() as cursor:
            with cursor.copy(
                "COPY documents (name, title, format, source, digest, size, text, trust, passages) FROM STDIN"
            ) as copy:
                for n in numbers:
                    copy.write_row((f"{n}.txt", "", "txt", "", "", 0, "", "trusted", 1))
            with cursor.copy(
                "COPY passages (id, document, start_at, end_at, language, title, text, sentences, length) FROM STDIN"
            ) as copy:
                for n in numbers:
                    of = n % len(texts)
                    copy.write_row((str(n), n + 1, 0, len(texts[of]), "en", "", texts[of], [], length[of]))
            with cursor.copy("COPY postings (term, passage, tf, length) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["text", "int8", "int4", "int4"])
                for n in numbers:
                    number, of = divmod(n, len(texts))
                    for term, tf in copies.counts[of].items():
                        copy.write_row((copies.name(term, number), n + 1, tf, length[of]))
        of_block = [n % len(texts) for n in numbers]
        moved = rng.normal(size=(len(of_block), len(texts))) / np.sqrt(len(texts)) @ differences
        made = vectors[of_block] + 0.6 * moved
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        copy_vectors(connection, table, [n + 1 for n in numbers], made.astype(np.float32))
        total = sum(length[of] for of in of_block)
        connection.execute("UPDATE corpus SET passages = passages + %s, terms = terms + %s", (len(of_block), total))
        connection.commit()


def main() -> None:
    """Fill, index, search."""
    default = Path(os.environ.get("DOJANG_TEST_DATA", "../shared/data")) / "qa"
    parser = argparse.ArgumentParser(description="Measure hybrid search over many passages.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--data", type=Path, default=default)
    given = parser.parse_args()
    paragraphs = load(given.data / "xquad_en" / "paragraphs.jsonl")
    questions = load(given.data / "xquad_en" / "questions.jsonl")[: given.questions]
    copies = Copies(paragraphs, -(-given.rows // len(paragraphs)))
    embedder = MiniLM()
    vectors = embedder.embed([row["text"] for row in paragraphs])
    with tempfile.TemporaryDirectory(prefix="dojang-bench-") as home:
        with EmbeddedPostgres(Path(home) / "postgres", linger_s=0.0) as dsn, psycopg.connect(dsn) as connection:
            began = time.perf_counter()
            migrate(connection)
            configure(connection)
            create(connection, VectorTable(1), embedder.dimension)
            record(connection, Model("bench", "", embedder.dimension), VectorTable(1))
            fill(connection, copies, [row["text"] for row in paragraphs], vectors, given.rows)
            filled = time.perf_counter() - began
            index(connection, VectorTable(1))
            connection.commit()
            indexed = time.perf_counter() - began - filled
            print(f"{given.rows:,} passages filled in {filled:.0f} s, indexed in {indexed:.0f} s")
            measure(make_conninfo(dsn), copies, questions, embedder, given.rows // len(paragraphs))
        time.sleep(2.0)  # let the watcher stop the server before its folder goes


def measure(dsn: str, copies: Copies, questions: list[Row], embedder: MiniLM, whole: int) -> None:
    """One line for each way of searching."""
    rng = random.Random(3)
    asked, embedding = [], []
    for row in questions:
        copy = rng.randrange(whole)
        words = list(dict.fromkeys(copies.name(term, copy) for term in terms(row["question"])))
        began = time.perf_counter()
        vector = HalfVector(embedder.embed([row["question"]])[0])
        embedding.append((time.perf_counter() - began) * 1000)
        asked.append(Question(words, [1.0] * len(words), vector))
    print(f"embedding of a question: p50 {quantiles(embedding)['p50']:.1f} ms\n")
    print("| search | p50 ms | p99 ms | CPU ms | agreement of the first five |\n|---|---|---|---|---|")
    with psycopg.connect(dsn, autocommit=True) as connection:
        configure(connection)
        connection.execute("VACUUM ANALYZE")
        names = {
            "hybrid, all postings, ten times the candidates": (Ranking(budget=UNLIMITED, pool=600), asked),
            "hybrid, default": (Ranking(), asked),
            "hybrid, all postings": (Ranking(budget=UNLIMITED), asked),
            "words alone": (Ranking(), [Question(one.terms, one.weights, None) for one in asked]),
            "vectors alone": (Ranking(), [Question([], [], one.vector) for one in asked]),
        }
        truth: list[list[str]] = []
        for name, (ranking, of) in names.items():
            times, found = [], []
            for one in of[:10]:
                search(connection, one, k=5, filters=None, table=VectorTable(1), ranking=ranking)
            before = cpu_s([connection.info.backend_pid])
            for one in of:
                began = time.perf_counter()
                got = search(connection, one, k=5, filters=None, table=VectorTable(1), ranking=ranking)
                times.append((time.perf_counter() - began) * 1000)
                found.append([passage["id"] for passage in got])
            spent = (cpu_s([connection.info.backend_pid]) - before) * 1000 / len(of)
            truth = truth or found
            same = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True)) / sum(map(len, truth))
            agreed = f"{same:.3f}" if name.startswith("hybrid") else "–"
            print(
                f"| {name} | {quantiles(times)['p50']:.2f} | {quantiles(times)['p99']:.2f} | {spent:.2f} | {agreed} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
