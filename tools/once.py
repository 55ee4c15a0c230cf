"""One effect, once: the change and the record of it commit in one Postgres transaction.

A crash before the commit leaves neither, a crash after it leaves both, and `settled` tells which. An advisory lock on
the key makes a second runner, and the one who asks, wait for a transaction whose client is gone but which the server
still finishes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
from psycopg.types.json import Jsonb

from state import JSON, BrokenInvariant, Outcome, UserError
from tools.errors import ToolsAway

STEPS = (
    """create table effects (
        key text primary key,
        tool text not null,
        outcome jsonb not null,
        at timestamptz not null default now()
    )""",
)
"""Append-only."""

LOCK_TIMEOUT_MS = 15_000
STATEMENT_TIMEOUT_MS = 30_000
IDLE_TIMEOUT_MS = 60_000
DEAD_MS = 10_000
"""After so long without a word from us the server gives a connection up, and what it had locked; less than others wait
for its locks."""
CONNECT_TIMEOUT_S = 10
CURSOR: type[psycopg.Cursor[Any]] = psycopg.Cursor
"""The class of the cursors of new connections. Whoever wants to hear of statements puts a subclass here."""


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection with deadlines; faults of the server come out as `ToolsAway`."""
    try:
        connection = psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, cursor_factory=CURSOR)
        try:
            connection.execute(
                "select set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false),"
                " set_config('idle_in_transaction_session_timeout', %s, false),"
                " set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),"
                " set_config('tcp_user_timeout', %s, false)",
                (str(LOCK_TIMEOUT_MS), str(STATEMENT_TIMEOUT_MS), str(IDLE_TIMEOUT_MS), str(DEAD_MS)),
            )
            yield connection
        finally:
            connection.close()
    except psycopg.errors.UndefinedTable as error:
        raise UserError(
            f"a table of the tools is missing ({_first_line(error)}); run Toolbox.prepare() first"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise ToolsAway(f"the tools' database did not answer ({_first_line(error)}); try again") from error


def run_once(dsn: str, tool: str, key: str, change: Callable[[psycopg.Connection], JSON]) -> JSON:
    """Run ``change`` and record it under ``key``; under a key already recorded, give its result and change nothing.

    ``change`` must give what ``json.dumps`` takes. Whatever it raises rolls everything back.

    Raises:
        BrokenInvariant: the key belongs to an effect of another tool.
        ToolsAway: the server failed; running again under the same key is safe.
    """
    with connected(dsn) as connection, connection.transaction():
        connection.execute("set local synchronous_commit = on")
        _lock(connection, key)
        earlier = _recorded(connection, tool, key)
        if earlier is not None:
            return earlier["result"]
        result = change(connection)
        outcome = Outcome(
            key=key,
            tool=tool,
            status="done",
            result=result,
            error="",
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        connection.execute("insert into effects (key, tool, outcome) values (%s, %s, %s)", (key, tool, Jsonb(outcome)))
    return result


def settled(dsn: str, tool: str, key: str) -> Outcome | None:
    """The committed outcome under ``key``, or None: it did not happen and no open transaction can still do it."""
    with connected(dsn) as connection, connection.transaction():
        _lock(connection, key)
        return _recorded(connection, tool, key)


def _lock(connection: psycopg.Connection, key: str) -> None:
    connection.execute("select pg_advisory_xact_lock(hashtextextended('dojang effect ' || %s, 0))", (key,))


def _recorded(connection: psycopg.Connection, tool: str, key: str) -> Outcome | None:
    row = connection.execute("select tool, outcome from effects where key = %s", (key,)).fetchone()
    if row is None:
        return None
    if row[0] != tool:
        raise BrokenInvariant(f"effect key {key!r} is recorded for tool {row[0]!r}, not {tool!r}; nothing was run")
    return cast("Outcome", row[1])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
