"""SQL: which session changed in which transaction, kept by triggers, whoever it is that writes.

``threads.changed`` is the last transaction that wrote to a session, ``threads.rewritten`` the last one that took
something away or put something else in its place; ``gone`` has the folders of those that were deleted. ``looking``
reads them. The triggers are a statement's, not a row's: they pay once however many rows it has.
"""

from __future__ import annotations

from typing import Final, LiteralString

CHANGES: Final[LiteralString] = """
    ALTER TABLE threads ADD COLUMN rewritten xid8 NOT NULL DEFAULT pg_current_xact_id();
    CREATE TABLE gone (
        folder text PRIMARY KEY,
        changed xid8 NOT NULL DEFAULT pg_current_xact_id(),
        at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX gone_changed ON gone (changed);

    CREATE FUNCTION folder_of(thread_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
        coalesce(nullif(btrim(
            regexp_replace(left(thread_id, 32) COLLATE "C", '[^A-Za-z0-9_-]+', '_', 'g'), '_-'), ''), 'thread')
        || '-' || left(encode(sha256(convert_to(thread_id, 'UTF8')), 'hex'), 32);

    CREATE FUNCTION moment() RETURNS text LANGUAGE sql RETURN
        to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');

    CREATE FUNCTION thread_grew() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        id text;
    BEGIN
        FOR id IN SELECT DISTINCT thread_id FROM written ORDER BY thread_id LOOP
            INSERT INTO dojang_sessions.threads AS t (folder, thread_id, format, created_at)
            VALUES (dojang_sessions.folder_of(id), id, 1, dojang_sessions.moment())
            ON CONFLICT (folder) DO UPDATE SET changed = pg_current_xact_id() WHERE t.changed <> pg_current_xact_id();
        END LOOP;
        RETURN NULL;
    END $$;

    CREATE FUNCTION thread_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        id text;
    BEGIN
        FOR id IN SELECT DISTINCT thread_id FROM written ORDER BY thread_id LOOP
            UPDATE dojang_sessions.threads SET changed = pg_current_xact_id(), rewritten = pg_current_xact_id()
            WHERE folder = dojang_sessions.folder_of(id) AND rewritten <> pg_current_xact_id();
        END LOOP;
        RETURN NULL;
    END $$;

    CREATE FUNCTION log_grew() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        one text;
    BEGIN
        FOR one IN SELECT DISTINCT folder FROM written
                   WHERE kind IN ('decisions', 'about') AND folder <> '' ORDER BY folder LOOP
            UPDATE dojang_sessions.threads SET changed = pg_current_xact_id()
            WHERE folder = one AND changed <> pg_current_xact_id();
        END LOOP;
        RETURN NULL;
    END $$;

    CREATE FUNCTION log_rewritten() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        one text;
    BEGIN
        FOR one IN SELECT DISTINCT folder FROM written
                   WHERE kind IN ('decisions', 'about') AND folder <> '' ORDER BY folder LOOP
            UPDATE dojang_sessions.threads SET changed = pg_current_xact_id(), rewritten = pg_current_xact_id()
            WHERE folder = one AND rewritten <> pg_current_xact_id();
        END LOOP;
        RETURN NULL;
    END $$;

    CREATE FUNCTION threads_gone() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO dojang_sessions.gone (folder) SELECT folder FROM written ORDER BY folder
        ON CONFLICT (folder) DO UPDATE SET changed = pg_current_xact_id(), at = now();
        DELETE FROM dojang_sessions.gone WHERE at < now() - interval '1 day';
        RETURN NULL;
    END $$;

    CREATE TRIGGER grew AFTER INSERT ON checkpoints
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_grew();
    CREATE TRIGGER changed AFTER UPDATE ON checkpoints
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_rewritten();
    CREATE TRIGGER shrank AFTER DELETE ON checkpoints
        REFERENCING OLD TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_rewritten();
    CREATE TRIGGER grew AFTER INSERT ON checkpoint_writes
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_grew();
    CREATE TRIGGER changed AFTER UPDATE ON checkpoint_writes
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_grew();
    CREATE TRIGGER shrank AFTER DELETE ON checkpoint_writes
        REFERENCING OLD TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_rewritten();
    CREATE TRIGGER changed AFTER UPDATE ON checkpoint_blobs
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_rewritten();
    CREATE TRIGGER shrank AFTER DELETE ON checkpoint_blobs
        REFERENCING OLD TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION thread_rewritten();
    CREATE TRIGGER grew AFTER INSERT ON records
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION log_grew();
    CREATE TRIGGER changed AFTER UPDATE ON records
        REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION log_rewritten();
    CREATE TRIGGER shrank AFTER DELETE ON records
        REFERENCING OLD TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION log_rewritten();
    CREATE TRIGGER shrank AFTER DELETE ON threads
        REFERENCING OLD TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION threads_gone();
"""
"""Comes after the tables. What no list shows is not watched: a new blob alone, and records of other kinds."""
