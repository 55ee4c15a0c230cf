"""Accepted runs in ``DOJANG_HOME/runs.sqlite``: what was asked, by whom, and how far it got. Runs nothing itself.

A row is committed, on the disk, before a client is told of its run. A thread's folder stays the truth of what happened.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from checkpoints.files.crypto import KeyRing, Place
from checkpoints.records.leases import LEASE_S, Holder, is_live, this_process
from dojang.server.hooks import outbox
from state import Conflict, PassingFault, UserError

RunStatus = Literal["pending", "running", "success", "error", "interrupted", "timeout"]
Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]
ACTIVE: Final = ("pending", "running")
VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, thread_id TEXT NOT NULL,
    requester TEXT NOT NULL, status TEXT NOT NULL, strategy TEXT NOT NULL, body TEXT NOT NULL, metadata TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, not_before REAL NOT NULL, holder TEXT NOT NULL,
    lease_until TEXT NOT NULL, attempt INTEGER NOT NULL, stop TEXT NOT NULL, error TEXT NOT NULL
);
CREATE INDEX by_status ON runs (status, seq);
CREATE INDEX by_thread ON runs (thread_id, seq);
CREATE TABLE events (
    run_id TEXT NOT NULL, n INTEGER NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run_id, n)
) WITHOUT ROWID;
"""
_NAMES: Final = (
    "run_id", "thread_id", "requester", "status", "strategy", "body", "metadata", "created_at", "updated_at",
    "attempt", "stop", "error",
)  # fmt: skip
_ROW: Final = f"SELECT {', '.join(_NAMES)} FROM runs"


class QueueFull(PassingFault):
    """So many runs wait that no more is taken; ``retry_after_s`` says when to ask again."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} runs wait already, and no more are taken; ask again in a few seconds")
        self.retry_after_s = 2


class UnknownRun(UserError):
    """There is no run with this id on this thread."""


@dataclass(frozen=True)
class Row:
    """One run. ``body``: what was asked, as :class:`dojang.server.work.order.Order` has it."""

    run_id: str
    thread_id: str
    requester: str
    status: RunStatus
    strategy: Strategy
    body: dict[str, Any]
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    attempt: int
    stop: (
        str  # "": go on; else why it is to stop: interrupt, rollback, and "-superseded" where a newer run asked for it
    )
    error: dict[str, str] | None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status not in ACTIVE


class RunRows:
    """The table. Safe from many threads and processes."""

    def __init__(self, path: Path, *, keys: KeyRing | None = None) -> None:
        """``keys`` seal what people and the model said, where the sessions are sealed."""
        self.path = path
        self.keys = keys
        self._lock = threading.RLock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = self._opened("FULL")
        self._fast = self._opened("NORMAL")  # events: a power cut may lose the last ones, a killed process none
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
            self._fast.close()

    def _opened(self, synchronous: str) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            db.close()
            raise UserError(f"{self.path} has format {version}, this program reads up to {VERSION}; update it")
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute(outbox.SCHEMA)  # came later; a program that does not know of it loses nothing
        db.execute(outbox.INDEX)
        db.execute("COMMIT")
        return db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # -- accepting ------------------------------------------------------------------------------------------------

    def accept(self, row: Row, *, capacity: int, after_s: float = 0, webhook: str | None = None) -> list[str]:
        """Commit a new run, under its strategy towards those of its thread that are not over.

        ``webhook``: the address that is told when it is over.

        Returns:
            Runs that had not begun and are over now.

        Raises:
            Conflict: ``reject``, and the thread is busy.
            QueueFull: ``capacity`` runs wait.
        """
        with self._writing() as db:
            waiting = db.execute("SELECT COUNT(*) FROM runs WHERE status = 'pending'").fetchone()[0]
            if waiting >= capacity:
                raise QueueFull(waiting)
            query = "SELECT run_id, status FROM runs WHERE thread_id = ? AND status IN ('pending', 'running')"
            active = db.execute(query, (row.thread_id,)).fetchall()
            if active and row.strategy == "reject":
                raise Conflict(
                    f"thread {row.thread_id} is busy with run {active[0][0]}; wait for it, or choose the multitask "
                    "strategy enqueue, interrupt or rollback"
                )
            ended: list[str] = []
            if row.strategy in ("interrupt", "rollback"):
                ended = [run_id for run_id, status in active if status == "pending"]
                for run_id, _ in active:
                    self._stop(db, run_id, f"{row.strategy}-superseded")
            values = (
                row.run_id, row.thread_id, row.requester, "pending", row.strategy, self._hidden(row.body),
                self._hidden(row.metadata), row.created_at, row.created_at, time.time() + after_s, "", "", 0, "", "",
            )  # fmt: skip
            db.execute(
                "INSERT INTO runs (run_id, thread_id, requester, status, strategy, body, metadata, created_at, "
                "updated_at, not_before, holder, lease_until, attempt, stop, error) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            if webhook is not None:
                outbox.add(db, row.run_id, self._hidden(webhook))
            return ended

    def outbox(self) -> outbox.Outbox:
        """What is to be told when runs are over; the caller's to close."""
        return outbox.Outbox(self.path, seal=self._hidden, unseal=self._shown)

    def stop(self, run_id: str, how: str) -> None:
        """End a run that has not begun; let one that is under way stop between two steps."""
        with self._writing() as db:
            self._stop(db, run_id, how)

    def _stop(self, db: sqlite3.Connection, run_id: str, how: str) -> None:
        db.execute(
            "UPDATE runs SET status = 'interrupted', stop = ?, updated_at = ? WHERE run_id = ? AND status = 'pending'",
            (how, _now(), run_id),
        )
        # A plain cancel is stronger than one in favour of a newer run: it need not wait for a call to end.
        db.execute(
            "UPDATE runs SET stop = ? WHERE run_id = ? AND status = 'running' "
            "AND stop NOT IN ('interrupt', 'rollback')",
            (how, run_id),
        )

    # -- working --------------------------------------------------------------------------------------------------

    def take(self) -> Row | None:
        """The next run for this process, the oldest of its thread and alone on it; None where there is none."""
        holder = json.dumps(this_process())
        with self._writing() as db:
            found = db.execute(
                "SELECT run_id FROM runs r WHERE status = 'pending' AND not_before <= ? AND NOT EXISTS (SELECT 1 FROM "
                "runs o WHERE o.thread_id = r.thread_id AND (o.status = 'running' OR o.status = 'pending' AND "
                "o.seq < r.seq)) ORDER BY seq LIMIT 1",
                (time.time(),),
            ).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE runs SET status = 'running', holder = ?, lease_until = ?, attempt = attempt + 1, updated_at = ?"
                " WHERE run_id = ?",
                (holder, _until(), _now(), found[0]),
            )
            return self._one(found[0])

    def beat(self, run_id: str) -> None:
        """Extend the lease."""
        with self._writing() as db:
            db.execute("UPDATE runs SET lease_until = ? WHERE run_id = ? AND status = 'running'", (_until(), run_id))

    def give_back(self, run_id: str, *, after_s: float = 0) -> None:
        """A run that is to be taken again, by whoever comes; over, where somebody wished it to stop."""
        with self._writing() as db:
            db.execute(
                "UPDATE runs SET status = CASE stop WHEN '' THEN 'pending' ELSE 'interrupted' END, holder = '', "
                "not_before = ?, updated_at = ? "
                "WHERE run_id = ? AND status = 'running'",
                (time.time() + after_s, _now(), run_id),
            )

    def reap(self) -> list[str]:
        """Take back the runs of processes that are dead; which."""
        with self._lock:
            held = self._db.execute("SELECT run_id, holder, lease_until FROM runs WHERE status = 'running'").fetchall()
        now = datetime.now(UTC)
        dead = [run_id for run_id, holder, until in held if not _live(holder, until, now)]
        for run_id in dead:
            self.give_back(run_id)
        return dead

    def finish(self, run_id: str, status: RunStatus, error: dict[str, str] | None = None) -> None:
        """A run is over."""
        with self._writing() as db:
            db.execute(
                "UPDATE runs SET status = ?, error = ?, updated_at = ?, holder = '' WHERE run_id = ?",
                (status, self._hidden(error) if error else "", _now(), run_id),
            )

    # -- looking --------------------------------------------------------------------------------------------------

    def get(self, run_id: str, thread_id: str | None = None) -> Row:
        """One run; UnknownRun where there is none (on that thread)."""
        found = self._one(run_id)
        if found is None or thread_id not in (None, found.thread_id):
            raise UnknownRun(f"there is no run {run_id!r} here; the runs of a thread are listed under /threads/ID/runs")
        return found

    def of(self, thread_id: str, *, status: str | None = None, limit: int = 10, offset: int = 0) -> list[Row]:
        """The runs of a thread, newest first."""
        where, given = "thread_id = ?", [thread_id]
        if status is not None:
            where, given = where + " AND status = ?", [thread_id, status]
        return self._many(f"{_ROW} WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*given, limit, offset))

    def active(self) -> list[Row]:
        """All runs that are not over, oldest first."""
        return self._many(f"{_ROW} WHERE status IN ('pending', 'running') ORDER BY seq", ())

    def standing(self) -> tuple[int, int, str]:
        """How many runs wait, how many are under way, and since when the oldest of those that wait has; "" for none."""
        query = (
            "SELECT COALESCE(SUM(status = 'pending'), 0), COALESCE(SUM(status = 'running'), 0), "
            "MIN(CASE status WHEN 'pending' THEN created_at END) FROM runs WHERE status IN ('pending', 'running')"
        )
        with self._lock:
            waiting, running, oldest = self._db.execute(query).fetchone()
        return int(waiting), int(running), oldest or ""

    def number(self, run_id: str) -> int:
        """A run's place among all runs; it grows with each that is accepted. UnknownRun where there is none."""
        with self._lock:
            found = self._db.execute("SELECT seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if found is None:
            raise UnknownRun(f"there is no run {run_id!r} here; the runs of a thread are listed under /threads/ID/runs")
        return int(found[0])

    def next_of(self, thread_id: str, number: int) -> tuple[Row, int] | None:
        """The first run of a thread whose number is at least ``number``, and that number."""
        query = "SELECT run_id, seq FROM runs WHERE thread_id = ? AND seq >= ? ORDER BY seq LIMIT 1"
        with self._lock:
            found = self._db.execute(query, (thread_id, number)).fetchone()
            row = self._one(found[0]) if found is not None else None
        return (row, int(found[1])) if row is not None else None

    def busy(self, thread_id: str) -> bool:
        """Whether a run of this thread is not over."""
        query = "SELECT 1 FROM runs WHERE thread_id = ? AND status IN ('pending', 'running') LIMIT 1"
        with self._lock:
            return self._db.execute(query, (thread_id,)).fetchone() is not None

    def failed(self) -> set[str]:
        """The threads whose newest run ended in an error."""
        query = (
            "SELECT thread_id FROM runs WHERE status IN ('error', 'timeout') AND seq IN "
            "(SELECT MAX(seq) FROM runs GROUP BY thread_id)"
        )
        with self._lock:
            return {thread for (thread,) in self._db.execute(query).fetchall()}

    def delete(self, run_ids: Sequence[str]) -> None:
        """Forget runs that are over."""
        with self._writing() as db:
            for run_id in run_ids:
                db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
                db.execute("DELETE FROM runs WHERE run_id = ? AND status NOT IN ('pending', 'running')", (run_id,))

    # -- events ---------------------------------------------------------------------------------------------------

    def keep_event(self, run_id: str, n: int, event: str, data: bytes) -> None:
        """Keep an event of a resumable stream."""
        with self._lock:
            self._fast.execute(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)", (run_id, n, event, self._hidden(data.decode()))
            )

    def events(self, run_id: str, after: int, limit: int = 500) -> list[tuple[int, str, bytes]]:
        """Kept events with a number above ``after``, in order."""
        query = "SELECT n, event, data FROM events WHERE run_id = ? AND n > ? ORDER BY n LIMIT ?"
        with self._lock:
            found = self._db.execute(query, (run_id, after, limit)).fetchall()
        return [(n, event, self._shown(data).encode()) for n, event, data in found]

    def last_event(self, run_id: str) -> int:
        """The number of the newest event that is kept; 0: none is."""
        with self._lock:
            found = self._db.execute("SELECT MAX(n) FROM events WHERE run_id = ?", (run_id,)).fetchone()
        return int(found[0] or 0)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _one(self, run_id: str) -> Row | None:
        return next(iter(self._many(f"{_ROW} WHERE run_id = ?", (run_id,))), None)

    def _many(self, query: str, given: Sequence[Any]) -> list[Row]:
        with self._lock:
            rows = self._db.execute(query, tuple(given)).fetchall()
        return [self._row(values) for values in rows]

    def _row(self, values: Sequence[Any]) -> Row:
        found = dict(zip(_NAMES, values, strict=True))
        return Row(**{**found, **{name: self._shown(found[name]) for name in ("body", "metadata", "error")}})

    def _hidden(self, value: Any) -> str:
        """JSON as the file may have it."""
        if self.keys is not None:
            value = self.keys.seal({"k": "run", "value": value}, _PLACE)
        return json.dumps(value)

    def _shown(self, text: str) -> Any:
        value = json.loads(text) if text else None
        return value if self.keys is None or value is None else self.keys.open(value, _PLACE)["value"]


_PLACE: Final = Place("", "run", "", 0, "")


def _live(holder: str, until: str, now: datetime) -> bool:
    try:
        who: Holder = json.loads(holder)
        return is_live(who, until, now)
    except (ValueError, KeyError, TypeError):
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _until() -> str:
    return datetime.fromtimestamp(time.time() + LEASE_S, UTC).isoformat()
