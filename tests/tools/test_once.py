"""A transactional effect happens once, whatever dies and whenever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from state import BrokenInvariant, PassingFault
from tests.tools.conftest import TODAY
from tools.toolbox import Toolbox

ROOT = Path(__file__).parents[2]
ARGS = {
    "hotel": "해운대펄",
    "guest": "김하늘",
    "check_in": "2026-12-03",
    "check_out": "2026-12-05",
    "guests": 2,
    "room_type": "standard",
}

CHILD = f"""
import json, os, signal, sys
from datetime import date
import psycopg
sys.path.insert(0, {str(ROOT)!r})
from tools import once
from tools.toolbox import Toolbox

dsn, points, args = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])

def die(fatal, when, key):
    seen = 0
    class Mortal(psycopg.Connection):
        def execute(self, query, *values, **options):
            nonlocal seen
            seen += 1
            if seen == fatal and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = super().execute(query, *values, **options)
            if seen == fatal and when == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result
    once.psycopg.connect = Mortal.connect
    box = Toolbox.open(today=lambda: date({TODAY.year}, {TODAY.month}, {TODAY.day}))
    box._dsn = dsn
    box.run("book_room", {{**args, "guest": key}}, key=key)
    if when == "committed":
        os.kill(os.getpid(), signal.SIGKILL)
    return seen

ends = []
for fatal, when, key in points:
    child = os.fork()
    if child == 0:
        os._exit(die(fatal, when, key))
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""
"""Runs the tool in forked processes, each killed at its point; prints how each one ended."""

STATEMENTS = 9
"""As many as `book_room` sends; the test fails when that changes."""


def bookings(dsn: str, guest: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select count(*) from bookings where guest = %s", (guest,)).fetchone()
    return int(row[0]) if row else -1


def test_killed_between_any_two_statements(desk: Toolbox, postgres_dsn: str) -> None:
    points = [(n, when, f"{n} {when}") for n in range(1, STATEMENTS + 1) for when in ("before", "after")]
    points += [(0, "committed", "committed"), (0, "never", "never")]
    given = [postgres_dsn, json.dumps(points), json.dumps(ARGS)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *given], capture_output=True, text=True, timeout=200, check=False
    )
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == [-signal.SIGKILL] * (len(points) - 1) + [STATEMENTS], child.stderr
    for _, when, key in points:
        happened = bookings(postgres_dsn, key)
        assert happened == (1 if when in ("committed", "never") else 0), key
        known = desk.settled("book_room", key)
        assert (known is not None) == bool(happened), key
        args = {**ARGS, "guest": key}
        result = desk.run("book_room", args, key=key)
        assert desk.run("book_room", args, key=key) == result
        assert bookings(postgres_dsn, key) == 1, key
        after = desk.settled("book_room", key)
        assert after is not None
        assert (after["status"], after["result"], after["key"]) == ("done", result, key)
        assert known is None or known == after


def test_a_key_of_another_tool_is_a_broken_invariant(desk: Toolbox) -> None:
    desk.run("book_room", ARGS, key="k")
    with pytest.raises(BrokenInvariant, match="recorded for tool 'book_room', not 'cancel_booking'"):
        desk.run("cancel_booking", {"booking_id": "BK-2041"}, key="k")
    assert desk.run("find_booking", {"booking_id": "BK-2041"}, key="")["status"] == "confirmed"


def test_who_asks_waits_for_an_open_transaction(
    desk: Toolbox, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.once.LOCK_TIMEOUT_MS", 200)
    with psycopg.connect(postgres_dsn) as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('dojang effect ' || 'k', 0))")
        with pytest.raises(PassingFault, match="try again"):
            desk.settled("book_room", "k")
    assert desk.settled("book_room", "k") is None


def test_a_database_that_is_gone_is_a_passing_fault() -> None:
    box = Toolbox.open(today=lambda: TODAY)
    box._dsn = "host=/nonexistent dbname=none"
    with pytest.raises(PassingFault, match="the tools' database did not answer"):
        box.run("book_room", ARGS, key="k")
