"""Takes the runs that a server has accepted from one database into the other; all of them have to be over."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from dojang.server.transactions import transaction
from dojang.server.work.database import UNDER_WAY, opened
from state import Conflict

if TYPE_CHECKING:
    from checkpoints.postgres.database import Connection, Database

COLUMNS: Final = {
    "runs": (
        "seq", "run_id", "thread_id", "requester", "status", "strategy", "body", "metadata", "created_at", "updated_at",
        "not_before", "holder", "lease_until", "attempt", "stop", "error",
    ),
    "events": ("run_id", "n", "event", "data"),
    "hooks": (
        "run_id", "delivery", "url", "payload", "state", "attempts", "next_at", "last", "done_at", "holder",
    ),
}  # fmt: skip
"""What both have, by table."""


def check_over(path: Path, database: Database, to: Literal["files", "postgres"]) -> None:
    """Raise Conflict where a run of those that are to be carried is not over. A file that is not there has none."""
    query = f"SELECT count(*) FROM runs WHERE {UNDER_WAY}"
    if to == "postgres":
        if path.exists():
            with closing(opened(path)) as file:
                _check_over(file.execute(query).fetchone()[0])
        return
    with database.reading() as db:
        _check_over(_one(db, query))


def carry_runs(path: Path, database: Database, to: Literal["files", "postgres"]) -> int:
    """Put the runs of the file into the database's tables, or the other way; how many. What was there goes.

    Their events and the webhooks of which somebody is still to be told come with them, and so do their numbers.

    Raises:
        Conflict: a run is not over.
    """
    check_over(path, database, to)
    if to == "postgres" and not path.exists():
        return 0
    with closing(opened(path)) as file, database.transaction() as db:
        if to == "postgres":
            return _into_postgres(file, db)
        with transaction(file):
            return _into_file(db, file)


def _check_over(active: int) -> None:
    if active:
        raise Conflict(
            f"{active} runs wait or are under way; nothing was moved: let them end, or cancel them, and stop the server"
        )


def _into_postgres(file: sqlite3.Connection, db: Connection) -> int:
    for table, columns in COLUMNS.items():
        named = ", ".join(columns)
        db.execute(f"DELETE FROM {table}".encode())
        more = (named + ", brief", ["false"]) if table == "runs" else (named, [])
        values = ", ".join([*("%s" for _ in columns), *more[1]])
        overriding = "OVERRIDING SYSTEM VALUE " if table == "runs" else ""
        with db.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} ({more[0]}) {overriding}VALUES ({values})".encode(),
                file.execute(f"SELECT {named} FROM {table}"),
            )
    last = file.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
    if last and last[0]:
        db.execute("SELECT setval('runs_seq_seq', %s)", (last[0],))
    return int(_one(db, "SELECT count(*) FROM runs"))


def _into_file(db: Connection, file: sqlite3.Connection) -> int:
    for table, columns in COLUMNS.items():
        named = ", ".join(columns)
        file.execute(f"DELETE FROM {table}")
        rows = db.execute(f"SELECT {named} FROM {table}".encode())
        file.executemany(f"INSERT INTO {table} ({named}) VALUES ({', '.join('?' for _ in columns)})", rows)
    last = _one(db, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs_seq_seq")
    file.execute("DELETE FROM sqlite_sequence WHERE name = 'runs'")
    file.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', ?)", (last,))
    return int(file.execute("SELECT count(*) FROM runs").fetchone()[0])


def _one(db: Connection, query: str) -> Any:
    found = db.execute(query.encode()).fetchone()
    assert found is not None
    return found[0]
