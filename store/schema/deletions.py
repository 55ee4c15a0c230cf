"""What goes with passages, by one trigger for all that go at once: their postings, and their vectors in every table.

Foreign keys did that before. They ask for each posting and vector that comes whether its passage exists, which took
half of an ingest's time; every writer of ours knows that it does (docs/adr/0017-bulk-ingest.md).
"""

from __future__ import annotations

from typing import Final, LiteralString

MIGRATION: Final[LiteralString] = """
    DO $body$
    DECLARE one record;
    BEGIN
        FOR one IN SELECT conrelid::regclass AS child, conname FROM pg_constraint
                   WHERE contype = 'f' AND confrelid = 'passages'::regclass LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.child, one.conname);
        END LOOP;
    END $body$;
    CREATE FUNCTION passages_went() RETURNS trigger LANGUAGE plpgsql AS $body$
    DECLARE child regclass;
    BEGIN
        FOR child IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r'
                     AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = TG_RELID)
                     AND (c.relname = 'postings' OR c.relname ~ '^vectors_[0-9]+$') LOOP
            -- planned anew for each deletion: a plan for many passages would read all postings for a few
            EXECUTE format('DELETE FROM %s WHERE passage IN (SELECT seq FROM gone)', child);
        END LOOP;
        RETURN NULL;
    END $body$;
    CREATE TRIGGER passages_went AFTER DELETE ON passages
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION passages_went();
"""
