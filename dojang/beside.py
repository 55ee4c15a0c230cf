"""What a house keeps beside its sessions, as rows where those lie in PostgreSQL: tokens, items, snoozes (ADR 43).

Tables of the schema ``dojang_sessions``, in the same SQL as the files of a home have them; any number of servers see
the same. Writers of one kind wait for each other, as those of one file do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg.rows import dict_row, tuple_row

from checkpoints.errors import NewerFormat
from checkpoints.postgres.database import LOCK, Database, migrate
from dojang.spoken import Spoken

MIGRATIONS: Final = (
    """
    CREATE TABLE tokens (
        prefix text PRIMARY KEY, hash bytea NOT NULL, name text NOT NULL, roles text NOT NULL,
        created_at text NOT NULL, created_by text NOT NULL, expires_at text NOT NULL, used_at text NOT NULL,
        revoked_at text NOT NULL, revoked_by text NOT NULL
    );
    CREATE TABLE sessions (
        hash bytea PRIMARY KEY, prefix text NOT NULL REFERENCES tokens, expires_at text NOT NULL
    );
    CREATE TABLE identities (
        issuer text NOT NULL, sub text NOT NULL, name text NOT NULL, person text NOT NULL UNIQUE,
        seen_at text NOT NULL, PRIMARY KEY (issuer, sub)
    );
    CREATE TABLE attempts (
        hash bytea PRIMARY KEY, browser bytea NOT NULL, nonce text NOT NULL, verifier text NOT NULL,
        wanted text NOT NULL, redirect_uri text NOT NULL, expires_at text NOT NULL
    );
    CREATE TABLE logins (
        hash bytea PRIMARY KEY, issuer text NOT NULL, sub text NOT NULL, groups text NOT NULL, sealed bytea NOT NULL,
        checked_at text NOT NULL, check_at text NOT NULL, expires_at text NOT NULL,
        FOREIGN KEY (issuer, sub) REFERENCES identities
    );
    CREATE TABLE items (
        owner text NOT NULL, namespace text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value text NOT NULL,
        created_at text NOT NULL, updated_at text COLLATE "C" NOT NULL, ttl_s double precision,
        expires double precision, PRIMARY KEY (owner, namespace, key)
    );
    CREATE INDEX items_expiring ON items (expires) WHERE expires IS NOT NULL;
    CREATE INDEX items_changed ON items (owner, updated_at, namespace, key);
    CREATE TABLE snoozes (
        person text NOT NULL, review_id text NOT NULL, until text NOT NULL, PRIMARY KEY (person, review_id)
    );
    CREATE TABLE taken_over (digest text PRIMARY KEY, what text NOT NULL, at timestamptz NOT NULL DEFAULT now());
    """,
)
"""An append-only list: a database of version n has had the first n of them. ``taken_over``: files of a home."""


class Beside:
    """The tables of one database; made, or brought up to date, when it is opened. Thread-safe.

    Raises:
        NewerFormat: a newer program has made them.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            version = migrate(db, "beside_version", MIGRATIONS)
            if version > len(MIGRATIONS):
                raise NewerFormat(
                    f"tokens and items in the database have format {version}, this program reads up to "
                    f"{len(MIGRATIONS)}; update it"
                )

    @contextmanager
    def reading(self, *, named: bool = False) -> Iterator[Spoken]:
        """Statements that only read; ``named``: rows by the names of their columns."""
        with self.database.reading() as db:
            yield Spoken(db, dict_row if named else tuple_row)

    @contextmanager
    def writing(self, alone: int | None = None, *, named: bool = False) -> Iterator[Spoken]:
        """One transaction, on the disk at its end. ``alone``: a number of which there is one writer at a time."""
        with self.database.transaction() as db:
            if alone is not None:
                db.execute("SELECT pg_advisory_xact_lock(%s)", (alone,))
            yield Spoken(db, dict_row if named else tuple_row)
