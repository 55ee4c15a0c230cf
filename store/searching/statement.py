"""The SQL of a search, put together from its parts: see :mod:`store.searching.search` for what it computes and why."""

from __future__ import annotations

import functools

from psycopg import sql

from store.schema.vectors import VectorTable
from store.searching.filters import Filter

COLUMNS = sql.SQL("p.id, d.name, p.title, p.text, p.start_at, p.end_at, p.page, p.language, p.sentences, d.trust")
BEST = sql.SQL("best JOIN passages p ON p.seq = best.seq JOIN documents d ON d.id = p.document")
FEW = sql.SQL("(SELECT so FROM few)")

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
    WHERE rare AND {among} GROUP BY passage
)"""
SATURATED = "tf * (%(k1)s + 1) / (tf + %(k1)s * (1 - %(b)s) + %(k1)s * %(b)s * length / (SELECT average FROM size))"
LEXICAL = """(
    coalesce(found.score, 0) + coalesce((
        SELECT sum(idf * {saturated}) FROM asked CROSS JOIN LATERAL (
            SELECT tf, length FROM postings WHERE postings.term = asked.term AND passage = candidates.seq OFFSET 0
        ) listed WHERE df > 0 AND NOT rare
    ), 0)
) / (SELECT greatest(sum(idf), 1e-9) * (%(k1)s + 1) FROM asked)"""


@functools.lru_cache(maxsize=256)
def hybrid(wanted: Filter, table: VectorTable | None, *, exact: bool, words: bool, k: int, pool: int) -> bytes:
    """The whole statement; kept, because putting it together takes as long as a search of either half.

    Postings and vectors are those of current passages, so that without a filter neither half looks a passage up.
    ``exact``: all matches of the filter are compared. Where they are too many nothing is computed, and the one row
    that comes has no passage and True in its last column.
    """
    saturated = sql.SQL(SATURATED)
    parts: list[sql.Composable] = []
    halves: list[sql.Composable] = []
    if exact:
        parts.append(sql.SQL("matching AS MATERIALIZED ({})").format(wanted.matching))
        parts.append(sql.SQL("few AS MATERIALIZED (SELECT count(*) <= %(exact_below)s AS so FROM matching)"))
    if words:
        parts.append(sql.SQL(TERMS).format(saturated=saturated, among=FEW if exact else sql.SQL("true")))
        parts.append(_best_words(wanted, exact=exact, pool=2 * pool))
        halves.append(sql.SQL("SELECT seq FROM lexical"))
    if table is not None:
        parts += _nearest(wanted, table, exact=exact, pool=pool)
        halves.append(sql.SQL("SELECT seq FROM nearest"))
    cosine = sql.SQL("greatest(coalesce(1 - (v.embedding <=> %(vector)s), 0), 0)") if table else sql.SQL("0.0::float8")
    lexical = sql.SQL(LEXICAL).format(saturated=saturated) if words else sql.SQL("0.0::float8")
    fused = sql.SQL("%(w)s * lexical + (1 - %(w)s) * cosine") if table else sql.SQL("lexical")
    statement = sql.SQL(
        "WITH {parts}, candidates AS MATERIALIZED ({halves}), "
        "scored AS MATERIALIZED (SELECT candidates.seq, {lexical} AS lexical, {cosine} AS cosine "
        "FROM candidates {found} {vectors}), "
        "best AS (SELECT seq, lexical, cosine, {fused} AS fused FROM scored ORDER BY fused DESC, seq LIMIT {k}) "
        "SELECT {columns}, fused, lexical, cosine, {many} AS many FROM {best} ORDER BY fused DESC, p.seq"
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
        many=sql.SQL("NOT few.so") if exact else sql.SQL("false"),
        best=sql.SQL("few LEFT JOIN ({}) ON few.so").format(BEST) if exact else BEST,
    )
    return b" ".join(statement.as_bytes(None).split())


def _best_words(wanted: Filter, *, exact: bool, pool: int) -> sql.Composable:
    """The word half. A filter that leaves many is asked passage by passage, best first, until enough passed."""
    among: sql.Composable = sql.SQL("")
    if exact:
        among = sql.SQL("WHERE seq IN (SELECT seq FROM matching)")
    elif wanted.narrows:
        among = sql.SQL("WHERE {}").format(wanted.passes(sql.SQL("ranked.seq")))
    return sql.SQL(
        "lexical AS MATERIALIZED (SELECT seq FROM (SELECT seq FROM found ORDER BY score DESC, seq OFFSET 0) ranked "
        "{} LIMIT {})"
    ).format(among, sql.Literal(pool))


def _nearest(wanted: Filter, table: VectorTable, *, exact: bool, pool: int) -> list[sql.Composable]:
    """The vector half: by the index, or by looking at all matches of a filter that leaves few."""
    limit = sql.Literal(pool)
    if exact:
        return [
            sql.SQL(
                "distances AS MATERIALIZED (SELECT seq, v.embedding <=> %(vector)s AS distance "
                "FROM matching JOIN {} v ON v.passage = matching.seq WHERE {})"
            ).format(table.identifier, FEW),
            sql.SQL("nearest AS MATERIALIZED (SELECT seq FROM distances ORDER BY distance, seq LIMIT {})").format(
                limit
            ),
        ]
    passes = sql.SQL("WHERE {}").format(wanted.passes(sql.SQL("v.passage"))) if wanted.narrows else sql.SQL("")
    return [
        sql.SQL(
            "nearest AS MATERIALIZED "
            "(SELECT v.passage AS seq FROM {} v {} ORDER BY v.embedding <=> %(vector)s LIMIT {})"
        ).format(table.identifier, passes, limit)
    ]
