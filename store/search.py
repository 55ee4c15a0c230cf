"""Hybrid search in one SQL statement: BM25 over the postings and cosine over the vectors, fused; filters stay exact.

Scores lie in 0…1 and can be compared between questions: ``lexical`` is the passage's BM25 divided by the most that
any passage could reach for this question (words that occur nowhere count against it), ``vector`` is the cosine,
``fused`` their weighted mean. A question in a language that the embedding model does not know is lexical alone.

BM25 is made in two steps within the statement. The rarest words of the question, as many as have ``BUDGET`` postings
together and one at least, find candidates; the frequent rest is only looked up for the candidates of both halves.
Where all postings fit the budget that is BM25 exactly; above it a passage may be missed that has nothing but the
question's most frequent words (compare MaxScore: Turtle and Flood, 1995, "Query evaluation: strategies and
optimizations").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from psycopg import sql

from state import Passage, UserError
from store.database import Connection
from store.embedding import Embedder
from store.filters import EXACT_BELOW, Filter, passage_filter
from store.language import BIGRAM, clean, language_of, syllable_pairs, terms
from store.vectors import VectorTable

QUERY_CHARACTERS = 4_000  # what lies beyond cannot be a question
QUERY_TERMS = 256
BUDGET = (
    4_000  # postings that may be read to find candidates; docs/log.md has 3,000 to all of 18,000 at 100,000 passages
)
EF_SEARCH = 100
SETTINGS = (
    f"SET hnsw.ef_search = {EF_SEARCH:d}",
    # A filter that leaves many: the scan goes on until enough match. Relaxed: the order is made afterwards anyway.
    "SET hnsw.iterative_scan = relaxed_order",
    # The statements hold no constant that a plan could gain from, and planning them takes as long as the search.
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
    "SET max_parallel_workers_per_gather = 0",
)

COLUMNS = sql.SQL("p.id, d.name, p.title, p.text, p.start_at, p.end_at, p.page, p.language, p.sentences, d.trust")

# "OFFSET 0" keeps the planner from turning the look-ups of few terms into a scan of all postings.
TERMS = """
size AS MATERIALIZED (
    SELECT greatest(passages, 1)::float8 AS n, greatest(terms::float8 / greatest(passages, 1), 1) AS average
    FROM corpus LIMIT 1
),
asked AS MATERIALIZED (
    SELECT term, df, weight * ln(1 + (greatest((SELECT n FROM size) - df, 0) + 0.5) / (df + 0.5)) AS idf,
           df > 0 AND (row_number() OVER by_df = 1 OR sum(df) OVER by_df <= %(budget)s) AS rare
    FROM (
        SELECT given.term, given.weight, coalesce(counts.df, 0) AS df
        FROM unnest(%(terms)s::text[], %(weights)s::float8[]) AS given(term, weight)
        LEFT JOIN term_counts counts USING (term)
    ) known
    WINDOW by_df AS (PARTITION BY df > 0 ORDER BY df, term ROWS UNBOUNDED PRECEDING)
),
found AS MATERIALIZED (
    SELECT passage AS seq, sum(idf * {saturated}) AS score
    FROM asked CROSS JOIN LATERAL (
        SELECT passage, tf, length FROM postings WHERE postings.term = asked.term OFFSET 0
    ) listed
    WHERE rare GROUP BY passage
)"""
SATURATED = "tf * (%(k1)s + 1) / (tf + %(k1)s * (1 - %(b)s) + %(k1)s * %(b)s * length / (SELECT average FROM size))"
LEXICAL = """(
    coalesce(found.score, 0) + coalesce((
        SELECT sum(idf * {saturated}) FROM asked CROSS JOIN LATERAL (
            SELECT tf, length FROM postings WHERE postings.term = asked.term AND passage = candidates.seq OFFSET 0
        ) listed WHERE df > 0 AND NOT rare
    ), 0)
) / (SELECT greatest(sum(idf), 1e-9) * (%(k1)s + 1) FROM asked)"""


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
    exact = wanted.narrows and with_vector and wanted.count(connection) <= EXACT_BELOW
    parameters: dict[str, Any] = {
        "terms": asked.terms,
        "weights": asked.weights,
        "budget": ranking.budget,
        "k1": ranking.k1,
        "b": ranking.b,
        "w": ranking.lexical_weight if asked.terms else 0.0,
        "vector": asked.vector,
        **wanted.values,
    }
    statement = _statement(
        wanted, table if with_vector else None, exact=exact, words=bool(asked.terms), k=k, pool=max(ranking.pool, k)
    )
    rows = connection.execute(statement, parameters, prepare=True, binary=True).fetchall()
    return [_passage(row, with_vector=with_vector) for row in rows]


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


def _statement(
    wanted: Filter, table: VectorTable | None, *, exact: bool, words: bool, k: int, pool: int
) -> sql.Composed:
    """Postings and vectors are those of current passages, so that without a filter neither half looks a passage up."""
    saturated = sql.SQL(SATURATED)
    parts: list[sql.Composable] = [sql.SQL(TERMS).format(saturated=saturated)] if words else []
    halves: list[sql.Composable] = []
    if words:
        among = sql.SQL("WHERE seq IN (SELECT p.seq {})").format(wanted.matches) if wanted.narrows else sql.SQL("")
        parts.append(
            sql.SQL("lexical AS MATERIALIZED (SELECT seq FROM found {} ORDER BY score DESC, seq LIMIT {})").format(
                among, sql.Literal(2 * pool)
            )
        )
        halves.append(sql.SQL("SELECT seq FROM lexical"))
    if table is not None:
        parts += _nearest(wanted, table, exact=exact, pool=pool)
        halves.append(sql.SQL("SELECT seq FROM nearest"))
    cosine = sql.SQL("greatest(coalesce(1 - (v.embedding <=> %(vector)s), 0), 0)") if table else sql.SQL("0.0::float8")
    lexical = sql.SQL(LEXICAL).format(saturated=saturated) if words else sql.SQL("0.0::float8")
    fused = sql.SQL("%(w)s * lexical + (1 - %(w)s) * cosine") if table else sql.SQL("lexical")
    return sql.SQL(
        "WITH {parts}, candidates AS MATERIALIZED ({halves}), "
        "scored AS MATERIALIZED (SELECT candidates.seq, {lexical} AS lexical, {cosine} AS cosine "
        "FROM candidates {found} {vectors}), "
        "best AS (SELECT seq, lexical, cosine, {fused} AS fused FROM scored ORDER BY fused DESC, seq LIMIT {k}) "
        "SELECT {columns}, fused, lexical, cosine FROM best JOIN passages p ON p.seq = best.seq "
        "JOIN documents d ON d.id = p.document ORDER BY fused DESC, p.seq"
    ).format(
        parts=sql.SQL(", ").join(parts),
        halves=sql.SQL(" UNION ").join(halves),
        lexical=lexical,
        cosine=cosine,
        found=sql.SQL("LEFT JOIN found ON found.seq = candidates.seq") if words else sql.SQL(""),
        vectors=sql.SQL("LEFT JOIN {} v ON v.passage = candidates.seq").format(table.identifier)
        if table
        else sql.SQL(""),
        fused=fused,
        k=sql.Literal(k),
        columns=COLUMNS,
    )


def _nearest(wanted: Filter, table: VectorTable, *, exact: bool, pool: int) -> list[sql.Composable]:
    """The vector half: by the index, or by looking at all matches of a filter that leaves few."""
    limit = sql.Literal(pool)
    if exact:
        return [
            sql.SQL(
                "matching AS MATERIALIZED (SELECT v.passage AS seq, v.embedding <=> %(vector)s AS distance "
                "FROM (SELECT p.seq {} OFFSET 0) few JOIN {} v ON v.passage = few.seq)"
            ).format(wanted.matches, table.identifier),
            sql.SQL("nearest AS MATERIALIZED (SELECT seq FROM matching ORDER BY distance, seq LIMIT {})").format(limit),
        ]
    source = sql.SQL("FROM {} v").format(table.identifier)
    if wanted.narrows:
        source = sql.SQL(
            "FROM {} v JOIN passages p ON p.seq = v.passage JOIN documents d ON d.id = p.document WHERE {}"
        ).format(table.identifier, wanted.conditions)
    return [
        sql.SQL(
            "nearest AS MATERIALIZED (SELECT v.passage AS seq {} ORDER BY v.embedding <=> %(vector)s LIMIT {})"
        ).format(source, limit)
    ]
