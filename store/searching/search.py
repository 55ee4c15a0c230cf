"""Hybrid search in one SQL statement: BM25 over the postings and cosine over the vectors, fused; filters stay exact.

Scores lie in 0…1 and can be compared between questions: ``lexical`` is the passage's BM25 divided by the most that
any passage could reach for this question (words that occur nowhere count against it), ``vector`` is the cosine,
``fused`` their weighted mean. A question in a language that the embedding model does not know is lexical alone.

BM25 is made in two steps within the statement. The rarest words of the question, as many as have ``BUDGET`` postings
together and one at least, find candidates; the frequent rest is only looked up for the candidates of both halves.
Where all postings fit the budget that is BM25 exactly; above it a passage may be missed that has nothing but the
question's most frequent words. Where a filter leaves few, all postings are read. (Compare MaxScore: Turtle and Flood,
1995, "Query evaluation: strategies and optimizations".)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from pgvector.psycopg import register_vector

from state import Passage, UserError
from store.database import Connection
from store.models.embedding import Embedder
from store.schema.vectors import VectorTable
from store.searching.filters import EXACT_BELOW, passage_filter
from store.searching.statement import hybrid
from store.text.language import BIGRAM, clean, language_of, syllable_pairs, terms

QUERY_CHARACTERS = 4_000  # what lies beyond cannot be a question
QUERY_TERMS = 256
BUDGET = 4_000  # postings read to find candidates: docs/log/search.md, 2026-11-25
UNLIMITED = 2**60
EF_SEARCH = 100
SETTINGS = (
    f"SET hnsw.ef_search = {EF_SEARCH:d}",
    # A filter that leaves many: the scan goes on until enough match. Relaxed: the order is made afterwards anyway.
    "SET hnsw.iterative_scan = relaxed_order",
    # The statements hold no constant that a plan could gain from, and planning them takes as long as the search.
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
    "SET max_parallel_workers_per_gather = 0",
    # Who is cut off is given up in ten seconds, not in two hours.
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_user_timeout = 10000",
)


def configure(connection: Connection) -> None:
    """Types and settings of a connection that searches."""
    register_vector(connection)
    for setting in SETTINGS:
        connection.execute(setting)
    connection.commit()


@dataclass(frozen=True)
class Ranking:
    """The numbers of the ranking; ``benchmarks/retrieval.py`` measures them."""

    k1: float = 0.9
    b: float = 0.4
    pair_weight: float = 0.2  # of a pair of Hangul syllables beside a morpheme
    lexical_weight: float = 0.5  # of the fused score, where both halves take part; 0: vectors alone, 1: words alone
    pool: int = 60  # candidates of each half
    budget: int = BUDGET


@dataclass(frozen=True)
class Question:
    """What is searched for, analysed: terms with their weights, a vector where one takes part."""

    terms: list[str]
    weights: list[float]
    vector: HalfVector | None

    def __bool__(self) -> bool:
        return bool(self.terms) or self.vector is not None


def question(text: str) -> str:
    """The part of ``text`` that can be searched for; "" when there is no word or number in it."""
    kept = "".join(c for c in clean(text[:QUERY_CHARACTERS]) if unicodedata.category(c) != "Cf")
    kept = re.sub(r"\s+", " ", kept).strip()
    return kept if any(character.isalnum() for character in kept) else ""


def analysed(text: str, embedder: Embedder | None, ranking: Ranking) -> Question:
    """Terms and vector of a question. Takes most of a search's time on a CPU, and needs no connection."""
    text = question(text)
    if not text:
        return Question([], [], None)
    asked: list[str] = []
    knows = embedder is not None and ranking.lexical_weight < 1 and language_of(text) in embedder.languages
    if ranking.lexical_weight > 0 or not knows:
        asked = list(dict.fromkeys([*terms(text), *syllable_pairs(text)]))[:QUERY_TERMS]
    weights = [ranking.pair_weight if term.startswith(BIGRAM) else 1.0 for term in asked]
    vector = HalfVector(embedder.embed([text])[0]) if knows and embedder is not None else None
    return Question(asked, weights, vector)


def checked_k(k: int) -> int:
    """``k``, or UserError."""
    if k < 1:
        raise UserError(f"k is {k}: ask for at least one passage")
    return k


def search(
    connection: Connection,
    asked: Question,
    *,
    k: int,
    filters: Mapping[str, str] | None,
    table: VectorTable,
    ranking: Ranking,
) -> list[Passage]:
    """At most ``k`` passages, best first; ties by age, so that the order is stable."""
    if not asked:
        return []
    with_vector = asked.vector is not None and table.number > 0
    wanted = passage_filter(filters or {})
    words = bool(asked.terms)
    parameters: dict[str, Any] = {
        "terms": asked.terms,
        "weights": asked.weights,
        "k1": ranking.k1,
        "b": ranking.b,
        "w": ranking.lexical_weight if words else 0.0,
        "vector": asked.vector,
        "exact_below": EXACT_BELOW,
        **wanted.values,
    }
    pool = max(ranking.pool, k) if words and with_vector else k
    for exact in (True, False) if wanted.narrows else (False,):
        statement = hybrid(wanted, table if with_vector else None, exact=exact, words=words, k=k, pool=pool)
        parameters["budget"] = UNLIMITED if exact else ranking.budget
        rows = connection.execute(statement, parameters, prepare=True, binary=True).fetchall()
        if not (rows and rows[0][-1]):
            break
    return [_passage(row, with_vector=with_vector) for row in rows if row[0] is not None]


def passage_of(row: tuple[Any, ...], scores: dict[str, float]) -> Passage:
    """A row of COLUMNS as the shared type."""
    flat = row[8]
    return Passage(
        id=row[0],
        document=row[1],
        title=row[2],
        text=row[3],
        start=row[4],
        end=row[5],
        page=row[6],
        language=row[7],
        sentences=[list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)],
        scores=scores,
        trust=row[9],
    )


def _passage(row: tuple[Any, ...], *, with_vector: bool) -> Passage:
    fused, lexical, vector = (float(value) for value in row[10:13])
    scores = {"fused": round(fused, 6), "lexical": round(lexical, 6)}
    return passage_of(row, scores | ({"vector": round(vector, 6)} if with_vector else {}))
