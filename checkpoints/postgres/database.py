"""The database that holds sessions: its connections, and the transaction that whoever calls is in.

Connections come from outside (``Pool``), so that a server that is away is told of in one way everywhere. All of ours
lies in the schema ``dojang``, beside whatever else the database has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, LiteralString, Protocol

import psycopg

from checkpoints.errors import NewerFormat

Connection = psycopg.Connection[tuple[Any, ...]]
LOCK: Final = 4_701_310_022
"""Any fixed number: the advisory lock under which the tables are made."""
DEAD_S: Final = 10
"""After so long without an answer each side takes the other one for gone, and with it the locks that it held."""

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
)
"""Append-only: a database of version n has had the first n of them.

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
        with self._pool.use() as db, db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            db.execute("CREATE SCHEMA IF NOT EXISTS dojang")
            db.execute("CREATE TABLE IF NOT EXISTS sessions_version (version int NOT NULL)")
            found = db.execute("SELECT version FROM sessions_version").fetchone()
            version = int(found[0]) if found else 0
            if version > len(MIGRATIONS):
                raise NewerFormat(
                    f"the sessions in the database have format {version}, this program reads up to {len(MIGRATIONS)}; "
                    "update it"
                )
            for migration in MIGRATIONS[version:]:
                db.execute(migration)
            db.execute("DELETE FROM sessions_version")
            db.execute("INSERT INTO sessions_version VALUES (%s)", (len(MIGRATIONS),))

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
        with self._pool.use() as db, db.transaction():
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
        with self._pool.use() as db:
            yield db

    def connection(self) -> Connection:
        """A connection of the caller's own, in autocommit mode."""
        return self._connect()


def configure(db: Connection) -> None:
    """What every connection to sessions is told when it is made; the times are those of ``DEAD_S``."""
    db.execute(
        "SET search_path TO dojang; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; "
        "SET tcp_user_timeout = 10000; SET synchronous_commit = on; SET idle_in_transaction_session_timeout = '60s'"
    )
