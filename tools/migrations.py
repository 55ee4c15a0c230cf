"""Tables of tools, made by append-only lists of statements: what stands in a list is never changed, only added to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import psycopg

from state import BrokenInvariant

LOCK = 7_104_020_001
"""Advisory lock key: two processes that start at once must not make the same table."""


def migrate(connection: psycopg.Connection, part: str, steps: Sequence[LiteralString]) -> int:
    """Run the steps of ``part`` that this database has not seen, in one transaction; returns how many.

    Raises:
        BrokenInvariant: when the database knows more steps than this program does.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute(
            "create table if not exists tool_migrations"
            " (part text not null, step int not null, at timestamptz not null default now(), primary key (part, step))"
        )
        row = connection.execute("select count(*) from tool_migrations where part = %s", (part,)).fetchone()
        done = int(row[0]) if row else 0
        if done > len(steps):
            raise BrokenInvariant(
                f"the tables of {part!r} are at step {done}, this program knows {len(steps)}; run the newer program"
            )
        for number, step in enumerate(steps[done:], start=done + 1):
            connection.execute(step)
            connection.execute("insert into tool_migrations (part, step) values (%s, %s)", (part, number))
        return len(steps) - done
