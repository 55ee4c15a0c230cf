"""The database that holds sessions: its connections, and the transaction that whoever calls is in.

Connections come from outside (``Pool``), so that a server that is away is told of in one way everywhere. All of ours
lies in the schema ``dojang_sessions``, beside whatever else the database has. (A schema called as the database's user
would take in whatever anybody makes there afterwards: ``"$user"`` comes first in the default search path.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Final, LiteralString, Protocol

import psycopg

from checkpoints.errors import NewerFormat, SessionsAway
from checkpoints.postgres.changes import CHANGES
from state import PassingFault

Connection = psycopg.Connection[tuple[Any, ...]]
LOCK: Final = 4_701_310_022
"""Any fixed number: the advisory lock under which the tables are made."""
DEAD_S: Final = 10
"""After so long without an answer each side takes the other one for gone, and with it the locks that it held."""
CLIENT: Final[Mapping[str, str]] = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": str(1000 * DEAD_S),
}
"""What a connection is made with, beside its address: a program that is cut off hears of it in that time, too."""
SETTINGS: Final = (
    "SET search_path TO dojang_sessions; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; "
    "SET tcp_user_timeout = 10000; SET idle_in_transaction_session_timeout = '60s'; "
    "SET idle_session_timeout = 0"  # a run's own connection has nothing to say while the model thinks
)
"""SQL: what every connection to this schema is told; the times are those of ``DEAD_S``."""

MIGRATIONS: Final[tuple[LiteralString, ...]] = (
    """
    CREATE TABLE threads (
        folder text PRIMARY KEY,
        thread_id text NOT NULL,
        format int NOT NULL,
        created_at text NOT NULL,
        changed xid8 NOT NULL DEFAULT pg_current_xact_id(),
        holder text NOT NULL DEFAULT ''
    );
    CREATE INDEX threads_changed ON threads (changed);
    CREATE TABLE logs (
        folder text NOT NULL,
        kind text NOT NULL,
        gen text NOT NULL,
        last bigint NOT NULL,
        PRIMARY KEY (folder, kind)
    );
    CREATE TABLE records (
        folder text NOT NULL,
        kind text NOT NULL,
        n bigint NOT NULL,
        record text NOT NULL,
        PRIMARY KEY (folder, kind, n)
    );
    CREATE TABLE notes (
        folder text NOT NULL,
        name text NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (folder, name)
    );
    CREATE TABLE signers (
        key_id text PRIMARY KEY,
        public_key text NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now()
    );
    """,
    CHANGES,
)
"""Append-only: a database of version n has had the first n of them. LangGraph's own tables come before.

``folder``: as a thread's folder would be called (``files.folders.folder_name``), "" for what belongs to no thread.
``changed``: the last transaction that wrote to the session; whoever looks for changes asks for those that are not older
than the oldest one that was under way when they looked last. ``logs``: its row is locked by whoever appends.
``notes``: small things that are replaced whole.
"""


class Pool(Protocol):
    """Gives out connections in autocommit mode, of which each is one caller's as long as it lasts."""

    def use(self) -> AbstractContextManager[Connection]:
        """A living connection; PassingFault where the server is away or goes away."""
        ...


def migrate(db: Connection, table: str, migrations: Sequence[str]) -> int:
    """Bring tables up to date, of which ``table`` has the version: so many of the ``migrations`` have been run.

    Within a transaction, under :data:`LOCK`. Nothing is written where they are so, or a newer program has made them.
    ``table`` is there when the first of them runs, and may get columns of its own by them, with defaults.

    Returns:
        The version that there was before.
    """
    db.execute(f"CREATE TABLE IF NOT EXISTS {table} (version int NOT NULL)".encode())
    found = db.execute(f"SELECT version FROM {table}".encode()).fetchone()
    version = int(found[0]) if found else 0
    if version < len(migrations):
        for migration in migrations[version:]:
            db.execute(migration.encode())
        write = f"UPDATE {table} SET version = %s" if found else f"INSERT INTO {table} (version) VALUES (%s)"
        db.execute(write.encode(), (len(migrations),))
    return version


class Database:
    """Sessions of one database. Thread-safe.

    Args:
        pool: connections for one transaction each.
        connect: a connection that its caller keeps and closes: for a lock as long as a run, or to listen.
    """

    def __init__(self, pool: Pool, connect: Callable[[], Connection]) -> None:
        self._pool, self._connect = pool, connect
        self._current: ContextVar[Connection | None] = ContextVar("dojang_transaction", default=None)

    def setup(self) -> None:
        """Make the tables, or bring them up to date. NewerFormat where a newer program has made them."""
        with self._use() as db, db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            db.execute("CREATE SCHEMA IF NOT EXISTS dojang_sessions")
            _make_langgraph_tables(db)
            version = migrate(db, "sessions_version", MIGRATIONS)
            if version > len(MIGRATIONS):
                raise NewerFormat(
                    f"the sessions in the database have format {version}, this program reads up to {len(MIGRATIONS)}; "
                    "update it"
                )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of the block or nothing of it, durable at its end; within another one of this caller, a part of that.

        Raises:
            PassingFault: the server is away; nothing of it is there, or it cannot be told (at its very end).
        """
        current = self._current.get()
        if current is not None:
            with current.transaction():  # a savepoint
                yield current
            return
        with self._use() as db, db.transaction():
            token = self._current.set(db)
            try:
                yield db
            finally:
                self._current.reset(token)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to look with: the one of the transaction that the caller is in, else any."""
        current = self._current.get()
        if current is not None:
            yield current
            return
        with self._use() as db:
            yield db

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """A connection to look with that sees what is committed, whatever transaction the caller is in."""
        with self._use() as db:
            yield db

    @property
    def inside(self) -> bool:
        """Whether the caller is in a transaction of :meth:`transaction`."""
        return self._current.get() is not None

    def connection(self) -> Connection:
        """A connection of the caller's own, in autocommit mode."""
        try:
            return self._connect()
        except PassingFault as fault:
            raise SessionsAway(str(fault)) from None

    @contextmanager
    def _use(self) -> Iterator[Connection]:
        with ExitStack() as stack:
            try:
                db = stack.enter_context(self._pool.use())
            except PassingFault as fault:
                raise SessionsAway(str(fault)) from None
            try:
                yield db
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise away(error) from None


def away(error: psycopg.Error) -> SessionsAway:
    """What to tell of a server that broke off, or refused for now."""
    cause = (error.diag.message_primary or type(error).__name__).strip()
    return SessionsAway(f"the database of the sessions broke off ({cause}): try again")


SPARED: Final = ("checkpoints_thread_id_idx", "checkpoint_blobs_thread_id_idx", "checkpoint_writes_thread_id_idx")
"""Indices of LangGraph's that are not made: the primary keys begin with the same column, and each costs every write."""


def _make_langgraph_tables(db: Connection) -> None:
    """What its own ``setup`` makes, in our transaction, so that two programs that start at once do not meet in it."""
    from langgraph.checkpoint.postgres.base import MIGRATIONS as THEIRS

    db.execute(THEIRS[0])
    done = db.execute("SELECT coalesce(max(v), -1) FROM checkpoint_migrations").fetchone()
    for number in range((int(done[0]) if done else -1) + 1, len(THEIRS)):
        if not any(name in THEIRS[number] for name in SPARED):
            db.execute(THEIRS[number].replace(" CONCURRENTLY", ""))  # not in a transaction
        db.execute("INSERT INTO checkpoint_migrations (v) VALUES (%s)", (number,))


def configure(db: Connection) -> None:
    """Tell a connection to sessions, when it is made, what every one of them is told."""
    db.execute(f"{SETTINGS}; SET synchronous_commit = on")
