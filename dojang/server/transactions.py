"""One transaction of an SQLite connection in autocommit mode; every file of the server is written through it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Found(Protocol):
    """What a statement gave; ``rowcount``: how many rows it wrote."""

    @property
    def rowcount(self) -> int: ...  # noqa: D102

    def fetchone(self) -> Any: ...  # noqa: D102

    def fetchall(self) -> list[Any]: ...  # noqa: D102


class Statements(Protocol):
    """A connection of either database: a statement with ``?`` for what it is given."""

    def execute(self, query: str, given: Sequence[Any] = (), /) -> Found: ...  # noqa: D102


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the block or, where it raises, nothing of it. The file's lock is taken at once, not at the first write."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
