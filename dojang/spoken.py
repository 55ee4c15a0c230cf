"""PostgreSQL spoken to in the SQL of the home's files: for tables that homes have either way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from psycopg.rows import RowFactory, tuple_row

from checkpoints.postgres.database import Connection


class Spoken:
    """A connection that takes the statements that SQLite takes, and gives the rows as somebody wants them.

    Texts that no column can hold are changed, so that nothing is found by them.
    """

    def __init__(self, db: Connection, rows: RowFactory[Any] = tuple_row) -> None:
        self.db, self.rows = db, rows

    def execute(self, query: str, given: Sequence[Any] = (), /) -> Any:
        """Run a statement; ``?`` for what it is given."""
        return self.db.cursor(row_factory=self.rows).execute(_marked(query), [_storable(value) for value in given])

    def executemany(self, query: str, given: Sequence[Sequence[Any]], /) -> None:
        """Run it for each of these."""
        with self.db.cursor() as cursor:
            cursor.executemany(_marked(query), [[_storable(value) for value in one] for one in given])


@lru_cache(maxsize=512)
def _marked(query: str) -> bytes:
    """A statement of ours as psycopg wants it: no text in it has a mark or a percent sign."""
    return query.replace("?", "%s").encode()


def _storable(value: Any) -> Any:
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()
