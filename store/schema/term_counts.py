"""How many passages hold each term, kept by triggers on ``postings``: whatever writes there need not know of it.

Writers meet at an advisory lock that each holds from its last COPY of postings to its commit; they met at the row of
``corpus`` for that long before. The counts are derived: :data:`RECOUNT` makes them anew.
"""

from __future__ import annotations

from typing import Final, LiteralString

RECOUNT: Final[LiteralString] = """
    TRUNCATE term_counts;
    INSERT INTO term_counts SELECT term, count(*) FROM postings GROUP BY term;
"""

MIGRATION: Final[LiteralString] = (
    """
    CREATE TABLE term_counts (term text PRIMARY KEY, df bigint NOT NULL) WITH (fillfactor = 80);
    CREATE FUNCTION count_terms() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
        PERFORM pg_advisory_xact_lock(4701310022);
        IF TG_OP = 'INSERT' THEN
            INSERT INTO term_counts AS known SELECT term, count(*) FROM changed GROUP BY term
            ON CONFLICT (term) DO UPDATE SET df = known.df + excluded.df;
        ELSE
            UPDATE term_counts AS known SET df = known.df - gone.df
            FROM (SELECT term, count(*) AS df FROM changed GROUP BY term) AS gone WHERE known.term = gone.term;
            DELETE FROM term_counts WHERE df <= 0 AND term IN (SELECT term FROM changed);
        END IF;
        RETURN NULL;
    END $body$;
    CREATE TRIGGER postings_came AFTER INSERT ON postings
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_terms();
    CREATE TRIGGER postings_went AFTER DELETE ON postings
        REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_terms();
    """
    + RECOUNT
    + "CREATE INDEX documents_metadata ON documents USING gin (metadata jsonb_path_ops);"
)
