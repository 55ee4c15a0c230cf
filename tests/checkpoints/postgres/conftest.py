"""Sessions in a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from checkpoints.postgres.database import CLIENT, Connection, Database, configure
from checkpoints.postgres.locks import RunLocks
from checkpoints.postgres.saver import PgSaver
from store.database import Connections, connect


class Machine:
    """What one machine has of sessions in PostgreSQL."""

    def __init__(self, dsn: str) -> None:
        def fresh() -> Connection:
            made = connect(make_conninfo(dsn, **CLIENT), autocommit=True)
            configure(made)
            return made

        self.pool = Connections(dsn, configure)
        self.database = Database(self.pool, fresh)
        self.locks = RunLocks(self.database)
        self.saver = PgSaver(self.database, self.locks)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.locks.close()
        self.pool.close()


@pytest.fixture
def machines(postgres_dsn: str) -> Iterator[tuple[Machine, Machine]]:
    """Two machines over one database, whose tables are made."""
    found = Machine(postgres_dsn), Machine(postgres_dsn)
    found[0].database.setup()
    yield found
    for one in found:
        one.close()


@pytest.fixture
def machine(machines: tuple[Machine, Machine]) -> Machine:
    return machines[0]
