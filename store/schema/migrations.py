"""The tables, as an append-only list of migrations applied under an advisory lock.

Never change a migration that was released: append one. What depends on the embedding model is not a migration: see
:mod:`store.schema.migrations.vectors`. Passage lengths stand beside each posting.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg

from state import UserError
from store.database import Connection
from store.schema import deletions, term_counts

LOCK = 4_701_310_021  # any fixed number: the advisory lock of this application's migrations
NEEDED_VECTOR_VERSION = (0, 7)  # halfvec

MIGRATIONS: tuple[LiteralString, ...] = (
    """
    CREATE TABLE store_meta (key text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE documents (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL UNIQUE,
        title text NOT NULL,
        format text NOT NULL,
        source text NOT NULL,
        digest text NOT NULL,
        size bigint NOT NULL,
        text text NOT NULL,
        trust text NOT NULL CHECK (trust IN ('trusted', 'untrusted')),
        metadata jsonb NOT NULL DEFAULT '{}',
        passages int NOT NULL,
        ingested_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE passages (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        document bigint NOT NULL REFERENCES documents ON DELETE CASCADE,
        version int NOT NULL DEFAULT 1,
        current boolean NOT NULL DEFAULT true,
        start_at int NOT NULL,
        end_at int NOT NULL,
        page int,
        language text NOT NULL,
        title text NOT NULL,
        text text NOT NULL,
        sentences int[] NOT NULL,
        length int NOT NULL,
        author text NOT NULL DEFAULT '',
        reason text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX passages_document ON passages (document);
    CREATE TABLE postings (
        term text NOT NULL,
        passage bigint NOT NULL REFERENCES passages ON DELETE CASCADE,
        tf int NOT NULL,
        length int NOT NULL
    );
    CREATE UNIQUE INDEX postings_term ON postings (term, passage) INCLUDE (tf, length);
    CREATE INDEX postings_passage ON postings (passage);
    CREATE TABLE corpus (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        passages bigint NOT NULL,
        terms bigint NOT NULL
    );
    INSERT INTO corpus VALUES (true, 0, 0);
    """,
    term_counts.MIGRATION,
    # -- ingest and corrections -----------------------------------------------------------------------------------
    """
    ALTER TABLE documents
        ADD COLUMN told_trust text NOT NULL DEFAULT 'trusted',
        ADD COLUMN structure jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN made_by int NOT NULL DEFAULT 1;
    UPDATE documents SET told_trust = trust;
    ALTER TABLE passages ADD COLUMN flags text[] NOT NULL DEFAULT '{}';
    CREATE TABLE corrections (
        n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        chain text NOT NULL,
        document text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('correct', 'undo', 'carried', 'aside', 'settled')),
        replaced text NOT NULL,
        passage text NOT NULL,
        origin_text text NOT NULL,
        old_text text NOT NULL,
        text text NOT NULL,
        author text NOT NULL,
        reason text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE INDEX corrections_chain ON corrections (chain, n);
    CREATE INDEX corrections_passage ON corrections (passage);
    CREATE INDEX corrections_replaced ON corrections (replaced);
    CREATE INDEX corrections_document ON corrections (document);
    CREATE TABLE trust_decisions (
        n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        document text NOT NULL,
        digest text NOT NULL,
        trust text NOT NULL CHECK (trust IN ('trusted', 'untrusted')),
        author text NOT NULL,
        reason text NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    """,
    deletions.MIGRATION,
)


def migrate(connection: Connection) -> None:
    """Bring the database to the newest schema; safe when several processes do it at once. Ends a transaction."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        ensure_vector(connection)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS store_migrations (n int PRIMARY KEY, at timestamptz DEFAULT now())"
        )
        row = connection.execute("SELECT coalesce(max(n), 0) FROM store_migrations").fetchone()
        done = int(row[0]) if row else 0
        if done > len(MIGRATIONS):
            raise UserError(
                f"the database has schema {done}, this program knows {len(MIGRATIONS)}: use the newer program"
            )
        for n, statement in enumerate(MIGRATIONS[done:], start=done + 1):
            connection.execute(statement)
            connection.execute("INSERT INTO store_migrations (n) VALUES (%s)", (n,))


def ensure_vector(connection: Connection) -> None:
    """Make the extension pgvector. UserError where this server has none, or too old a one."""
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.Error as error:
        raise UserError(
            f"this PostgreSQL cannot make the extension pgvector ({error.diag.message_primary}): "
            f"install pgvector there and let its administrator run: CREATE EXTENSION vector"
        ) from None
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = str(row[0]) if row else "0"
    if tuple(int(part) for part in version.split(".")[:2]) < NEEDED_VECTOR_VERSION:
        raise UserError(
            f"pgvector {version} is too old, 0.7 is needed: upgrade it and run ALTER EXTENSION vector UPDATE"
        )
