"""Filters of a search as SQL over ``passages p`` and ``documents d``. Exact: a filter never loses a passage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from store.database import Connection
from store.language import clean

EXACT_BELOW = 10_000  # matches that are all compared: pgvector's iterative scan loses rows (recall .63 to .80)
DOCUMENT_FILTERS = {"document": "d.name", "format": "d.format", "trust": "d.trust", "digest": "d.digest"}
PASSAGE_FILTERS = {"language": "p.language", "title": "p.title", "page": "p.page::text"}


@dataclass(frozen=True)
class Filter:
    """Which passages may be found."""

    of_documents: sql.Composable
    of_passages: sql.Composable
    values: dict[str, Any]
    narrows: bool  # False: all current passages

    def passes(self, seq: sql.Composable) -> sql.Composable:
        """A condition on one passage. "OFFSET 0" keeps it a look-up: the planner would join all passages."""
        return sql.SQL(
            "EXISTS (SELECT 1 FROM passages p JOIN documents d ON d.id = p.document "
            "WHERE p.seq = {} AND {} AND {} OFFSET 0)"
        ).format(seq, self.of_passages, self.of_documents)

    def few(self, connection: Connection) -> list[int] | None:
        """The passages that match, or None where they are more than should all be compared.

        Documents first, then the passages of each: a join would read all passages to find those of a few documents.
        """
        source = sql.SQL(
            "(SELECT d.id FROM documents d WHERE {} OFFSET 0) d CROSS JOIN LATERAL "
            "(SELECT p.seq FROM passages p WHERE p.document = d.id AND {} OFFSET 0) p"
        ).format(self.of_documents, self.of_passages)
        statement = sql.SQL("SELECT p.seq FROM {} LIMIT {}").format(source, sql.Literal(EXACT_BELOW + 1))
        rows = connection.execute(statement, self.values, prepare=True, binary=True).fetchall()
        return None if len(rows) > EXACT_BELOW else [int(row[0]) for row in rows]


def passage_filter(filters: Mapping[str, str]) -> Filter:
    """A key that is no column is a key of the document's metadata."""
    of_documents: list[sql.Composable] = [sql.SQL("true")]
    of_passages: list[sql.Composable] = [sql.SQL("p.current")]
    values: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for key, value in filters.items():
        column = (DOCUMENT_FILTERS | PASSAGE_FILTERS).get(key)
        if column is None:
            metadata[clean(key)] = clean(str(value))
        else:
            values[f"filter_{key}"] = clean(str(value))
            part = sql.SQL("{} = {}").format(sql.SQL(column), sql.Placeholder(f"filter_{key}"))
            (of_documents if key in DOCUMENT_FILTERS else of_passages).append(part)
    if metadata:
        values["filter_metadata"] = Jsonb(metadata)
        of_documents.append(sql.SQL("d.metadata @> {}").format(sql.Placeholder("filter_metadata")))
    both = sql.SQL(" AND ")
    return Filter(both.join(of_documents), both.join(of_passages), values, narrows=bool(filters))
