"""Databases of the tests' own on the session's server.

Making a database writes three hundred files and costs ten times what emptying one does, so each process of the tests
keeps those that it has made and gives them out again, emptied.
"""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

SESSIONS: Final = os.environ.get("DOJANG_TEST_SESSIONS", "files")
"""Where the sessions of tests lie: ``DOJANG_TEST_SESSIONS=postgres pytest FILE`` runs a file over the database."""
NOT_NEEDED: Final = "postgresql://127.0.0.1:1/none"
"""Of a workspace that needs no database: it does not answer. Where sessions lie in one, each home has one of its own
instead (:func:`database_of`)."""

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


class _Homes:
    """The databases of homes that would need none, but for their sessions."""

    def __init__(self) -> None:
        self.server = ""
        self.found: dict[Path, str] = {}
        self.made = ExitStack()


_homes = _Homes()


@contextmanager
def homes_on(server: str) -> Iterator[None]:
    """What :func:`database_of` makes from here on lies on this server, and is emptied at the end."""
    global _homes
    before, _homes = _homes, _Homes()
    _homes.server = server
    _homes.found |= before.found
    try:
        with _homes.made:
            yield
    finally:
        _homes = before


def database_of(home: Path) -> str:
    """The DSN of the database of this home, empty at first."""
    found = _homes.found.get(home)
    if found is None:
        assert _homes.server, f"nobody has said on which server the database of {home} is to be (homes_on)"
        found = _homes.found[home] = _homes.made.enter_context(fresh_database(_homes.server))
    return found


def use_database(home: Path, dsn: str) -> None:
    """From here on this home has this database."""
    _homes.found[home] = dsn


def copy_database(home: Path, other: Path) -> None:
    """Give another home a copy of this one's database, in which nobody is."""
    name = str(conninfo_to_dict(database_of(home))["dbname"])
    copy = _made(_homes.server, like=name)
    _homes.found[other] = make_conninfo(_homes.server, dbname=copy)
    before_it_goes(partial(_dropped, _homes.server, copy))


def before_it_goes(closes: Callable[[], object]) -> None:
    """Call this before the databases of the present homes go."""
    _homes.made.callback(closes)


def _made(server: str, *, like: str = "") -> str:
    name = f"t_{uuid.uuid4().hex}"
    made = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(made + sql.SQL(" TEMPLATE {}").format(sql.Identifier(like)) if like else made)
    return name


def _dropped(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


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
