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

from checkpoints.files.crypto import KeyRing
from checkpoints.records.leases import LEASE_S, Holder, is_live, this_process
from dojang.server.hooks import outbox
from dojang.server.transactions import transaction
from dojang.server.work.database import ENDED, FAILED, SEALED, UNDER_WAY, Texts, opened
from state import Conflict, PassingFault, UserError

RunStatus = Literal["pending", "running", "success", "error", "interrupted", "timeout"]
Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]
ACTIVE: Final = ("pending", "running")
_NAMES: Final = (
    "run_id", "thread_id", "requester", "status", "strategy", "body", "metadata", "created_at", "updated_at",
    "attempt", "stop", "error",
)  # fmt: skip
_ROW: Final = f"SELECT {', '.join(_NAMES)} FROM runs"
_NEXT: Final = (
    f"SELECT run_id FROM runs r WHERE {UNDER_WAY} AND status = 'pending' AND not_before <= ? AND NOT EXISTS "
    f"(SELECT 1 FROM runs o WHERE {UNDER_WAY} AND o.thread_id = r.thread_id AND (o.status = 'running' OR "
    "o.seq < r.seq)) ORDER BY seq LIMIT 1"
)
"""SQL: the run that has waited longest, is the first of its thread and alone on it."""
_TAKEN: Final = "run_id = ? AND status = 'running' AND attempt = ?"
"""SQL: whoever took the run has it still. A process that was thought dead must not write over its successor."""


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
        self.texts = Texts(keys, path)
        self._lock = threading.RLock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = opened(path)
        self._fast = opened(path, "NORMAL")  # events: a power cut may lose the last ones, a killed process none
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
            self._fast.close()

    @contextmanager
    def _writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk at its end; or, not ``durable``, with the next one that is.

        A killed process loses neither. A power cut may lose the last ones that are not durable, and never one of them
        without those after it: a run is then taken up again by its thread, which says how far it got.
        """
        db = self._db if durable else self._fast
        with self._lock, transaction(db):
            yield db

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
            waiting, active = self._room(db, row.thread_id)
            if waiting >= capacity:
                raise QueueFull(waiting)
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
                row.run_id, row.thread_id, row.requester, "pending", row.strategy,
                self.texts.hidden(row.body), self.texts.hidden(row.metadata), row.created_at, row.created_at,
                time.time() + after_s, "", "", 0, "", "",
            )  # fmt: skip
            db.execute(
                "INSERT INTO runs (run_id, thread_id, requester, status, strategy, body, metadata, created_at, "
                "updated_at, not_before, holder, lease_until, attempt, stop, error) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            if webhook is not None:
                outbox.add(db, row.run_id, self.texts.hidden(webhook))
            return ended

    def outbox(self) -> outbox.Outbox:
        """What is to be told when runs are over; the caller's to close."""
        return outbox.Outbox(self.path, seal=self.texts.hidden, unseal=self.texts.shown)

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
        with self._lock:  # a look costs no transaction: most find nothing
            if self._fast.execute(_NEXT, (time.time(),)).fetchone() is None:
                return None
        with self._writing(durable=False) as db:
            found = db.execute(_NEXT, (time.time(),)).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE runs SET status = 'running', holder = ?, lease_until = ?, attempt = attempt + 1, updated_at = ?"
                " WHERE run_id = ?",
                (holder, _until(), _now(), found[0]),
            )
            return self._row(db.execute(f"{_ROW} WHERE run_id = ?", found).fetchone())

    def beat(self, row: Row) -> None:
        """Extend the lease of a run that was taken."""
        with self._writing(durable=False) as db:
            db.execute(f"UPDATE runs SET lease_until = ? WHERE {_TAKEN}", (_until(), row.run_id, row.attempt))

    def give_back(self, row: Row, *, after_s: float = 0) -> None:
        """A run that is to be taken again, by whoever comes; over, where somebody wished it to stop."""
        self._give_back(row.run_id, after_s, "attempt = ?", row.attempt)

    def _give_back(self, run_id: str, after_s: float, whose: str, value: Any) -> bool:
        with self._writing(durable=False) as db:
            changed = db.execute(
                "UPDATE runs SET status = CASE stop WHEN '' THEN 'pending' ELSE 'interrupted' END, holder = '', "
                f"not_before = ?, updated_at = ? WHERE run_id = ? AND status = 'running' AND {whose}",
                (time.time() + after_s, _now(), run_id, value),
            )
            return changed.rowcount > 0

    def reap(self) -> list[str]:
        """Take back the runs of processes that are dead; which. What another process took meanwhile stays its own."""
        with self._lock:
            query = f"SELECT run_id, holder, lease_until FROM runs WHERE {UNDER_WAY} AND status = 'running'"
            held = self._db.execute(query).fetchall()
        now = datetime.now(UTC)
        dead = [(run_id, holder) for run_id, holder, until in held if not _live(holder, until, now)]
        return [run_id for run_id, holder in dead if self._give_back(run_id, 0, "holder = ?", holder)]

    def finish(self, row: Row, status: RunStatus, error: dict[str, str] | None = None, *, durable: bool = True) -> None:
        """A run that was taken is over; nothing, where somebody else has taken it since.

        ``durable``: False where the thread's own files say the same, so that a power cut costs another look at them.
        """
        with self._writing(durable=durable) as db:
            db.execute(
                f"UPDATE runs SET status = ?, error = ?, updated_at = ?, holder = '' WHERE {_TAKEN}",
                (status, self.texts.hidden(error) if error else "", _now(), row.run_id, row.attempt),
            )

    # -- looking --------------------------------------------------------------------------------------------------

    def get(self, run_id: str, thread_id: str | None = None) -> Row:
        """One run; UnknownRun where there is none (on that thread)."""
        found = self._one(run_id)
        if found is None or thread_id not in (None, found.thread_id):
            raise UnknownRun(f"there is no run {run_id!r} here; the runs of a thread are listed under /threads/ID/runs")
        return found

    def wish(self, run_id: str) -> str:
        """How a run is to stop; "": it is not."""
        with self._lock:
            found = self._db.execute("SELECT stop FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return str(found[0]) if found else ""

    def of(self, thread_id: str, *, status: str | None = None, limit: int = 10, offset: int = 0) -> list[Row]:
        """The runs of a thread, newest first."""
        where, given = "thread_id = ?", [thread_id]
        if status is not None:
            where, given = where + " AND status = ?", [thread_id, status]
        return self._many(f"{_ROW} WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*given, limit, offset))

    def active(self) -> list[Row]:
        """All runs that are not over, oldest first."""
        return self._many(f"{_ROW} WHERE {UNDER_WAY} ORDER BY seq", ())

    def room(self, thread_id: str) -> tuple[int, list[tuple[str, str]]]:
        """How many runs have not begun; (run, status) of those of this thread that are not over, oldest first."""
        with self._lock:
            return self._room(self._db, thread_id)

    def _room(self, db: sqlite3.Connection, thread_id: str) -> tuple[int, list[tuple[str, str]]]:
        query = f"SELECT COUNT(*) FROM runs WHERE {UNDER_WAY} AND status = 'pending'"
        of_thread = f"SELECT run_id, status FROM runs WHERE {UNDER_WAY} AND thread_id = ? ORDER BY seq"
        return int(db.execute(query).fetchone()[0]), db.execute(of_thread, (thread_id,)).fetchall()

    def threads_under_way(self) -> set[str]:
        """The threads that have a run that is not over."""
        with self._lock:
            return {thread for (thread,) in self._db.execute(f"SELECT thread_id FROM runs WHERE {UNDER_WAY}")}

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

    def newest(self) -> int:
        """The number of the run that was accepted last, ever; 0 where none was."""
        with self._lock:
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
        return int(found[0]) if found else 0

    def next_of(self, thread_id: str, number: int) -> tuple[Row, int] | None:
        """The first run of a thread whose number is at least ``number``, and that number."""
        query = "SELECT run_id, seq FROM runs WHERE thread_id = ? AND seq >= ? ORDER BY seq LIMIT 1"
        with self._lock:
            found = self._db.execute(query, (thread_id, number)).fetchone()
            row = self._one(found[0]) if found is not None else None
        return (row, int(found[1])) if row is not None else None

    def busy(self, thread_id: str) -> bool:
        """Whether a run of this thread is not over."""
        query = f"SELECT 1 FROM runs WHERE {UNDER_WAY} AND thread_id = ? LIMIT 1"
        with self._lock:
            return self._db.execute(query, (thread_id,)).fetchone() is not None

    def failed(self) -> set[str]:
        """The threads whose newest run ended in an error."""
        query = (
            f"SELECT thread_id FROM runs r WHERE {FAILED} AND NOT EXISTS "
            "(SELECT 1 FROM runs o WHERE o.thread_id = r.thread_id AND o.seq > r.seq)"
        )
        with self._lock:
            return {thread for (thread,) in self._db.execute(query).fetchall()}

    def delete(self, run_ids: Sequence[str]) -> None:
        """Forget runs that are over."""
        with self._writing() as db:
            for run_id in run_ids:
                db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
                db.execute(f"DELETE FROM runs WHERE {ENDED} AND run_id = ?", (run_id,))

    # -- events ---------------------------------------------------------------------------------------------------

    def keep_event(self, run_id: str, n: int, event: str, data: bytes) -> None:
        """Keep an event of a resumable stream."""
        with self._lock:
            self._fast.execute(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)",
                (run_id, n, event, self.texts.hidden(data.decode())),
            )

    def events(self, run_id: str, after: int, limit: int = 500) -> list[tuple[int, str, bytes]]:
        """Kept events with a number above ``after``, in order."""
        query = "SELECT n, event, data FROM events WHERE run_id = ? AND n > ? ORDER BY n LIMIT ?"
        with self._lock:
            found = self._db.execute(query, (run_id, after, limit)).fetchall()
        return [(n, event, self.texts.shown(data).encode()) for n, event, data in found]

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
        return Row(**{**found, **{name: self.texts.shown(found[name]) for name in SEALED}})


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
