"""A database that was given out before is as empty as a new one."""

from __future__ import annotations

import psycopg
import pytest

from tests.databases import fresh_database

FOUND = """
    SELECT relname FROM pg_class WHERE relnamespace NOT IN
        (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')
    UNION ALL SELECT extname FROM pg_extension
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""
NEW = [("information_schema",), ("plpgsql",), ("public",)]


def test_a_database_given_out_again_is_as_new(postgres_server: str) -> None:
    with fresh_database(postgres_server) as dsn:
        left = psycopg.connect(dsn, autocommit=True)
        assert sorted(left.execute(FOUND).fetchall()) == NEW
        left.execute("CREATE EXTENSION vector")
        left.execute("CREATE TABLE rooms (at vector(2))")
        left.execute("CREATE SCHEMA other CREATE TABLE rooms (n int)")
        left.execute("CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1")
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    left.close()
    with fresh_database(postgres_server) as again, psycopg.connect(again) as connection:
        assert again == dsn
        assert sorted(connection.execute(FOUND).fetchall()) == NEW
        connection.execute("CREATE TABLE rooms (n int)")
