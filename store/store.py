"""The documents of a Dojang: put in, search, read back, correct, take out.

``DocumentStore`` satisfies ``nodes.ports.Retriever`` by its shape. It is safe to use from many threads; each
call takes a connection of its own, and one that died with its server is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from psycopg import sql

from state import Passage, Trust, UserError
from store.database import Connections, connect
from store.ingesting import corrections, writing
from store.ingesting.bulk import Finishing
from store.ingesting.corrections import Version
from store.ingesting.ingest import Ingest, IngestReport, Progress, Work
from store.ingesting.preparing import INDEX_VERSION
from store.ingesting.reindexing import Reindex, ReindexReport
from store.ingesting.spread import Spread
from store.ingesting.writing import Vectors
from store.models.embedding import Embedder
from store.models.reranking import Reranker, reranked, reranked_depth
from store.readers.files import LIMIT_BYTES
from store.schema.migrations import migrate
from store.schema.vectors import bind, fenced
from store.searching.search import Ranking, analysed, checked_k, configure, passage_of, search
from store.searching.statement import COLUMNS
from store.text.language import clean


class UnknownDocument(UserError):
    """There is no document of this name."""


class DocumentRow(TypedDict):
    """What the list of documents shows."""

    name: str
    title: str
    format: str
    size: int  # bytes of the file
    passages: int
    trust: Trust
    digest: str
    ingested_at: str  # ISO 8601, UTC
    metadata: dict[str, str]
    flagged: int  # passages that look as if they spoke to the model: a weak heuristic
    stale: bool  # indexed by older code: `dojang documents reindex`


class DocumentStore:
    """Documents in a PostgreSQL with pgvector.

    Args:
        dsn: where; see :class:`store.postgres.embedded.EmbeddedPostgres` for one that needs no setup.
        embedder: makes the vectors; None searches by words alone.
        ranking: the numbers of the ranking.
        reranker: puts the first passages of a search in another order; None leaves them.
        limit_bytes: larger files are refused.

    Raises:
        UserError: the server refuses, lacks pgvector, or was embedded by another model.
        PassingFault: no server answers.
    """

    def __init__(
        self,
        dsn: str,
        embedder: Embedder | None,
        *,
        ranking: Ranking | None = None,
        reranker: Reranker | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.embedder = embedder
        self.reranker = reranker
        self.ranking = ranking or Ranking()
        self._dsn = dsn
        self._limit_bytes = limit_bytes
        self._connections = Connections(dsn, configure)
        with contextlib.closing(connect(dsn)) as connection:
            migrate(connection)
            self._table = bind(connection, embedder)
            self._finishing = Finishing(self._connections, self._table)
            self._finishing.begin(connection)
        weakref.finalize(self, self._connections.close)  # for a store that nobody closed

    def close(self) -> None:
        """Give the connections back; where a cut-off ingest left the index of vectors unmade, wait for it a minute."""
        self._finishing.wait()
        self._connections.close()

    def __enter__(self) -> DocumentStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ingest(
        self,
        paths: Sequence[Path | str],
        on_progress: Progress | None = None,
        trust: Trust = "trusted",
        metadata: Mapping[str, str] | None = None,
        *,
        on_work: Work | None = None,
        spread: Spread | None = None,
    ) -> IngestReport:
        """Put files and folders in, some documents a transaction, so that one that was cut short can be repeated.

        A file in a folder is named by its path below that folder, a single file by its file name. What is there
        already with the same content stays untouched; a changed file replaces its passages, and corrections are
        carried over or set aside (:mod:`store.ingesting.corrections`). A file that cannot be read is reported, the rest
        goes in. ``spread``: Ray workers read and embed them.
        """
        return self._ingest(trust, metadata, on_progress, on_work).files(paths, spread)

    def ingest_bytes(
        self,
        name: str,
        data: bytes,
        *,
        trust: Trust = "untrusted",
        metadata: Mapping[str, str] | None = None,
        on_work: Work | None = None,
    ) -> IngestReport:
        """Put one uploaded document in, in place of an upload of the same name. Raises UserError when unreadable."""
        return self._ingest(trust, metadata, None, on_work).upload(clean(name), data)

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """At most ``k`` passages, best first; [] when nothing matches, as a query without any word.

        Filters are exact: ``document``, ``language``, ``format``, ``trust``, ``title``, ``page``, ``digest``; any other
        key is one of the metadata given at ingest.
        """
        wanted = reranked_depth(checked_k(k), self.reranker)
        asked = analysed(query, self.embedder, self.ranking)
        if not asked:
            return []
        with fenced(), self._connections.use() as connection:
            found = search(connection, asked, k=wanted, filters=filters, table=self._table, ranking=self.ranking)
        return reranked(query, found, self.reranker, k)

    async def asearch(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """:meth:`search` in a thread, so that the event loop goes on: Kiwi and torch would block it as well."""
        return await asyncio.to_thread(self.search, query, k=k, filters=filters)

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order, old versions too; ids that are gone are left out."""
        statement = sql.SQL(
            "SELECT {} FROM passages p JOIN documents d ON d.id = p.document WHERE p.id = ANY(%s)"
        ).format(COLUMNS)
        with self._connections.use() as connection:
            rows = connection.execute(statement, ([clean(one) for one in ids],)).fetchall()
            flags = writing.flags_of(connection, [row[0] for row in rows])
        found = {row[0]: passage_of(row, {}) for row in rows}
        for one, said in flags.items():
            found[one]["flags"] = said
        return [found[one] for one in ids if one in found]

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        with self._connections.use() as connection:
            rows = connection.execute(
                "SELECT name, title, format, size, passages, trust, digest, "
                "to_char(ingested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), metadata, "
                "(SELECT count(*) FROM passages p WHERE p.document = d.id AND p.current AND p.flags <> '{}'), "
                "made_by < %s "
                "FROM documents d ORDER BY name",
                (INDEX_VERSION,),
            ).fetchall()
        return [DocumentRow(**dict(zip(DocumentRow.__annotations__, row, strict=True))) for row in rows]  # type: ignore[typeddict-item]

    def passages_of(self, name: str, *, after: tuple[int, str] = (-1, ""), limit: int = 100) -> list[Passage]:
        """The current passages of a document, in their order, behind that of this start and id. UnknownDocument."""
        with self._connections.use() as connection:
            row = connection.execute("SELECT id FROM documents WHERE name = %s", (clean(name),)).fetchone()
            if row is None:
                raise _no_document(name)
            rows = connection.execute(
                "SELECT id FROM passages WHERE document = %s AND current AND (start_at, id) > (%s, %s) "
                "ORDER BY start_at, id LIMIT %s",
                (row[0], *after, limit),
            ).fetchall()
        return self.fetch([str(one[0]) for one in rows])

    def corrections_of(self, name: str) -> list[Version]:
        """What people corrected in a document, oldest first, also of passages that are gone."""
        with self._connections.use() as connection:
            return corrections.of_document(connection, clean(name))

    def document_text(self, name: str) -> str:
        """The extracted text in which passages' offsets count. UserError when there is no such document."""
        with self._connections.use() as connection:
            row = connection.execute("SELECT text FROM documents WHERE name = %s", (clean(name),)).fetchone()
        if row is None:
            raise _no_document(name)
        return str(row[0])

    def delete(self, name: str) -> None:
        """Take a document and its passages out. UserError when there is no such document."""
        with self._connections.use() as connection:
            if not writing.delete(connection, clean(name)):
                raise _no_document(name)

    def correct(self, passage: str, text: str, *, author: str, reason: str) -> Passage:
        """A new version of a passage, by a person; the old one stays readable by its id but is no longer found.

        Raises:
            UserError: empty text, no author, or no such passage.
            Conflict: somebody corrected it before.
        """
        with fenced(), self._connections.use() as connection, connection.transaction():
            new = corrections.correct(connection, self._vectors, passage, text, author=author, reason=reason)
        return self.fetch([new])[0]

    def undo_correction(self, passage: str, *, author: str, reason: str = "") -> Passage:
        """Back to the text before the last correction that stands, as a new version. Raises as :meth:`correct`."""
        with fenced(), self._connections.use() as connection, connection.transaction():
            new = corrections.undo(connection, self._vectors, passage, author=author, reason=reason)
        return self.fetch([new])[0]

    def history(self, passage: str) -> list[Version]:
        """The versions of a passage, by any of their ids, oldest first; [] where it was never corrected."""
        with self._connections.use() as connection:
            return corrections.history(connection, passage)

    def set_aside(self) -> list[Version]:
        """Corrections that no longer fit their document, until :meth:`settle`."""
        with self._connections.use() as connection:
            return corrections.set_aside(connection)

    def settle(self, number: int, *, author: str, reason: str = "") -> None:
        """Note that a person looked at a correction that was set aside. UserError where there is no such one."""
        with self._connections.use() as connection, connection.transaction():
            corrections.settle(connection, number, author=author, reason=reason)

    def set_trust(self, name: str, trust: Trust, *, author: str, reason: str) -> None:
        """What a person says of a document's trust; it holds until its content changes. UserError where it is gone."""
        with self._connections.use() as connection, connection.transaction():
            if not writing.set_trust(connection, clean(name), trust, author=clean(author), reason=clean(reason)):
                raise _no_document(name)

    def reindex(self, names: Sequence[str] = (), on_progress: Progress | None = None) -> ReindexReport:
        """Cut and index documents again with today's code, each atomically; all where none is named."""
        return Reindex(self._connections, self._vectors, limit_bytes=self._limit_bytes).run(
            [clean(name) for name in names], on_progress
        )

    @property
    def _vectors(self) -> Vectors:
        return Vectors(self.embedder, self._table)

    def _ingest(
        self,
        trust: Trust,
        metadata: Mapping[str, str] | None,
        on_progress: Progress | None = None,
        on_work: Work | None = None,
    ) -> Ingest:
        return Ingest(
            self._connections,
            self._vectors,
            trust=trust,
            metadata=metadata,
            limit_bytes=self._limit_bytes,
            on_progress=on_progress,
            on_work=on_work,
        )


def _no_document(name: str) -> UnknownDocument:
    return UnknownDocument(f"there is no document {name}: see the list of documents for the names")
