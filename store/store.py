"""The documents of a Dojang: put in, search, read back, correct, take out.

``DocumentStore`` satisfies ``nodes.ports.Retriever`` by its shape. It is safe to use from many threads; each
call takes a connection of its own, and one that died with its server is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

from pgvector.psycopg import register_vector
from psycopg import sql

from state import Conflict, Passage, Trust, UserError
from store import ingest as writing
from store.database import Connection, Connections, connect
from store.embedding import Embedder
from store.ingest import IngestReport, index_terms, length_of, passage_id
from store.language import clean, language_of, sentences
from store.reading import LIMIT_BYTES, READERS, Extract, Unreadable, read, read_bytes
from store.reranking import Reranker, reranked, reranked_depth
from store.schema import migrate
from store.search import SETTINGS, Ranking, analysed, checked_k, passage_of, search
from store.statement import COLUMNS
from store.vectors import bind, fenced, remove_vector, write_vectors

Progress = Callable[[str, int, int], None]
"""Called after each document with its name, how many are done, and how many there are."""


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


class DocumentStore:
    """Documents in a PostgreSQL with pgvector.

    Args:
        dsn: where; see :class:`store.embedded.EmbeddedPostgres` for one that needs no setup.
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
        with contextlib.closing(connect(dsn)) as connection:
            migrate(connection)
            self._table = bind(connection, embedder)
        self._connections = Connections(dsn, configure)
        weakref.finalize(self, self._connections.close)  # for a store that nobody closed

    def close(self) -> None:
        """Give the connections back."""
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
    ) -> IngestReport:
        """Put files and folders in; one transaction a document, so that a broken or cut-short batch can be repeated.

        A file in a folder is named by its path below that folder, a single file by its file name. What is there
        already with the same content stays untouched; a changed file replaces its passages. A file that cannot be
        read is reported and the rest goes in.
        """
        report = IngestReport()
        files = list(files_of(paths))
        for done, (name, path) in enumerate(files, start=1):
            try:
                extract = read(path, name=name, limit_bytes=self._limit_bytes)
                self._put(extract, str(path.absolute()), trust, metadata or {}, report)
            except UserError as error:
                report.failed.append((name, str(error)))
            if on_progress is not None:
                on_progress(name, done, len(files))
        return report

    def ingest_bytes(
        self, name: str, data: bytes, *, trust: Trust = "untrusted", metadata: Mapping[str, str] | None = None
    ) -> IngestReport:
        """Put one uploaded document in, in place of an upload of the same name. Raises UserError when unreadable."""
        report = IngestReport()
        self._put(read_bytes(clean(name), data, limit_bytes=self._limit_bytes), "", trust, metadata or {}, report)
        return report

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
        found = {row[0]: passage_of(row, {}) for row in rows}
        return [found[one] for one in ids if one in found]

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        with self._connections.use() as connection:
            rows = connection.execute(
                "SELECT name, title, format, size, passages, trust, digest, "
                "to_char(ingested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), metadata "
                "FROM documents ORDER BY name"
            ).fetchall()
        return [DocumentRow(**dict(zip(DocumentRow.__annotations__, row, strict=True))) for row in rows]  # type: ignore[typeddict-item]

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
        text = clean(text).strip()
        if not text or not author.strip():
            raise UserError("a correction needs a text and an author")
        with fenced(), self._connections.use() as connection, connection.transaction():
            row = connection.execute(
                "SELECT p.seq, p.document, p.version, p.current, p.start_at, p.end_at, p.page, p.title, p.length, "
                "d.digest, d.name FROM passages p JOIN documents d ON d.id = p.document "
                "WHERE p.id = %s FOR UPDATE OF p",
                (clean(passage),),
            ).fetchone()
            if row is None:
                raise UserError(f"passage {passage} is gone: search again")
            if not row[3]:
                raise Conflict(
                    f"passage {passage} was corrected by somebody else: search again and correct the newer one"
                )
            new_id = self._write_correction(connection, row, text, author.strip(), clean(reason))
        return self.fetch([new_id])[0]

    def _put(
        self, extract: Extract, source: str, trust: Trust, metadata: Mapping[str, str], report: IngestReport
    ) -> None:
        with self._connections.use() as connection:
            known = writing.stored_digest(connection, extract.name)
        if known is not None and known[:2] == (extract.digest, trust):
            report.unchanged.append(extract.name)
            return
        if known is not None and source and known[2] not in ("", source):
            raise Unreadable(
                f"{extract.name} is the name of another document, from {known[2]}: "
                f"ingest their common folder, or delete the old one first"
            )
        facts = {clean(key): clean(str(value)) for key, value in metadata.items()}
        prepared = writing.prepare(extract, self.embedder, source=source, trust=trust, metadata=facts)
        with fenced(), self._connections.use() as connection:
            fate = writing.write(connection, prepared, self._table)
        getattr(report, fate).append(extract.name)
        report.passages += 0 if fate == "unchanged" else len(prepared.chunks)

    def _write_correction(
        self, connection: Connection, old: tuple[Any, ...], text: str, author: str, reason: str
    ) -> str:
        seq, document, version, _, start, end, page, title, old_length, digest, name = old
        new_id = passage_id(f"{digest}\n{text}", name, start, end, version + 1)
        language = language_of(text)
        counts = index_terms(title, text)
        length = length_of(counts)
        connection.execute("UPDATE passages SET current = false WHERE seq = %s", (seq,))
        connection.execute("DELETE FROM postings WHERE passage = %s", (seq,))
        flat = [offset for span in sentences(text) for offset in span]
        row = connection.execute(
            "INSERT INTO passages (id, document, version, start_at, end_at, page, language, title, text, sentences, "
            "length, author, reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING seq",
            (
                new_id,
                document,
                version + 1,
                start,
                end,
                page,
                language,
                title,
                text,
                flat,
                length,
                author,
                reason,
            ),
        ).fetchone()
        assert row is not None
        connection.cursor().executemany(
            "INSERT INTO postings VALUES (%s, %s, %s, %s)",
            [(term, row[0], count, length) for term, count in counts.items()],
        )
        vector = writing.embed_known(self.embedder, [(language, title, text)])[0]
        remove_vector(connection, self._table, seq)
        write_vectors(connection, self._table, [row[0]], [vector])
        connection.execute("UPDATE corpus SET terms = terms + %s", (length - old_length,))
        return new_id


def configure(connection: Connection) -> None:
    """Types and settings of a connection that searches."""
    register_vector(connection)
    for setting in SETTINGS:
        connection.execute(setting)
    connection.commit()


def files_of(paths: Sequence[Path | str]) -> Iterator[tuple[str, Path]]:
    """Name and path of each file; folders are walked."""
    for given in paths:
        path = Path(given)
        if not path.is_dir():
            yield clean(path.name), path
            continue
        for file in sorted(path.rglob("*")):
            below = file.relative_to(path)
            hidden = any(part.startswith((".", "~$")) for part in below.parts)
            if file.is_file() and not hidden and file.suffix.lower() in READERS:
                yield clean(below.as_posix()), file


def _no_document(name: str) -> UserError:
    return UserError(f"there is no document {name}: see the list of documents for the names")
