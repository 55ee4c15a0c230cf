"""Hybrid search in one SQL statement: BM25 over the postings and cosine over the vectors, fused; filters stay exact.

Scores lie in 0…1 and can be compared between questions: ``lexical`` is the passage's BM25 divided by the most that
any passage could reach for this question (words that occur nowhere count against it), ``vector`` is the cosine,
``fused`` their weighted mean. A question in a language that the embedding model does not know is lexical alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgvector import HalfVector
from psycopg import sql
from psycopg.types.json import Jsonb

from state import Passage, UserError
from store.database import Connection
from store.embedding import Embedder
from store.language import BIGRAM, clean, language_of, syllable_pairs, terms

QUERY_CHARACTERS = 4_000  # what lies beyond cannot be a question
QUERY_TERMS = 256
EXACT_BELOW = 10_000  # matches of a filter that are sorted exactly: pgvector's iterative scan loses rows (recall .63)
EF_SEARCH = 120
DOCUMENT_FILTERS = {"document": "d.name", "format": "d.format", "trust": "d.trust", "digest": "d.digest"}
PASSAGE_FILTERS = {"language": "p.language", "title": "p.title", "page": "p.page::text"}

COLUMNS = sql.SQL("p.id, d.name, p.title, p.text, p.start_at, p.end_at, p.page, p.language, p.sentences, d.trust")

LEXICAL = """
size AS (
    SELECT greatest(passages, 1)::float8 AS n, greatest(terms::float8 / greatest(passages, 1), 1) AS average FROM corpus
),
hits AS MATERIALIZED (
    SELECT passage, term, tf, length, count(*) OVER (PARTITION BY term) AS df FROM postings WHERE term = ANY(%(terms)s)
),
weights AS MATERIALIZED (
    SELECT asked.term, weight *
           ln(1 + (greatest(n - coalesce(df, 0), 0) + 0.5) / (coalesce(df, 0) + 0.5)) AS idf
    FROM unnest(%(terms)s::text[], %(weights)s::float8[]) AS asked(term, weight)
    LEFT JOIN (SELECT DISTINCT term, df FROM hits) AS found USING (term), size
),
bm25 AS MATERIALIZED (
    SELECT passage AS seq,
           sum(idf * tf * (%(k1)s + 1) / (tf + %(k1)s * (1 - %(b)s + %(b)s * length / average)))
           / (SELECT greatest(sum(idf), 1e-9) * (%(k1)s + 1) FROM weights) AS score
    FROM hits JOIN weights USING (term), size GROUP BY passage
)"""


@dataclass(frozen=True)
class Ranking:
    """The numbers of the ranking; ``benchmarks/retrieval.py`` measures them."""

    k1: float = 0.9
    b: float = 0.4
    pair_weight: float = 0.2  # of a pair of Hangul syllables beside a morpheme
    lexical_weight: float = 0.5  # of the fused score, where both halves take part
    pool: int = 60  # candidates of each half


def question(text: str) -> str:
    """The part of ``text`` that can be searched for; "" when there is no word or number in it."""
    kept = "".join(c for c in clean(text[:QUERY_CHARACTERS]) if unicodedata.category(c) != "Cf")
    kept = re.sub(r"\s+", " ", kept).strip()
    return kept if any(character.isalnum() for character in kept) else ""


def search(
    connection: Connection,
    text: str,
    *,
    k: int,
    filters: Mapping[str, str] | None,
    embedder: Embedder | None,
    ranking: Ranking,
) -> list[Passage]:
    """At most ``k`` passages, best first; ties by age, so that the order is stable."""
    if k < 1:
        raise UserError(f"k is {k}: ask for at least one passage")
    text = question(text)
    if not text:
        return []
    asked = list(dict.fromkeys([*terms(text), *syllable_pairs(text)]))[:QUERY_TERMS]
    vector = None
    if embedder is not None and language_of(text) in embedder.languages:
        vector = HalfVector(embedder.embed([text])[0])
    if not asked and vector is None:
        return []
    conditions, values = _conditions(filters or {})
    parameters: dict[str, Any] = {
        "terms": asked,
        "weights": [ranking.pair_weight if term.startswith(BIGRAM) else 1.0 for term in asked],
        "k1": ranking.k1,
        "b": ranking.b,
        "w": ranking.lexical_weight,
        "pool": max(ranking.pool, k),
        "k": k,
        "vector": vector,
        **values,
    }
    exact = bool(filters) and vector is not None and _few(connection, conditions, values)
    statement = _statement(conditions, with_vector=vector is not None, exact=exact)
    rows = connection.execute(statement, parameters).fetchall()
    return [_passage(row, with_vector=vector is not None) for row in rows]


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


def _conditions(filters: Mapping[str, str]) -> tuple[sql.Composable, dict[str, Any]]:
    """SQL over ``p`` and ``d``, and its parameters. A key that is no column is a key of the document's metadata."""
    parts: list[sql.Composable] = [sql.SQL("p.current")]
    values: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for key, value in filters.items():
        column = (DOCUMENT_FILTERS | PASSAGE_FILTERS).get(key)
        if column is None:
            metadata[clean(key)] = clean(str(value))
        else:
            values[f"filter_{key}"] = clean(str(value))
            parts.append(sql.SQL("{} = {}").format(sql.SQL(column), sql.Placeholder(f"filter_{key}")))
    if metadata:
        values["filter_metadata"] = Jsonb(metadata)
        parts.append(sql.SQL("d.metadata @> {}").format(sql.Placeholder("filter_metadata")))
    return sql.SQL(" AND ").join(parts), values


def _few(connection: Connection, conditions: sql.Composable, values: dict[str, Any]) -> bool:
    counted = connection.execute(
        sql.SQL(
            "SELECT count(*) FROM "
            "(SELECT 1 FROM passages p JOIN documents d ON d.id = p.document WHERE {} LIMIT {}) few"
        ).format(conditions, sql.Literal(EXACT_BELOW + 1)),
        values,
    ).fetchone()
    return counted is not None and int(counted[0]) <= EXACT_BELOW


def _statement(conditions: sql.Composable, *, with_vector: bool, exact: bool) -> sql.Composed:
    matches = sql.SQL("FROM passages p JOIN documents d ON d.id = p.document WHERE {}").format(conditions)
    parts = [
        sql.SQL(LEXICAL),
        sql.SQL(
            "lexical AS (SELECT seq FROM bm25 WHERE seq IN (SELECT p.seq {}) ORDER BY score DESC, seq LIMIT %(pool)s)"
        ).format(matches),
    ]
    candidates: sql.Composable = sql.SQL("SELECT seq FROM lexical")
    cosine: sql.Composable = sql.SQL("0.0")
    fused: sql.Composable = sql.SQL("coalesce(bm25.score, 0)")
    source: sql.Composable
    if with_vector:
        if exact:
            inner = sql.SQL("SELECT p.seq, p.embedding {} AND p.embedding IS NOT NULL").format(matches)
            parts.append(sql.SQL("matching AS MATERIALIZED ({})").format(inner))
            source = sql.SQL("SELECT seq FROM matching m ORDER BY m.embedding <=> %(vector)s LIMIT %(pool)s")
        else:
            source = sql.SQL("SELECT p.seq {} ORDER BY p.embedding <=> %(vector)s LIMIT %(pool)s").format(
                sql.SQL("{} AND p.embedding IS NOT NULL").format(matches)
            )
        parts.append(sql.SQL("nearest AS ({})").format(source))
        candidates = sql.SQL("SELECT seq FROM lexical UNION SELECT seq FROM nearest")
        cosine = sql.SQL("greatest(coalesce(1 - (p.embedding <=> %(vector)s), 0), 0)")
        fused = sql.SQL("%(w)s * coalesce(bm25.score, 0) + (1 - %(w)s) * {}").format(cosine)
    return sql.SQL(
        "WITH {parts}, candidates AS ({candidates}) "
        "SELECT {columns}, {fused} AS fused, coalesce(bm25.score, 0), {cosine} "
        "FROM candidates c JOIN passages p ON p.seq = c.seq JOIN documents d ON d.id = p.document "
        "LEFT JOIN bm25 ON bm25.seq = c.seq ORDER BY fused DESC, p.seq LIMIT %(k)s"
    ).format(parts=sql.SQL(", ").join(parts), candidates=candidates, columns=COLUMNS, fused=fused, cosine=cosine)
