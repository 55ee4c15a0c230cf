"""When an ingest is large, the index of vectors is left out while it runs and made at its end.

Nothing is recorded: an index that is missing is to be made, by whoever ends an ingest or opens the store while no large
ingest is under way. Searches meanwhile compare all vectors. docs/adr/0017-bulk-ingest.md has the figures and why.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

import psycopg
from psycopg import sql

from state import Conflict, DojangError
from store.database import Connection, Connections
from store.schema.vectors import VectorTable, fenced, index, index_name, is_indexed

LOCK = 4_701_310_025  # any fixed number: shared by large ingests, alone for whoever makes the index
AT_LEAST = 1_000  # vectors to come; fewer are indexed one by one
SHARE = 6  # an ingest of a sixth of what is there is large
SLOW = 200_000  # above, comparing all for a search is too slow for so little gain: as many as are there must come
DROP_WAIT = "3s"  # for searches and other ingests; nobody else waits longer for us
CLOSE_WAIT_S = 60.0
UNLOCK: Final = "SELECT pg_advisory_unlock(%s)"
UNLOCK_SHARED: Final = "SELECT pg_advisory_unlock_shared(%s)"

OnBuild = Callable[[int], None]
"""Hears how many vectors are about to be indexed."""


class Bulk:
    """One ingest's use of the index. ``with Bulk(…) as bulk:``, and :meth:`coming` before each batch."""

    def __init__(self, connections: Connections, table: VectorTable, on_build: OnBuild | None = None) -> None:
        self._connections = connections
        self._table = table
        self._on_build = on_build
        self._stack = contextlib.ExitStack()
        self._made = 0
        self._there: int | None = None
        self._holds = False

    def __enter__(self) -> Bulk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is None and self._made and self._table.number:
            # another model may have taken over after the last batch: that one's table has its own index
            with contextlib.suppress(Conflict), self._connections.use() as connection:
                finish(connection, self._table, self._on_build)

    def coming(self, vectors: int, done: int, total: int) -> None:
        """So many vectors come with the next batch, after which ``done`` of ``total`` documents are done.

        Outside of a transaction. Drops the index where it pays.
        """
        self._made += vectors
        expected = self._made * max(total, done) // max(done, 1)
        if not vectors or expected < AT_LEAST or not self._large(expected):
            return
        self._hold()
        with fenced(), self._connections.use() as connection:
            if is_indexed(connection, self._table):
                _drop(connection, self._table)

    def _large(self, expected: int) -> bool:
        if self._there is None:
            with fenced(), self._connections.use() as connection:
                self._there = _count(connection, self._table)
        return expected * (SHARE if self._there <= SLOW else 1) >= self._there

    def _hold(self) -> None:
        """Keep others from making the index. Where the connection breaks, they may: that costs time, nothing else."""
        if not self._holds:
            self._stack.enter_context(_locked(self._stack.enter_context(self._connections.use()), shared=True))
            self._holds = True


def finish(connection: Connection, table: VectorTable, on_build: OnBuild | None = None) -> bool:
    """Make the index if it is missing and no large ingest goes on; whether it was made by this call."""
    if is_indexed(connection, table):
        return False
    with _locked(connection, shared=False) as alone:
        if not alone or is_indexed(connection, table):
            return False
        with fenced():
            if on_build is not None:
                on_build(_count(connection, table))
            index(connection, table)
            connection.execute(sql.SQL("ANALYZE {}").format(table.identifier))
    return True


class Finishing:
    """Makes an index that a killed ingest has left missing, beside the work of the store that was opened."""

    def __init__(self, connections: Connections, table: VectorTable) -> None:
        self._connections = connections
        self._table = table
        self._thread: threading.Thread | None = None

    def begin(self, connection: Connection) -> None:
        """Where it is missing."""
        if self._table.number and not is_indexed(connection, self._table):
            self._thread = threading.Thread(target=self._run, name="dojang-index", daemon=True)
            self._thread.start()

    def wait(self, timeout_s: float = CLOSE_WAIT_S) -> None:
        """Until it is made; whoever opens the store next goes on with what takes longer."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        # a server that goes away, or another model: whoever asks the store next is told
        with contextlib.suppress(DojangError, psycopg.Error), self._connections.use() as connection:
            finish(connection, self._table)


@contextlib.contextmanager
def _locked(connection: Connection, *, shared: bool) -> Iterator[bool]:
    """For the session: the lock of a process that was killed goes with it. Only waits where it is shared."""
    taken = True
    if shared:
        connection.execute("SELECT pg_advisory_lock_shared(%s)", (LOCK,))
    else:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
        taken = bool(row and row[0])
    try:
        yield taken
    finally:
        if taken:
            with contextlib.suppress(psycopg.OperationalError):  # it broke: the lock is gone as well
                connection.execute(UNLOCK_SHARED if shared else UNLOCK, (LOCK,))


def _drop(connection: Connection, table: VectorTable) -> None:
    """At once or, where somebody reads or writes all the time, not now."""
    with contextlib.suppress(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(DROP_WAIT)))
            connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(index_name(table))))


def _count(connection: Connection, table: VectorTable) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table.identifier)).fetchone()
    return int(row[0]) if row else 0
