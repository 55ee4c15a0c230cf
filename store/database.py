"""Connections to PostgreSQL, with errors that a person can act on. Passwords never appear in a message."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from state import PassingFault, UserError

CONNECT_TIMEOUT_S = 5
REFUSED_LOGIN = ("28000", "28P01")
NO_SUCH_DATABASE = "3D000"


def describe(dsn: str) -> str:
    """``user@host:port/database`` of a DSN, without its password."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        return "the given address"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{parts.get('user') or ''}@{host}:{parts.get('port') or 5432}/{parts.get('dbname') or ''}"


def connect(
    dsn: str, *, autocommit: bool = False, timeout_s: int = CONNECT_TIMEOUT_S
) -> psycopg.Connection[tuple[Any, ...]]:
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
        return psycopg.connect(dsn, autocommit=autocommit, connect_timeout=timeout)
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
    return PassingFault(
        f"PostgreSQL at {where} does not answer{f' ({cause})' if cause else ''}: "
        f"check that it runs and is reachable, then try again"
    )
