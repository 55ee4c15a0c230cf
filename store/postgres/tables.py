"""Tables of a database counted and digested, so that a copy can be compared with what it was made of.

A digest does not depend on the order of rows: it is the sum of the rows' hashes. Two servers of different versions give
the same, as long as they write values alike; the session is set so that they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

from psycopg import sql

from store.database import Connection

SESSION = (
    "SET TIME ZONE 'UTC'",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'iso_8601'",
    "SET extra_float_digits = 1",
    "SET bytea_output = 'hex'",
)


class Table(TypedDict):
    """What a table holds."""

    name: str
    rows: int
    digest: str  # decimal; "0" when it is empty


def names_of(connection: Connection) -> list[str]:
    """The ordinary tables of the schema ``public``, by name; those of extensions are left out."""
    rows = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT EXISTS "
        "(SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname"
    ).fetchall()
    return [str(row[0]) for row in rows]


def measured(
    connection: Connection, names: Sequence[str], on_table: Callable[[str, int, int], None] | None = None
) -> list[Table]:
    """Count and digest, table by table, in the caller's transaction."""
    for setting in SESSION:
        connection.execute(setting)
    found = []
    for done, name in enumerate(names, start=1):
        row = connection.execute(
            sql.SQL(
                "SELECT count(*), coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint::numeric), 0)::text "
                "FROM public.{} t"
            ).format(sql.Identifier(name))
        ).fetchone()
        assert row is not None
        found.append(Table(name=name, rows=int(row[0]), digest=str(row[1])))
        if on_table is not None:
            on_table(name, done, len(names))
    return found


def differences(wanted: Sequence[Table], found: Sequence[Table]) -> list[str]:
    """What differs, one line a table."""
    have = {table["name"]: table for table in found}
    told = []
    for table in wanted:
        other = have.get(table["name"])
        if other is None:
            told.append(f"{table['name']} is missing")
        elif other["rows"] != table["rows"]:
            told.append(f"{table['name']} has {other['rows']} rows instead of {table['rows']}")
        elif other["digest"] != table["digest"]:
            told.append(f"{table['name']} has other contents")
    return told
