"""Connections to PostgreSQL, with errors that a person can act on. Passwords never appear in a message."""

from __future__ import annotations

import contextlib
import selectors
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from state import PassingFault, UserError

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT_S = 5
CURSOR: type[psycopg.Cursor[Any]] = psycopg.Cursor
"""The class of the cursors of new connections. Whoever wants to hear of statements puts a subclass here."""
REFUSED_LOGIN = ("28000", "28P01")
NO_SUCH_DATABASE = "3D000"


class DatabaseAway(PassingFault):
    """The server does not answer, or broke off; ``retry_after_s`` says when to ask again."""

    retry_after_s: Final = 2


def describe(dsn: str) -> str:
    """``user@host:port/database`` of a DSN, without its password."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        return "the given address"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{parts.get('user') or ''}@{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"


def connect(dsn: str, *, autocommit: bool = False, timeout_s: int = CONNECT_TIMEOUT_S) -> Connection:
    """A new connection within about ``timeout_s``.

    Raises:
        UserError: the DSN cannot be read, or the server refuses this user, password or database.
        PassingFault: no server answers there now.
    """
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise UserError(
            "the database address cannot be read: write it as postgresql://user:password@host:5432/database"
        ) from None
    timeout = int(given.get("connect_timeout") or timeout_s)
    try:
        return psycopg.connect(dsn, autocommit=autocommit, connect_timeout=timeout, cursor_factory=CURSOR)
    except psycopg.OperationalError as error:
        raise _explained(dsn, error) from None


def _explained(dsn: str, error: psycopg.OperationalError) -> UserError | PassingFault:
    where = describe(dsn)
    text = str(error)
    if error.sqlstate in REFUSED_LOGIN or "password" in text:
        return UserError(f"PostgreSQL at {where} refused the login: check user and password in the database address")
    if error.sqlstate == NO_SUCH_DATABASE or ("database" in text and "does not exist" in text):
        return UserError(f"PostgreSQL at {where} has no such database: create it, or change the database address")
    cause = (
        "the name is not known" if "resolve" in text else "the server is starting up" if "starting up" in text else ""
    )
    return DatabaseAway(
        f"PostgreSQL at {where} does not answer{f' ({cause})' if cause else ''}: "
        f"check that it runs and is reachable, then try again"
    )


class Connections:
    """Connections that wait to be used again, newest first. Thread-safe; has no threads of its own.

    ``psycopg_pool`` waits longer and longer between attempts to reach a server that died, so that it finds the new one
    seconds late; here a dead connection is noticed when it is taken and the next one is made at once.
    """

    def __init__(self, dsn: str, configure: Callable[[Connection], None], *, limit: int = 16) -> None:
        self._dsn = dsn
        self._configure = configure
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(limit)
        self._closed = False

    @contextlib.contextmanager
    def use(self) -> Iterator[Connection]:
        """A living autocommit connection for this thread. Raises PassingFault when the server is away or goes away."""
        with self._places:
            connection = self._take()
            try:
                yield connection
            except psycopg.OperationalError as error:
                cause = (error.diag.message_primary or type(error).__name__).strip()
                raise DatabaseAway(f"PostgreSQL at {describe(self._dsn)} broke off ({cause}): try again") from None
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close the waiting connections; those in use close when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = connect(self._dsn, autocommit=True)
                try:
                    self._configure(connection)
                except BaseException:
                    connection.close()
                    raise
                return connection
            if _silent(connection):
                return connection
            try:
                connection.execute("")
            except psycopg.OperationalError:
                connection.close()
            else:
                return connection

    def _give_back(self, connection: Connection) -> None:
        usable = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            keep = usable and not self._closed
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()


def _silent(connection: Connection) -> bool:
    """Whether the server has said nothing on a connection that waits: one that goes says so, or closes.

    Asking it would be a way there and back for each statement. Of one that the network has cut off neither would hear.
    """
    if connection.closed:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        return not selector.select(0)
