"""Accepted runs in SQLite and in PostgreSQL are one thing: whatever is done to both, both answer alike."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from procrastinate.schema import SchemaManager

from checkpoints.errors import NewerFormat
from dojang.server.work.base import Rows
from dojang.server.work.order import Order
from dojang.server.work.postgres import dispatch, tables
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.row import QueueFull, Row, UnknownRun
from dojang.server.work.rows import RunRows
from state import Conflict, DojangError, UserError
from tests.dojang.server.work.conftest import database_of, rows_of

THREADS = ("a", "b", "한옥")
CAPACITY = 4
FILES = itertools.count()


def row_for(run_id: str, thread_id: str, strategy: Any = "enqueue", **more: Any) -> Row:
    now = datetime.now(UTC).isoformat()
    body = Order(message={"id": run_id, "content": "방 \ud83d\u0000"}, **more).as_json()
    return Row(
        run_id=run_id, thread_id=thread_id, requester="kim", status="pending", strategy=strategy, body=body,
        metadata={"note": "é"}, created_at=now, updated_at=now, attempt=0, stop="", error=None,
    )  # fmt: skip


def plain(row: Row | None) -> Any:
    """A row without its times."""
    return row and {**vars(row), "updated_at": ""}


class BothDatabases(RuleBasedStateMachine):
    """One thing after the other is done to both."""

    folder: Path
    pg: PgRows
    runs, taken = Bundle("runs"), Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        with self.pg.writing(durable=False) as db:  # making a database anew takes longer than all that is done to it
            db.execute("TRUNCATE runs, events, hooks, procrastinate_jobs RESTART IDENTITY CASCADE")
        self.both: list[Rows] = [RunRows(self.folder / f"{next(FILES)}.sqlite"), self.pg]
        self.numbers = itertools.count(1)
        self.known: list[str] = []

    def teardown(self) -> None:
        self.both[0].close()

    def alike(self, do: Any) -> Any:
        """What it gives for both, which has to be the same; an error is one, too."""
        found = []
        for rows in self.both:
            try:
                found.append(do(rows))
            except DojangError as error:
                found.append((type(error), str(error)))
        assert found[0] == found[1]
        return found[0]

    @rule(
        target=runs,
        thread=st.sampled_from(THREADS),
        strategy=st.sampled_from(["reject", "enqueue", "interrupt", "rollback"]),
        later=st.booleans(),
        hook=st.booleans(),
    )
    def accept(self, thread: str, strategy: str, later: bool, hook: bool) -> Any:
        run_id = f"r{next(self.numbers)}"
        row, after_s = row_for(run_id, thread, strategy), 3600 if later else 0
        told = "https://example.com/" if hook else None
        found = self.alike(lambda rows: rows.accept(row, capacity=CAPACITY, after_s=after_s, webhook=told))
        if isinstance(found, tuple):
            assert found[0] in (Conflict, QueueFull)
            return multiple()
        self.known.append(run_id)
        return run_id

    @rule(target=taken, run_id=st.none() | runs)
    def take(self, run_id: str | None) -> Any:
        ours, theirs = (rows.take(run_id) for rows in self.both)
        assert plain(ours) == plain(theirs)
        if ours is None:
            return multiple()
        with self.pg.writing(durable=False) as db:  # the job ends when somebody has looked
            db.execute("DELETE FROM procrastinate_jobs WHERE queueing_lock = ?", (ours.run_id,))
        return ours

    @rule(run_id=runs, how=st.sampled_from(["interrupt", "rollback"]))
    def stop(self, run_id: str, how: str) -> None:
        self.alike(lambda rows: rows.stop(run_id, how))

    @rule(row=consumes(taken), status=st.sampled_from(["success", "error", "interrupted", "timeout"]))
    def finish(self, row: Row, status: Any) -> None:
        error = {"error": "E", "message": "no"} if status == "error" else None
        self.alike(lambda rows: rows.finish(row, status, error, durable=False, values=b"{}"))

    @rule(row=taken)
    def give_back(self, row: Row) -> None:
        self.alike(lambda rows: rows.give_back(row))

    @rule(row=taken)
    def put(self, row: Row) -> None:
        for rows in self.both:
            rows.keep_event(row.run_id, rows.last_event(row.run_id) + 1, "values", b'"\\u0000"')
            if isinstance(rows, PgRows):
                rows.writer.flush()

    @rule(row=taken)
    def lose(self, row: Row) -> None:
        """The process of that run is gone; another one looks."""
        for rows in self.both:
            with rows.writing() as db:
                db.execute("UPDATE runs SET holder = 'x' WHERE run_id = ? AND status = 'running'", (row.run_id,))
        self.alike(lambda rows: rows.reap())

    @rule(run_id=runs)
    def delete(self, run_id: str) -> None:
        self.alike(lambda rows: rows.delete([run_id]))

    @invariant()
    def same(self) -> None:
        for run_id in self.known[-1:]:
            self.alike(lambda rows, run_id=run_id: (rows.wish(run_id, 1), rows.number(run_id)))
        for thread in THREADS:
            self.alike(lambda rows, thread=thread: [plain(row) for row in rows.of(thread, limit=100)])
            self.alike(lambda rows, thread=thread: (rows.busy(thread), rows.room(thread)))
            found = self.alike(lambda rows, thread=thread: rows.next_of(thread, 2) and rows.next_of(thread, 2)[1])
            assert found is None or found >= 2
        self.alike(lambda rows: (rows.failed(), rows.threads_under_way(), rows.standing(), rows.newest()))

    @invariant()
    def who_waits_is_looked_at(self) -> None:
        """The first run of a thread has a job where it waits; there is no second one, and no other has any."""
        with self.pg.looking() as db:
            jobs = [run for (run,) in db.execute("SELECT queueing_lock FROM procrastinate_jobs").fetchall()]
        first = {row.thread_id: row for row in reversed(self.pg.active())}
        assert len(jobs) == len(set(jobs))
        assert {row.run_id for row in first.values() if row.status == "pending"} <= set(jobs)


def test_both_answer_alike(tmp_path: Path, postgres_server: str) -> None:
    with rows_of("postgres", tmp_path, postgres_server) as pg:
        machine = type("Machine", (BothDatabases,), {"pg": pg, "folder": tmp_path})
        run_state_machine_as_test(
            machine, settings=hypothesis.settings(max_examples=8, stateful_step_count=16, database=None)
        )


def test_many_at_once(either: Rows) -> None:
    """Of one thread one run at a time, in order, each taken once; and never more wait than may."""
    taken: list[str] = []
    running: set[str] = set()
    lock = threading.Lock()

    def accept(n: int) -> bool:
        try:
            either.accept(row_for(f"r{n}", THREADS[n % 3]), capacity=20)
        except QueueFull:
            return False
        return True

    def carry(n: int) -> None:
        while row := either.take():
            with lock:
                assert row.thread_id not in running
                running.add(row.thread_id)
                taken.append(row.run_id)
            assert next(one.run_id for one in either.active() if one.thread_id == row.thread_id) == row.run_id
            with lock:
                running.discard(row.thread_id)
            either.finish(row, "success")

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(accept, range(26))) == 20
        for _ in range(10):
            list(pool.map(carry, range(4)))  # who finds all threads busy goes home
    assert len(taken) == len(set(taken)) == 20
    numbers = [either.number(run_id) for run_id in taken]
    for thread in THREADS:
        of = [number for number, run_id in zip(numbers, taken, strict=True) if either.get(run_id).thread_id == thread]
        assert of == sorted(of)


def test_who_was_passed_over_writes_no_event_and_no_end(tmp_path: Path, postgres_server: str) -> None:
    with rows_of("postgres", tmp_path, postgres_server) as first:
        assert isinstance(first, PgRows)
        second = PgRows(first.database)
        second._holder = second.writer.holder = json.dumps({"host": "elsewhere", "boot": "", "pid": 1, "started": ""})
        first.accept(row_for("r", "t"), capacity=9)
        old = first.take()
        assert old is not None
        first.keep_event("r", 1, "values", b"1")
        first.writer.flush()
        assert second.reap() == []  # its process lives, and its lease has not run out
        with first.writing() as db:
            db.execute("UPDATE runs SET lease_until = '2020-01-01T00:00:00+00:00'")
        assert second.reap() == ["r"]
        new = second.take("r")
        assert new is not None
        first.keep_event("r", 2, "values", b"old")  # it was only cut off, and comes back
        first.beat(old)
        first.finish(old, "error", {"error": "E", "message": "cut off"})
        first.keep_event("r", 3, "error", b"old")
        second.keep_event("r", second.last_event("r") + 1, "values", b"2")
        first.writer.flush()
        second.finish(new, "success", values=b'{"a": 1}')
        second.keep_event("r", 3, "end", b"{}")
        second.writer.flush()
        assert first.events("r", 0) == [(1, "values", b"1"), (2, "values", b"2"), (3, "end", b"{}")]
        assert (first.get("r").status, first.outcome("r")) == ("success", b'{"a": 1}')
        assert first.drop_brief(first.now()) == 1  # nobody has asked to read them again
        assert (first.events("r", 0), first.outcome("r"), first.drop_brief(first.now())) == ([], None, 0)
        first.accept(row_for("kept", "t", resumable=True), capacity=9)
        assert first.drop_brief(first.now()) == 0


def test_jobs_that_are_lost_and_jobs_of_workers_that_are_gone(tmp_path: Path, postgres_server: str) -> None:
    with rows_of("postgres", tmp_path, postgres_server) as rows:
        assert isinstance(rows, PgRows)

        def jobs(given: str = "SELECT queueing_lock, status::text FROM procrastinate_jobs ORDER BY 1") -> list[Any]:
            with rows.writing() as db:
                return db.execute(given).fetchall()

        for run_id, thread in (("a1", "a"), ("a2", "a"), ("b1", "b")):
            rows.accept(row_for(run_id, thread), capacity=9)
        assert jobs() == [("a1", "todo"), ("b1", "todo")]  # a2 may not begin yet
        assert rows.tidy_jobs() == 0
        jobs("DELETE FROM procrastinate_jobs WHERE queueing_lock = 'b1' RETURNING 1")
        assert rows.tidy_jobs() == 1
        jobs("UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock = 'a1' RETURNING 1")
        assert rows.tidy_jobs() == 1  # by nobody who lives
        assert jobs() == [("a1", "todo"), ("b1", "todo")]
        taken = rows.take("a1")
        assert taken is not None
        assert rows.take("a2") is None
        rows.give_back(taken, after_s=100)
        assert rows.take("a1") is None
        assert rows.take("a2") is None  # which waits for it
        assert rows.reap([]) == []
        taken = rows.take("b1")
        assert rows.reap(["b1"]) == []
        assert rows.reap([]) == ["b1"]  # this process holds it, and does not carry it out
        rows.stop("a1", "interrupt")
        assert jobs() == [("a1", "todo"), ("a2", "todo"), ("b1", "todo")]


def test_tables_are_made_once_and_those_of_a_newer_program_are_left_alone(postgres_dsn: str) -> None:
    with database_of(postgres_dsn) as database, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: tables.setup(database), range(3)))
        with psycopg.connect(postgres_dsn, autocommit=True) as db:
            db.execute("UPDATE dojang_sessions.runs_version SET procrastinate = '2.9'")
            with pytest.raises(UserError, match=r"procrastinate 2\.9"):
                tables.setup(database)
            db.execute("UPDATE dojang_sessions.runs_version SET version = 99")
        with pytest.raises(NewerFormat, match="format 99"):
            tables.setup(database)
        rows = PgRows(database)
        with pytest.raises(UnknownRun):
            rows.get("no\0thing")
        rows.close()


def test_tables_of_a_program_that_kept_their_version_by_itself(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database_of(postgres_dsn) as database:
        with database.transaction() as db:
            db.execute("CREATE SCHEMA dojang_sessions")
            db.execute("CREATE TABLE runs_version (version int NOT NULL, procrastinate text NOT NULL)")
            db.execute(SchemaManager.get_schema().encode())
            db.execute(tables.MIGRATIONS[0].encode())
            db.execute("INSERT INTO runs_version VALUES (1, '3.10')")
        tables.setup(database)
        with closing(PgRows(database)) as rows:
            rows.accept(row_for("r", "t"), capacity=9)
        monkeypatch.setattr(tables, "MIGRATIONS", (*tables.MIGRATIONS, "ALTER TABLE runs ADD COLUMN later int"))
        tables.setup(database)
        with database.reading() as db:
            assert db.execute("SELECT * FROM runs_version").fetchall() == [(2, "3.10")]
            assert db.execute("SELECT run_id, later FROM runs").fetchall() == [("r", None)]
        with database.transaction() as db:
            db.execute("UPDATE runs_version SET procrastinate = '2.9'")
        with pytest.raises(UserError, match=r"procrastinate 2\.9"):
            tables.setup(database)


def test_tables_are_not_made_beside_another_queue(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "version_of", lambda name: "9.1.2")
    with database_of(postgres_dsn) as database, database.reading() as db:
        with pytest.raises(UserError, match=r"install procrastinate 3\.10"):
            tables.setup(database)
        assert db.execute("SELECT to_regclass('runs'), to_regclass('runs_version')").fetchone() == (None, None)


def test_who_hears_of_jobs_has_the_settings_of_every_connection_but_waits_for_no_disk(postgres_dsn: str) -> None:
    asked = "SELECT name, setting FROM pg_settings WHERE source = 'session'"

    async def told() -> dict[str, str]:
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as db:
            await dispatch._configure(db)
            return dict(await (await db.execute(asked)).fetchall())

    with database_of(postgres_dsn) as database, database.reading() as db:
        ours = dict(db.execute(asked).fetchall())
    assert "idle_session_timeout" in ours
    assert asyncio.run(told()) == {**ours, "synchronous_commit": "off"}
