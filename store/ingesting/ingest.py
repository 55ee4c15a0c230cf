"""Files into the store, some documents a transaction. Killed anywhere, it is taken up by doing it again.

A batch commits whole or not at all; what was committed is known by its digest the next time and is not even parsed. So
there is no journal. Reading, cutting, analysing and embedding happen before the transaction. A batch is what lies in
memory; what a document larger than that needs waits on disk.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from state import Trust, UserError
from store.database import Connections
from store.ingesting import corrections, writing
from store.ingesting.bulk import Bulk
from store.ingesting.folders import Found, files_of
from store.ingesting.preparing import (
    Part,
    Prepared,
    Spool,
    embed_known,
    embed_parts,
    index_terms,
    length_of,
    parts_of,
    passage_id,
    prepare,
)
from store.ingesting.reading import STREAMED_CHARACTERS, Known, read_in
from store.ingesting.spread import Spread, over
from store.ingesting.writing import Fate, Vectors
from store.readers.extract import Extract, Unreadable
from store.readers.files import LIMIT_BYTES, bytes_of
from store.schema.vectors import fenced
from store.text.language import clean

__all__ = [
    "STREAMED_CHARACTERS",
    "Fate",
    "Ingest",
    "IngestReport",
    "Prepared",
    "Work",
    "embed_known",
    "index_terms",
    "length_of",
    "passage_id",
    "prepare",
]

BATCH_DOCUMENTS = 64
BATCH_CHARACTERS = 2**20  # about 4,000 passages

Stage = Literal["read", "embedded", "written", "indexing"]
Work = Callable[[Stage, int], None]
"""Called with how many more passages were read (cut and analysed), embedded or written, and last, where the index of
vectors is made anew, with how many are about to be indexed."""
Progress = Callable[[str, int, int], None]
"""Called after each document with its name, how many are done, and how many there are."""


@dataclass
class IngestReport:
    """What became of an ingest; names in the order of ingest."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)  # name and the message for a person
    passages: int = 0  # written by this batch
    flagged: list[str] = field(default_factory=list)  # documents with passages that speak to the model
    carried: int = 0  # corrections that hold for the changed file too
    aside: list[tuple[str, str]] = field(default_factory=list)  # document and text of corrections that no longer fit


@dataclass(frozen=True)
class _Job:
    extract: Extract
    source: str
    parts: Sequence[Part] | None = None  # where somebody else has cut, analysed and embedded it


class Ingest:
    """One ingest: files are given to it, it writes them batch by batch. For one thread."""

    def __init__(
        self,
        connections: Connections,
        vectors: Vectors,
        *,
        trust: Trust,
        metadata: Mapping[str, str] | None = None,
        limit_bytes: int = LIMIT_BYTES,
        on_progress: Progress | None = None,
        on_work: Work | None = None,
    ) -> None:
        self.report = IngestReport()
        self._connections = connections
        self._vectors = vectors
        self._trust: Trust = trust
        self._metadata = {clean(key): clean(str(value)) for key, value in (metadata or {}).items()}
        self._limit_bytes = limit_bytes
        self._on_progress = on_progress or (lambda name, done, total: None)
        self._on_work: Work = on_work or (lambda stage, passages: None)
        self._bulk = Bulk(connections, vectors.table, lambda n: self._on_work("indexing", n))
        self._batch: list[_Job] = []
        self._done = self._total = 0

    def files(self, paths: Sequence[Path | str], spread: Spread | None = None) -> IngestReport:
        """Files and folders. What cannot be read is reported, the rest goes in.

        ``spread``: they are read and embedded by Ray workers, and written here all the same, batch by batch.
        """
        found = list(files_of(paths))
        self._total = len(found)
        if spread is not None:
            return self._spread(found, spread)
        with self._bulk:
            for start in range(0, len(found), 1_000):
                some = found[start : start + 1_000]
                with self._connections.use() as connection:
                    known = writing.known_documents(connection, [one.name for one in some])
                for one in some:
                    self._file(one, known.get(one.name))
            self._flush()
        return self.report

    def _spread(self, found: Sequence[Found], spread: Spread) -> IngestReport:
        known: dict[str, Known] = {}
        for start in range(0, len(found), 1_000):
            with self._connections.use() as connection:
                known |= writing.known_documents(connection, [one.name for one in found[start : start + 1_000]])
        made = over(spread, found, known, trust=self._trust, limit_bytes=self._limit_bytes)
        with self._bulk, contextlib.closing(made):
            for one, done in zip(found, made, strict=True):
                if done.what == "large":
                    self._file(one, known.get(one.name))
                elif done.extract is not None:
                    passages = sum(len(part.chunks) for part in done.parts)
                    self._on_work("read", passages)
                    self._on_work("embedded", passages)
                    self._take(_Job(done.extract, str(one.path.absolute()), done.parts))
                else:
                    if done.what == "unchanged":
                        self.report.unchanged.append(one.name)
                    else:
                        self.report.failed.append((one.name, done.why))
                    self._tell(one.name)
            self._flush()
        return self.report

    def upload(self, name: str, data: bytes) -> IngestReport:
        """One document from memory. Raises UserError when it is unreadable."""
        self._total = 1
        with self._connections.use() as connection:
            known = writing.known_documents(connection, [name]).get(name)
        with self._bulk:
            self._offer(name, data, "", known)
            self._flush()
        return self.report

    def _file(self, one: Found, known: Known | None) -> None:
        try:
            if one.refused:
                raise Unreadable(f"{one.name}: {one.refused}")
            data = bytes_of(one.path, limit_bytes=self._limit_bytes)
            self._offer(one.name, data, str(one.path.absolute()), known)
        except UserError as error:
            self.report.failed.append((one.name, str(error)))
            self._tell(one.name)

    def _offer(self, name: str, data: bytes, source: str, known: Known | None) -> None:
        """Take a document into the batch, unless it is there already."""
        extract = read_in(name, data, source, known, self._trust, limit_bytes=self._limit_bytes)
        if extract is None:
            self.report.unchanged.append(name)
            self._tell(name)
            return
        self._take(_Job(extract, source))

    def _take(self, job: _Job) -> None:
        """Into the batch, which is written when it is large enough."""
        size = len(job.extract.text)
        if size > STREAMED_CHARACTERS:
            self._flush()
            self._streamed(job)
            return
        waiting = sum(len(one.extract.text) for one in self._batch)
        again = any(
            one.extract.name == job.extract.name for one in self._batch
        )  # named twice: the second is seen as a change
        if again or len(self._batch) >= BATCH_DOCUMENTS or waiting + size > BATCH_CHARACTERS:
            self._flush()
        self._batch.append(job)

    def _streamed(self, job: _Job) -> None:
        vectors = 0
        with contextlib.closing(Spool()) as spool:
            for part in parts_of(job.extract):
                self._on_work("read", len(part.chunks))
                for embedded in embed_parts(
                    self._vectors.embedder, [(job.extract, part)], lambda n: self._on_work("embedded", n)
                ):
                    spool.put(embedded)
                    vectors += embedded.with_vector
            self._write([job], [iter(spool)], vectors)

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        analysed: list[tuple[Extract, Part]] = []
        owners: list[int] = []
        for index, job in enumerate(batch):
            for part in parts_of(job.extract) if job.parts is None else ():
                analysed.append((job.extract, part))
                owners.append(index)
                self._on_work("read", len(part.chunks))
        embedded = embed_parts(self._vectors.embedder, analysed, lambda n: self._on_work("embedded", n))
        parts: list[list[Part]] = [list(job.parts or ()) for job in batch]
        for index, part in zip(owners, embedded, strict=True):
            parts[index].append(part)
        self._write(batch, [iter(one) for one in parts], sum(part.with_vector for one in parts for part in one))

    def _write(self, batch: list[_Job], parts: list[Iterator[Part]], vectors: int) -> None:
        """One transaction; the report changes only when it is committed."""
        self._bulk.coming(vectors, self._done + len(batch), self._total)
        news = IngestReport()
        fates: list[tuple[str, Fate]] = []
        with fenced(), self._connections.use() as connection, connection.transaction():
            names = [job.extract.name for job in batch]
            writing.lock(connection, names)
            known = writing.known_documents(connection, names)
            passages = lengths = 0
            for job, own in zip(batch, parts, strict=True):
                name = job.extract.name
                before = known.get(name)
                if before is not None and before.same(job.extract.digest, self._trust):
                    fates.append((name, "unchanged"))
                    continue
                held = corrections.held(connection, name)
                removed = writing.remove(connection, name) if before is not None else (0, 0)
                written = writing.put(
                    connection,
                    job.extract,
                    own,
                    self._vectors.table,
                    source=job.source,
                    told=self._trust,
                    metadata=self._metadata,
                )
                outcome = corrections.carry_over(connection, self._vectors, held, written.number)
                passages += written.passages - removed[0]
                lengths += written.terms - removed[1] + outcome.terms
                fates.append((name, "added" if before is None else "replaced"))
                news.passages += written.passages
                news.carried += outcome.carried
                news.aside += [(name, text) for text in outcome.aside]
                news.flagged += [name] if written.flagged else []
                self._on_work("written", written.passages)
            writing.adjust_corpus(connection, passages, lengths)
        self._settle(news, fates)

    def _settle(self, news: IngestReport, fates: list[tuple[str, Fate]]) -> None:
        self.report.passages += news.passages
        self.report.carried += news.carried
        self.report.aside += news.aside
        self.report.flagged += news.flagged
        for name, fate in fates:
            getattr(self.report, fate).append(name)
            self._tell(name)

    def _tell(self, name: str) -> None:
        self._done += 1
        self._on_progress(name, self._done, self._total)
