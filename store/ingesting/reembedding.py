"""Embeds all passages anew beside the vectors in use, and switches to the new ones in one transaction.

While the new table is filled and indexed, searches and ingests go on with the old model. Every batch is committed:
after a kill the same call goes on where it was. What was ingested meanwhile is found by what the new table lacks; the
last of it is embedded under a lock on ``passages``, in the transaction that also writes the new model into
``store_meta`` and drops the old table. With the model that is in use already only what lacks a vector is embedded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, LiteralString, NamedTuple

from pgvector import HalfVector
from psycopg import sql

from state import Conflict
from store.database import Connection, connect
from store.models.embedding import Embedder
from store.schema.migrations import migrate
from store.schema.vectors import KEYS, VectorTable, create, index, meta, model_of, record, recorded_model
from store.searching.search import configure

Progress = Callable[[int, int], None]
"""Called after each batch with how many passages have their new vector and how many there are."""

BATCH: Final = 256
LAST: Final = 64
"""Passages that may be embedded while writers wait; with more left than that another round is made first."""
RUNNING: Final = 4_701_310_024  # the advisory lock of whoever embeds anew, held for its session
WRITERS_WAIT: Final = "LOCK TABLE passages IN SHARE ROW EXCLUSIVE MODE"

LACKING: LiteralString = (
    "FROM passages p WHERE p.current AND p.language = ANY(%(languages)s) "
    "AND NOT EXISTS (SELECT 1 FROM {} v WHERE v.passage = p.seq)"
)


class Lacking(NamedTuple):
    """A passage without a vector in the new table."""

    seq: int
    text: str


def reembed(dsn: str, embedder: Embedder, on_progress: Progress | None = None, *, batch: int = BATCH) -> int:
    """Give every passage that ``embedder`` knows the language of its vector; returns how many were made by this call.

    Raises:
        Conflict: another process embeds anew already.
        UserError, PassingFault: from the embedder or the server; what was done stays, call again.
    """
    with contextlib.closing(connect(dsn)) as connection:
        migrate(connection)
        configure(connection)
        connection.autocommit = True
        with _alone(connection):
            work = _Work(connection, embedder, on_progress, batch)
            return work.fill_in() if work.in_use() else work.change()


class _Work:
    """One call of :func:`reembed`."""

    def __init__(self, connection: Connection, embedder: Embedder, on_progress: Progress | None, batch: int) -> None:
        self._connection = connection
        self._embedder = embedder
        self._on_progress = on_progress
        self._batch = batch
        self._languages = sorted(embedder.languages)
        self.made = 0

    def in_use(self) -> bool:
        """Whether the store has this very model."""
        known = meta(self._connection)
        return "vectors" in known and recorded_model(known).fits(model_of(self._embedder))

    def fill_in(self) -> int:
        """Vectors for what lacks one in the table in use."""
        self._catch_up(VectorTable(int(meta(self._connection)["vectors"])))
        return self.made

    def change(self) -> int:
        """Fill the next table, index it, and switch."""
        table = self._next_table()
        self._catch_up(table)
        index(self._connection, table)
        while not self._switched(table):
            self._catch_up(table)
        return self.made

    def _next_table(self) -> VectorTable:
        """The table that an earlier call began for this model, or a new one; one that was begun for another goes."""
        connection = self._connection
        wanted = model_of(self._embedder)
        with connection.transaction():
            known, begun = meta(connection), meta(connection, "next_")
            if begun and recorded_model(begun).fits(wanted):
                return VectorTable(int(begun["vectors"]))
            if begun:
                connection.execute(WRITERS_WAIT)  # their trigger looks for tables of vectors
                _drop(connection, VectorTable(int(begun["vectors"])))
            table = VectorTable(max(int(known.get("vectors", 0)), int(begun.get("vectors", 0))) + 1)
            create(connection, table, wanted.dimension)
            record(connection, wanted, table, "next_")
        return table

    def _catch_up(self, table: VectorTable) -> None:
        done, lacks = self._counts(table)
        while lacking := self._lacking(table, self._batch):
            with self._connection.transaction():
                self._write(table, lacking)
            done, lacks = done + len(lacking), lacks - len(lacking)
            if self._on_progress is not None:
                self._on_progress(done, done + max(lacks, 0))

    def _switched(self, table: VectorTable) -> bool:
        """Switch, unless too much came in: then False, and nobody waited for long."""
        connection = self._connection
        with connection.transaction():
            connection.execute(WRITERS_WAIT)
            lacking = self._lacking(table, LAST + 1)
            if len(lacking) > LAST:
                return False
            self._write(table, lacking)
            known = meta(connection)
            if int(known.get("vectors", 0)):
                _drop(connection, VectorTable(int(known["vectors"])))
            elif known:
                connection.execute("ALTER TABLE passages DROP COLUMN IF EXISTS embedding")
            record(connection, model_of(self._embedder), table)
            connection.execute("DELETE FROM store_meta WHERE key = ANY(%s)", ([f"next_{key}" for key in KEYS],))
        return True

    def _lacking(self, table: VectorTable, limit: int) -> list[Lacking]:
        statement = sql.SQL("SELECT p.seq, p.title, p.text " + LACKING + " ORDER BY p.seq LIMIT {}").format(
            table.identifier, sql.Literal(limit)
        )
        rows = self._connection.execute(statement, {"languages": self._languages}).fetchall()
        return [Lacking(int(seq), f"{title}\n{text}") for seq, title, text in rows]

    def _write(self, table: VectorTable, lacking: Sequence[Lacking]) -> None:
        """In the caller's transaction. A passage that was deleted meanwhile is left out."""
        if not lacking:
            return
        vectors = self._embedder.embed([passage.text for passage in lacking])
        rows = [(passage.seq, HalfVector(vector)) for passage, vector in zip(lacking, vectors, strict=True)]
        statement = sql.SQL(
            "INSERT INTO {} SELECT seq, %s FROM passages WHERE seq = %s AND current FOR KEY SHARE "
            "ON CONFLICT DO NOTHING"
        ).format(table.identifier)
        self._connection.cursor().executemany(statement, [(vector, seq) for seq, vector in rows])
        self.made += len(rows)

    def _counts(self, table: VectorTable) -> tuple[int, int]:
        """How many passages have their vector, and how many lack it."""
        statement = sql.SQL("SELECT (SELECT count(*) FROM {}), (SELECT count(*) " + LACKING + ")").format(
            table.identifier, table.identifier
        )
        row = self._connection.execute(statement, {"languages": self._languages}).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """The lock goes with the session: a process that was killed holds nobody up."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (RUNNING,)).fetchone()
    if row is None or not row[0]:
        raise Conflict("another process embeds the documents anew already: wait for it")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (RUNNING,))


def _drop(connection: Connection, table: VectorTable) -> None:
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table.identifier))
