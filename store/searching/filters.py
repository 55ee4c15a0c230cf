"""Filters of a search as SQL over ``passages p`` and ``documents d``. Exact: a filter never loses a passage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from store.text.language import clean

EXACT_BELOW = 10_000  # matches that are all compared: pgvector's iterative scan loses rows (recall .63 to .80)
DOCUMENT_FILTERS: Final[dict[str, LiteralString]] = {
    "document": "d.name",
    "format": "d.format",
    "trust": "d.trust",
    "digest": "d.digest",
}
PASSAGE_FILTERS: Final[dict[str, LiteralString]] = {
    "language": "p.language",
    "title": "p.title",
    "page": "p.page::text",
}


@dataclass(frozen=True)
class Filter:
    """Which passages may be found. Two filters on the same keys are equal: they make the same statement."""

    columns: tuple[str, ...]  # keys of DOCUMENT_FILTERS and PASSAGE_FILTERS
    facts: bool  # metadata are asked for, too
    values: dict[str, Any] = field(compare=False)

    @property
    def narrows(self) -> bool:
        """False: all current passages."""
        return self.facts or bool(self.columns)

    @property
    def of_documents(self) -> sql.Composable | None:
        """Conditions on documents; None: all."""
        parts = [_equals(DOCUMENT_FILTERS[key], key) for key in self.columns if key in DOCUMENT_FILTERS]
        if self.facts:
            parts.append(sql.SQL("d.metadata @> {}").format(sql.Placeholder("filter_metadata")))
        return sql.SQL(" AND ").join(parts) if parts else None

    @property
    def of_passages(self) -> sql.Composable:
        """Conditions on passages."""
        parts = [_equals(PASSAGE_FILTERS[key], key) for key in self.columns if key in PASSAGE_FILTERS]
        return sql.SQL(" AND ").join([sql.SQL("p.current"), *parts])

    def passes(self, seq: sql.Composable) -> sql.Composable:
        """A condition on one passage. "OFFSET 0" keeps it a look-up: the planner would join all passages."""
        if self.of_documents is None:
            return sql.SQL("EXISTS (SELECT 1 FROM passages p WHERE p.seq = {} AND {} OFFSET 0)").format(
                seq, self.of_passages
            )
        return sql.SQL(
            "EXISTS (SELECT 1 FROM passages p JOIN documents d ON d.id = p.document "
            "WHERE p.seq = {} AND {} AND {} OFFSET 0)"
        ).format(seq, self.of_passages, self.of_documents)

    @property
    def matching(self) -> sql.Composable:
        """Numbers of the passages that match, and at most one more of them than are all compared.

        Documents first, where they are narrowed, then the passages of each: a join would read all passages.
        """
        source: sql.Composable = sql.SQL("passages p WHERE {}").format(self.of_passages)
        if self.of_documents is not None:
            source = sql.SQL(
                "(SELECT d.id FROM documents d WHERE {} OFFSET 0) d CROSS JOIN LATERAL "
                "(SELECT p.seq FROM passages p WHERE p.document = d.id AND {} OFFSET 0) p"
            ).format(self.of_documents, self.of_passages)
        return sql.SQL("SELECT p.seq FROM {} LIMIT %(exact_below)s::bigint + 1").format(source)


def passage_filter(filters: Mapping[str, str]) -> Filter:
    """A key that is no column is a key of the document's metadata."""
    given = {key: clean(str(value)) for key, value in filters.items()}
    columns = tuple(sorted(key for key in given if key in DOCUMENT_FILTERS or key in PASSAGE_FILTERS))
    metadata = {clean(key): value for key, value in given.items() if key not in columns}
    values: dict[str, Any] = {f"filter_{key}": given[key] for key in columns}
    if metadata:
        values["filter_metadata"] = Jsonb(metadata)
    return Filter(columns, bool(metadata), values)


def _equals(column: LiteralString, key: str) -> sql.Composed:
    return sql.SQL("{} = {}").format(sql.SQL(column), sql.Placeholder(f"filter_{key}"))
