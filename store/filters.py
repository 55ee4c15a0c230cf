"""Filters of a search as SQL over ``passages p`` and ``documents d``. Exact: a filter never loses a passage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from store.database import Connection
from store.language import clean

EXACT_BELOW = 10_000  # matches that are sorted exactly: pgvector's iterative scan loses rows (recall .63 to .80)
DOCUMENT_FILTERS = {"document": "d.name", "format": "d.format", "trust": "d.trust", "digest": "d.digest"}
PASSAGE_FILTERS = {"language": "p.language", "title": "p.title", "page": "p.page::text"}


@dataclass(frozen=True)
class Filter:
    """Which passages may be found."""

    conditions: sql.Composable
    values: dict[str, Any]
    narrows: bool  # False: all current passages

    @property
    def matches(self) -> sql.Composable:
        """FROM … WHERE …, to be selected from."""
        return sql.SQL("FROM passages p JOIN documents d ON d.id = p.document WHERE {}").format(self.conditions)

    def passes(self, seq: sql.Composable) -> sql.Composable:
        """A condition on one passage. "OFFSET 0" keeps it a look-up: the planner would join all passages."""
        return sql.SQL(
            "EXISTS (SELECT 1 FROM passages p JOIN documents d ON d.id = p.document WHERE p.seq = {} AND {} OFFSET 0)"
        ).format(seq, self.conditions)

    def count(self, connection: Connection) -> int:
        """How many passages match, counted to one more than are sorted exactly."""
        statement = sql.SQL("SELECT count(*) FROM (SELECT 1 {} LIMIT {}) few").format(
            self.matches, sql.Literal(EXACT_BELOW + 1)
        )
        row = connection.execute(statement, self.values).fetchone()
        return int(row[0]) if row else 0


def passage_filter(filters: Mapping[str, str]) -> Filter:
    """A key that is no column is a key of the document's metadata."""
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
    return Filter(sql.SQL(" AND ").join(parts), values, narrows=bool(filters))
