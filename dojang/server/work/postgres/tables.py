"""The tables of accepted runs in the schema ``dojang_sessions``, through all versions; procrastinate's beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as version_of
from typing import Final

from procrastinate.schema import SchemaManager

from checkpoints.errors import NewerFormat
from checkpoints.postgres.database import LOCK, Database, migrate
from dojang.server.work.database import ENDED, FAILED, UNDER_WAY
from dojang.spoken import Spoken
from state import UserError

QUEUE: Final = "dojang"
"""Procrastinate's queue of our jobs."""
TASK: Final = "look at a run"
PROCRASTINATE: Final = "3.10"
"""Whose tables the first of these came with. Others need a migration here that runs procrastinate's own."""
MIGRATIONS: Final[tuple[str, ...]] = (
    f"""
    ALTER TABLE runs_version ADD COLUMN IF NOT EXISTS procrastinate text NOT NULL DEFAULT '{PROCRASTINATE}';
    CREATE TABLE runs (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run_id text NOT NULL UNIQUE, thread_id text NOT NULL,
        requester text NOT NULL, status text NOT NULL, strategy text NOT NULL, body text NOT NULL,
        metadata text NOT NULL, created_at text NOT NULL, updated_at text NOT NULL,
        not_before double precision NOT NULL, holder text NOT NULL, lease_until text NOT NULL, attempt int NOT NULL,
        stop text NOT NULL, error text NOT NULL, brief boolean NOT NULL, outcome text
    );
    CREATE INDEX runs_under_way ON runs (thread_id, seq) WHERE {UNDER_WAY};
    CREATE INDEX runs_by_thread ON runs (thread_id, seq);
    CREATE INDEX runs_failed ON runs (thread_id, seq) WHERE {FAILED};
    CREATE INDEX runs_ended ON runs (updated_at, seq) WHERE {ENDED};
    CREATE INDEX runs_brief ON runs (updated_at) WHERE brief AND {ENDED};
    CREATE TABLE events (
        run_id text NOT NULL, n bigint NOT NULL, event text NOT NULL, data text NOT NULL, PRIMARY KEY (run_id, n)
    );
    CREATE TABLE hooks (
        run_id text PRIMARY KEY, delivery text NOT NULL, url text NOT NULL, payload text NOT NULL, state text NOT NULL,
        attempts int NOT NULL, next_at double precision NOT NULL, last text NOT NULL, done_at double precision,
        holder text NOT NULL
    );
    CREATE INDEX hooks_due ON hooks (next_at) WHERE state = 'pending';
    """,
)
"""An append-only list: a database of version n has had the first n of them; procrastinate's tables come before.

``brief``: the events and the outcome are for those who follow the run now, and go soon after its end. ``outcome``: the
values with which it ended, as JSON. ``runs_version``: it has that column already where a program made the table itself,
before :func:`migrate` did.
"""


def setup(database: Database) -> None:
    """Make the tables, or bring them up to date.

    Raises:
        NewerFormat: a newer program has made them.
        UserError: procrastinate that is installed is not the one whose tables are there.
    """
    installed = ".".join(version_of("procrastinate").split(".")[:2])
    with database.transaction() as db:
        db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        db.execute("CREATE SCHEMA IF NOT EXISTS dojang_sessions")
        version = migrate(db, "runs_version", (SchemaManager.get_schema() + MIGRATIONS[0], *MIGRATIONS[1:]))
        if version > len(MIGRATIONS):
            raise NewerFormat(
                f"the runs in the database have format {version}, this program reads up to {len(MIGRATIONS)}; update it"
            )
        found = db.execute("SELECT procrastinate FROM runs_version").fetchone()
        assert found is not None
        if (theirs := found[0]) != installed:  # and nothing of what was made now is there
            raise UserError(
                f"the queue in the database is that of procrastinate {theirs}, and {installed} is installed; "
                f"install procrastinate {theirs}"
            )


@contextmanager
def writing(database: Database, *, durable: bool = True) -> Iterator[Spoken]:
    """One transaction, on the disk at its end; or, not ``durable``, within a second of it."""
    with database.transaction() as db:
        if not durable:
            db.execute("SET LOCAL synchronous_commit = off")
        yield Spoken(db)


@contextmanager
def looking(database: Database) -> Iterator[Spoken]:
    """Statements that only read."""
    with database.reading() as db:
        yield Spoken(db)
