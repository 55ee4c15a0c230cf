"""Documents cut and indexed again with today's code, each in one transaction.

The file is read again where it still lies at its place with the digest that was ingested; else the stored text and
its structure are taken, so that uploads and files that moved can be indexed again too. What a file has become since is
not looked at: that is an ingest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from state import UserError
from store.database import Connections
from store.ingesting import corrections, writing
from store.ingesting.bulk import Bulk
from store.ingesting.preparing import Part, embed_parts, parts_of
from store.ingesting.writing import Vectors
from store.readers.extract import Extract, Unreadable, digest_of, with_structure
from store.readers.files import bytes_of, read_bytes
from store.schema.vectors import fenced


@dataclass
class ReindexReport:
    """What became of it; names in their order."""

    from_file: list[str] = field(default_factory=list)
    from_store: list[str] = field(default_factory=list)  # the file is gone or has changed: the stored text was cut
    passages: int = 0
    carried: int = 0  # corrections that hold
    aside: list[tuple[str, str]] = field(default_factory=list)  # document and text of corrections that no longer fit


class Reindex:
    """Indexes again what a store holds."""

    def __init__(self, connections: Connections, vectors: Vectors, *, limit_bytes: int) -> None:
        self._connections = connections
        self._vectors = vectors
        self._limit_bytes = limit_bytes

    def run(self, names: Sequence[str], on_progress: Callable[[str, int, int], None] | None = None) -> ReindexReport:
        """All documents, or those named. UserError for an unknown name, before anything is done."""
        with self._connections.use() as connection:
            stored = [str(row[0]) for row in connection.execute("SELECT name FROM documents ORDER BY name")]
        unknown = sorted(set(names) - set(stored))
        if unknown:
            raise UserError(f"there is no document {unknown[0]}: see the list of documents for the names")
        report = ReindexReport()
        wanted = list(names) or stored
        with Bulk(self._connections, self._vectors.table) as bulk:
            for done, name in enumerate(wanted, start=1):
                self._one(name, report, functools.partial(bulk.coming, done=done, total=len(wanted)))
                if on_progress is not None:
                    on_progress(name, done, len(wanted))
        return report

    def _one(self, name: str, report: ReindexReport, coming: Callable[[int], None]) -> None:
        """Prepared outside of the transaction, and again when the document was replaced meanwhile."""
        while True:
            found = self._read(name)
            if found is None:
                return  # deleted meanwhile
            extract, from_file = found
            parts = embed_parts(self._vectors.embedder, [(extract, part) for part in parts_of(extract)])
            coming(sum(part.with_vector for part in parts))
            if self._write(extract, parts, report):
                (report.from_file if from_file else report.from_store).append(name)
                return

    def _read(self, name: str) -> tuple[Extract, bool] | None:
        with self._connections.use() as connection:
            row = connection.execute(
                "SELECT name, format, digest, size, text, title, structure, source FROM documents WHERE name = %s",
                (name,),
            ).fetchone()
        if row is None:
            return None
        *facts, structure, source = row
        known: dict[str, Any] = dict(zip(("name", "format", "digest", "size", "text", "title"), facts, strict=True))
        try:
            data = bytes_of(Path(source), limit_bytes=self._limit_bytes) if source else b""
            if source and digest_of(data) == known["digest"]:
                return read_bytes(name, data, limit_bytes=self._limit_bytes), True
        except Unreadable:
            pass  # gone, or today's reader refuses it: what was read then is still there
        return with_structure(structure, **known), False

    def _write(self, extract: Extract, parts: list[Part], report: ReindexReport) -> bool:
        """Put the new passages in place of the old ones; False when the document is another one now."""
        with fenced(), self._connections.use() as connection, connection.transaction():
            writing.lock(connection, [extract.name])
            row = connection.execute(
                "SELECT digest, source, told_trust, metadata, ingested_at FROM documents WHERE name = %s",
                (extract.name,),
            ).fetchone()
            if row is None or row[0] != extract.digest:
                return False
            held = corrections.held(connection, extract.name)
            removed = writing.remove(connection, extract.name)
            written = writing.put(
                connection, extract, parts, self._vectors.table, source=row[1], told=row[2], metadata=row[3]
            )
            connection.execute("UPDATE documents SET ingested_at = %s WHERE id = %s", (row[4], written.number))
            outcome = corrections.carry_over(connection, self._vectors, held, written.number)
            writing.adjust_corpus(connection, written.passages - removed[0], written.terms - removed[1] + outcome.terms)
        report.passages += written.passages
        report.carried += outcome.carried
        report.aside += [(extract.name, text) for text in outcome.aside]
        return True
