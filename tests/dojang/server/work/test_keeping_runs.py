"""Housekeeping of ``runs.sqlite``: what goes, what stays, and what is done to it by hand. No server runs here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from checkpoints.files.crypto import KeyRing
from dojang.server.work import Order
from dojang.server.work.base import Rows
from dojang.server.work.database import MIGRATIONS, VERSION, opened
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.rows import Row, RunRows, RunStatus
from dojang.server.work.tidying import FileTidier, Keep
from dojang.server.work.upkeep import erase_runs, reseal_runs, under_way
from state import UserError
from tests.checkpoints.postgres.conftest import Machine

SECRET = "my daughter's birthday"
KEEP = Keep(events_hours=1, runs_days=1, runs_most=1_000)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[RunRows]:
    opened = RunRows(tmp_path / "runs.sqlite")
    yield opened
    opened.close()


def accepted(rows: Rows, run_id: str, thread_id: str, *, by: str = "kim", said: str = SECRET) -> Row:
    now = datetime.now(UTC).isoformat()
    row = Row(
        run_id=run_id, thread_id=thread_id, requester=by, status="pending", strategy="enqueue",
        body=Order(message={"id": run_id, "content": said}, filters={"hotel": said}).as_json(),
        metadata={"note": said}, created_at=now, updated_at=now, attempt=0, stop="", error=None,
    )  # fmt: skip
    rows.accept(row, capacity=100)
    return row


def ended(rows: Rows, run_id: str, thread_id: str, status: RunStatus = "success", **who: str) -> None:
    accepted(rows, run_id, thread_id, **who)
    rows.keep_event(run_id, 1, "values", f'"{SECRET}"'.encode())
    taken = rows.take()
    assert taken is not None
    assert taken.run_id == run_id
    rows.finish(taken, status, {"error": "E", "message": SECRET} if status == "error" else None)


def tidied(rows: RunRows, keep: Keep = KEEP, *, later: timedelta = timedelta(0), gone: str = "") -> tuple[int, int]:
    tidier = FileTidier(rows.path, keep, lambda: datetime.now(UTC) + later, lambda thread: thread != gone)
    return tidier.tidy()[:2]


def test_events_go_first_and_rows_later_but_never_the_newest_of_a_thread(rows: RunRows) -> None:
    for n in (1, 2):
        ended(rows, f"a{n}", "a")
    ended(rows, "b1", "b")
    accepted(rows, "a3", "a")
    assert tidied(rows) == (0, 0)
    assert tidied(rows, later=timedelta(hours=2)) == (3, 0)
    assert rows.events("a1", 0) == []
    assert tidied(rows, later=timedelta(days=2)) == (0, 2)  # b1 is what its thread has
    assert [row.run_id for row in rows.of("a")] == ["a3"]
    assert tidied(rows, later=timedelta(days=2), gone="b") == (0, 1)
    assert rows.of("b") == []


def test_more_than_a_number_are_not_kept(rows: RunRows) -> None:
    for n in range(5):
        ended(rows, f"a{n}", "a")
    assert tidied(rows, Keep(1, 1, 2)) == (0, 3)
    assert [row.run_id for row in rows.of("a")] == ["a4", "a3"]
    assert rows.last_event("a4") == 1


def test_the_file_shrinks_while_it_is_used(rows: RunRows) -> None:
    ended(rows, "a1", "a")
    for n in range(2, 40):
        rows.keep_event("a1", n, "values", b'"' + b"x" * 20_000 + b'"')
    reader = sqlite3.connect(rows.path)
    before = reader.execute("PRAGMA page_count").fetchone()[0]
    assert tidied(rows, later=timedelta(hours=2)) == (1, 0)
    assert reader.execute("PRAGMA page_count").fetchone()[0] < before / 4
    reader.close()
    ended(rows, "a2", "a")


def test_a_file_of_the_first_version_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0] + "PRAGMA user_version=1;")
        db.execute(
            "INSERT INTO runs VALUES (1, 'r', 't', 'kim', 'error', 'enqueue', '{}', '{}', '', '', 0, '', '', 1, '', '')"
        )
    db.close()
    rows = RunRows(path)
    assert rows.failed() == {"t"}
    assert tidied(rows) == (0, 0)
    with opened(path) as again:
        assert again.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert again.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        again.execute("PRAGMA user_version=99")
    again.close()
    rows.close()
    with pytest.raises(UserError, match="format 99"):
        RunRows(path)


def test_who_failed_last_and_who_is_next_is_found_by_an_index(rows: RunRows) -> None:
    ended(rows, "a1", "a", "error")
    ended(rows, "b1", "b", "error")
    ended(rows, "b2", "b")
    assert rows.failed() == {"a"}
    asked: list[str] = []
    rows._db.set_trace_callback(asked.append)
    rows.failed(), rows.take(), rows.reap(), rows.room("a"), rows.busy("a")
    rows._db.set_trace_callback(None)
    plans = [row[3] for q in asked if q.startswith("SELECT") for row in rows._db.execute(f"EXPLAIN QUERY PLAN {q}")]
    assert len(plans) > 6
    assert [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan] == []


def test_a_process_that_was_thought_dead_does_not_write_over_its_successor(rows: RunRows) -> None:
    accepted(rows, "r", "t")
    first = rows.take()
    assert first is not None
    rows._db.execute("UPDATE runs SET holder = ''")  # of a machine whose lease has run out
    assert rows.reap() == ["r"]
    second = rows.take()
    assert second is not None
    rows.finish(first, "error")
    rows.give_back(first)
    assert (rows.get("r").status, rows.get("r").attempt) == ("running", 2)
    assert rows.reap() == []
    rows.finish(second, "success")
    assert rows.get("r").status == "success"


def files(path: Path) -> bytes:
    return b"".join(found.read_bytes() for found in path.parent.glob("runs.sqlite*"))


def everything(rows: Rows) -> bytes:
    """What lies in the file, or in the tables."""
    if isinstance(rows, RunRows):
        return files(rows.path)
    assert isinstance(rows, PgRows)
    with rows.database.reading() as db:
        asked = [f"SELECT string_agg(t::text, '') FROM {table} t".encode() for table in ("runs", "events", "hooks")]
        return "".join(str(text) for one in asked for (text,) in db.execute(one)).encode()


def test_erased_words_are_in_no_page_and_no_log(either: Rows) -> None:
    rows, where = either, either.database if isinstance(either, PgRows) else either.path  # type: ignore[attr-defined]
    ended(rows, "a1", "a", "error", by="lee")
    ended(rows, "a2", "a", said="when is check-out?")
    accepted(rows, "b1", "b", by="lee", said="later")
    if isinstance(rows, PgRows):
        rows.writer.flush()
        with rows.database.transaction() as db:
            db.execute("UPDATE runs SET outcome = %s WHERE run_id = 'a2'", (f'"{SECRET}"',))
    noted: list[str] = []
    assert SECRET.encode() in everything(rows)
    assert under_way(where, "b")
    assert not under_way(where, "a")
    assert erase_runs(where, None, noted.append, threads=["a"], person="lee") == (1, 1)
    assert SECRET.encode() not in everything(rows)
    assert noted == ["a"]
    assert [row.body["message"]["content"] for row in rows.of("a")] == ["when is check-out?", "[erased]"]
    assert rows.of("a")[1].status == "error"
    assert erase_runs(where, None, noted.append, threads=["a"]) == (1, 0)  # the whole conversation
    assert rows.of("a")[0].body["message"]["content"] == "[erased]"
    assert erase_runs(where, None, noted.append, threads=["a"]) == (0, 0)
    assert noted == ["a", "a"]


def test_nothing_is_erased_where_no_run_was_ever_accepted(postgres_dsn: str) -> None:
    with Machine(postgres_dsn) as machine:
        assert erase_runs(machine.database, None, pytest.fail, threads=["a"]) == (0, 0)
        assert not under_way(machine.database, "a")


def test_sealed_for_the_first_time_and_under_another_key(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    plain = RunRows(path)
    ended(plain, "a1", "a", "error")
    plain.close()
    ring = KeyRing.create(tmp_path / "keys", n=16)
    rows: Any = RunRows(path, keys=ring)
    with pytest.raises(UserError, match="checkpoints encrypt"):
        rows.get("a1")
    with pytest.raises(UserError, match="checkpoints encrypt"):
        reseal_runs(path, ring)
    assert reseal_runs(path, ring, plain=True) == 4
    assert SECRET.encode() not in files(path)
    old = ring.active
    ring.rotate()
    assert reseal_runs(path, ring) == 4
    assert old.encode() not in files(path)
    assert rows.get("a1").body["message"]["content"] == SECRET
    assert rows.events("a1", 0) == [(1, "values", f'"{SECRET}"'.encode())]
    assert reseal_runs(path, ring) == 0
    rows.close()


class Refusing(sqlite3.Connection):
    """Somebody writes, or the disk is full."""

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        if sql == "VACUUM":
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, *given)


def test_pages_that_cannot_be_given_back_are_tried_once(tmp_path: Path) -> None:
    """A file of the first version, whose one VACUUM is refused: the next look tries again."""
    db = sqlite3.connect(tmp_path / "old.sqlite", isolation_level=None, factory=Refusing)
    db.executescript("CREATE TABLE t (x); INSERT INTO t SELECT randomblob(9000) FROM (VALUES (1), (2), (3), (4));")
    db.execute("DELETE FROM t")
    tidier = FileTidier(tmp_path / "old.sqlite", KEEP, lambda: datetime.now(UTC), lambda thread: True)
    assert tidier._give_back_pages(db) == 0
    db.close()
