"""Sessions in a test's own database, wired as ``dojang.parts`` does it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from checkpoints.postgres.backend import PostgresBackend
from checkpoints.postgres.database import Database, configure
from store.database import Connection, Connections, connect


def database_at(dsn: str, *, limit: int = 16) -> tuple[Database, Connections]:
    """The database and its pool, to be closed; the tables are there."""
    pool = Connections(dsn, configure, limit=limit)

    def own() -> Connection:
        made = connect(dsn, autocommit=True)
        configure(made)
        return made

    database = Database(pool, own)
    database.setup()
    return database, pool


@contextmanager
def backend_in(dsn: str, *, limit: int = 16) -> Iterator[PostgresBackend]:
    """All records of a home in this database, over so many connections."""
    database, pool = database_at(dsn, limit=limit)
    backend = PostgresBackend(database)
    try:
        yield backend
    finally:
        backend.close()
        pool.close()
