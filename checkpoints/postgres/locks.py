"""A run's lock in PostgreSQL, and the connection that is the run's only way to write (ADR 37).

The lock is the server's: it lasts as long as the connection that took it. A worker whose connection is gone has lost
the lock, whether it knows or not, and what it writes afterwards must not reach a thread that somebody else runs by
now. So whatever is put into a thread by a run goes through that very connection (:class:`Hold`), and where it is gone
there is no other way. Needs sessions of the server's: a pooler that gives each transaction another one (PgBouncer's
``transaction`` mode) breaks it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

import psycopg

from checkpoints.errors import SessionsAway, ThreadBusy
from checkpoints.files.folders import FORMAT, folder_name
from checkpoints.postgres.database import Connection, Database, away
from checkpoints.values.codec import is_text
from state import UserError

SPARE: Final = 4
"""Connections without a lock that are kept for the next runs of this process."""

TAKE: Final = """
    WITH got AS MATERIALIZED (
        SELECT pg_try_advisory_lock(%(key)s) AS got, set_config('synchronous_commit', 'off', true) AS fast
    ), named AS (
        INSERT INTO threads AS t (folder, thread_id, format, created_at, holder)
        SELECT %(folder)s, %(thread)s, %(format)s, moment(), %(holder)s FROM got WHERE got
        ON CONFLICT (folder) DO UPDATE SET holder = EXCLUDED.holder
    )
    SELECT got, fast, (SELECT holder FROM threads WHERE folder = %(folder)s) FROM got
"""
"""One way there and back. Who holds it is for messages only: it need not be on the disk."""
GIVE_BACK: Final = """
    WITH cleared AS (
        UPDATE threads SET holder = '' WHERE folder = (
            SELECT folder FROM threads WHERE folder = %(folder)s AND holder = %(holder)s FOR UPDATE SKIP LOCKED
        )
    )
    SELECT pg_advisory_unlock(%(key)s), set_config('synchronous_commit', 'off', true)
"""
FLUSH: Final = "SELECT pg_logical_emit_message(true, 'dojang', '')"
"""The smallest transaction that the server writes and waits for; with it, all that was committed before is there."""


def lock_key(thread_id: str) -> int:
    """The number of a thread's advisory lock: 64 bits of a hash, signed."""
    return int.from_bytes(hashlib.sha256(b"dojang: a run of " + thread_id.encode()).digest()[:8], signed=True)


def storable(thread_id: str) -> str:
    """The id, where PostgreSQL can hold it; UserError."""
    if "\0" in thread_id or not is_text(thread_id):
        raise UserError(
            f"thread {thread_id!r} cannot be kept in PostgreSQL: its id has a NUL character or half of a surrogate "
            "pair in it; choose another id"
        )
    return thread_id


class Hold:
    """A thread's lock and the connection that has it. Threads of one run take turns."""

    def __init__(self, thread_id: str, db: Connection, holder: str) -> None:
        self.thread_id, self.db, self.holder = thread_id, db, holder
        self.loose = 0  # blocks in which nobody waits for the disk
        self._owed = False  # something was put meanwhile
        self._over = False
        self._mutex = threading.Lock()

    @contextmanager
    def use(self, *, settling: bool = False) -> Iterator[Connection]:
        """The connection, to write into the thread. ``settling``: afterwards all is on the disk, loose or not.

        Raises:
            SessionsAway: it is gone and the lock with it, or the run is over; nothing is written, now or later.
        """
        with self._mutex:
            if self._over or self.db.closed:
                raise self._lost()
            try:
                yield self.db
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise (self._lost() if self.db.closed else away(error)) from None
            self._owed = self.loose > 0 and not settling

    def flush(self) -> None:
        """Return when all that was put is on the disk; SessionsAway."""
        if self._owed:
            with self.use(settling=True) as db:
                db.execute(FLUSH)

    def end(self) -> Connection | None:
        """Give the lock back; the connection, where it can be used again. Whoever still writes is refused."""
        with self._mutex:
            self._over = True
            db = self.db
            with suppress(psycopg.Error):
                given = db.execute(
                    GIVE_BACK,
                    {"key": lock_key(self.thread_id), "folder": folder_name(self.thread_id), "holder": self.holder},
                ).fetchone()
                if given is not None and given[0]:
                    return db
            db.close()
            return None

    def _lost(self) -> SessionsAway:
        return SessionsAway(
            f"the run on thread {self.thread_id!r} has lost its lock: its connection to the database is gone, and "
            "somebody else may go on with the thread; nothing more of it is written"
        )


_mine: ContextVar[tuple[Hold, ...]] = ContextVar("dojang_holds", default=())
"""The locks of the run that this code belongs to, innermost first; LangGraph's threads begin with a copy of it."""


class RunLocks:
    """The run locks that this process holds in one database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._mutex = threading.Lock()
        self._held: dict[str, Hold] = {}
        self._spare: list[Connection] = []
        self._closed = False

    def of(self, thread_id: str) -> Hold | None:
        """The lock of the run that asks, also where it has ended; else whichever this process holds on the thread."""
        for hold in _mine.get():
            if hold.thread_id == thread_id:
                return hold
        return self._held.get(thread_id)

    @contextmanager
    def run_lock(self, thread_id: str, owner: str) -> Iterator[None]:
        """Hold a thread for one run; ThreadBusy at once, naming the holder, if another run has it.

        The server releases it when the connection breaks: at once where the process dies, after ``DEAD_S`` where the
        machine or the network does. Not reentrant, and not to be taken inside of a transaction.

        Raises:
            ThreadBusy: somebody else has it.
            SessionsAway: the server is away.
        """
        assert not self.database.inside, "a run lock inside of a transaction would wait for that"
        hold = self._taken(storable(thread_id), owner)
        with self._mutex:
            self._held[thread_id] = hold
        token = _mine.set((hold, *_mine.get()))
        try:
            yield
        finally:
            with suppress(ValueError):  # a generator that is closed elsewhere: that context ends with it
                _mine.reset(token)
            with self._mutex:
                del self._held[thread_id]
            self._keep(hold.end())

    def close(self) -> None:
        """Close the connections without a lock; those with one close when their run ends."""
        with self._mutex:
            self._closed = True
            spare, self._spare = self._spare, []
        for db in spare:
            db.close()

    def _keep(self, db: Connection | None) -> None:
        with self._mutex:
            if db is not None and not self._closed and len(self._spare) < SPARE:
                self._spare.append(db)
                return
        if db is not None:
            db.close()

    def _taken(self, thread_id: str, owner: str) -> Hold:
        who = {
            "owner": f"{owner} @ {socket.gethostname()}",
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(),
        }
        holder = json.dumps(who)
        asked = {
            "key": lock_key(thread_id), "folder": folder_name(thread_id), "thread": thread_id, "format": FORMAT,
            "holder": holder,
        }  # fmt: skip
        while True:
            with self._mutex:
                db, used = (self._spare.pop(), True) if self._spare else (None, False)
            if db is None:
                db = self.database.connection()
            try:
                found = db.execute(TAKE, asked).fetchone()
            except BaseException as error:
                db.close()  # the lock goes with it
                if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
                    if used:  # it had died while nobody looked
                        continue
                    raise away(error) from None
                raise
            assert found is not None
            if found[0]:
                return Hold(thread_id, db, holder)
            self._keep(db)
            raise _busy(thread_id, found[2])


def _busy(thread_id: str, holder: str | None) -> ThreadBusy:
    """Who holds it: best effort, they may be just about to write their name."""
    try:
        who = json.loads(holder or "")
        return ThreadBusy(thread_id, owner=who["owner"], pid=who["pid"], since=who["since"])
    except (ValueError, KeyError, TypeError):
        return ThreadBusy(thread_id, owner="", pid=0, since="")
