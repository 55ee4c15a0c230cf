"""Databases of the tests' own on the session's server.

Making a database writes three hundred files and costs ten times what emptying one does, so each process of the tests
keeps those that it has made and gives them out again, emptied.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

_empty: defaultdict[str, list[str]] = defaultdict(list)
"""Names of databases that lie empty, by their server."""
leaving: list[Callable[[str], None]] = []
"""Called with the DSN of a database that is about to be emptied, for whoever is in it unasked."""


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """The DSN of an empty database on the server; whoever still uses it at the end is thrown out."""
    name = _empty[server].pop() if _empty[server] else _made(server)
    dsn = make_conninfo(server, dbname=name)
    try:
        yield dsn
    finally:
        for leave in leaving:
            leave(dsn)
        _emptied(dsn)
    _empty[server].append(name)


def _made(server: str) -> str:
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return name


def _emptied(dsn: str) -> None:
    """Throw everybody out, and leave what CREATE DATABASE makes."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        others = (
            "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        connection.execute(f"SELECT pg_terminate_backend(pid, 10000) {others}")  # false of one that has just gone, too
        assert connection.execute(f"SELECT pid {others}").fetchall() == []
        made = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ).fetchall()
        for (schema,) in made:  # with the extensions that lie in it
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
