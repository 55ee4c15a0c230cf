"""What is done with accepted runs, in the SQL that SQLite and PostgreSQL share. Runs nothing itself.

A row is committed, on the disk, before a client is told of its run. The thread's records stay the truth of what
happened. What the two differ in (locks, clocks, who is woken, events) is theirs: :mod:`dojang.server.work.rows` and
:mod:`dojang.server.work.postgres.rows`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol

from checkpoints.records.leases import BEAT_S, LEASE_S, Holder, is_live
from dojang.server.hooks.outbox import Outbox, add
from dojang.server.transactions import Statements
from dojang.server.work.database import ENDED, FAILED, SEALED, UNDER_WAY
from dojang.server.work.row import Row, RunStatus, UnknownRun, check_room

NAMES: Final = (
    "run_id", "thread_id", "requester", "status", "strategy", "body", "metadata", "created_at", "updated_at",
    "attempt", "stop", "error",
)  # fmt: skip
ROW: Final = f"SELECT {', '.join(NAMES)} FROM runs"
NEXT: Final = (
    f"SELECT run_id FROM runs r WHERE {UNDER_WAY} AND status = 'pending' AND not_before <= ? AND NOT EXISTS "
    f"(SELECT 1 FROM runs o WHERE {UNDER_WAY} AND o.thread_id = r.thread_id AND (o.status = 'running' OR "
    "o.seq < r.seq)) {which} ORDER BY seq LIMIT 1"
)
"""SQL: the run that has waited longest, is the first of its thread and alone on it."""
TAKEN: Final = "run_id = ? AND status = 'running' AND attempt = ?"
"""SQL: whoever took the run has it still. A process that was thought dead must not write over its successor."""

LOST: Final = "lost"


class Kept(Protocol):
    """An event of a run, as the database keeps it."""

    @property
    def run_id(self) -> str: ...  # noqa: D102

    @property
    def n(self) -> int: ...  # noqa: D102

    @property
    def event(self) -> str: ...  # noqa: D102

    @property
    def data(self) -> bytes: ...  # noqa: D102


class Texts(Protocol):
    """JSON as the database has it."""

    def hidden(self, value: Any) -> str:
        """For the database."""
        ...

    def shown(self, text: str) -> Any:
        """What it says; None for ""."""
        ...


class Rows(ABC):
    """The runs. Safe from many threads and processes."""

    texts: Texts
    shared: ClassVar[bool] = False
    """Whether other machines may carry runs out, so that their events are told by the database."""
    beat_s: ClassVar[float] = BEAT_S
    lease_s: ClassVar[float] = LEASE_S
    locking: ClassVar[str] = ""
    """SQL: behind a look at rows that are about to be written, where others may write them meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""

    @abstractmethod
    def writing(self, *, durable: bool = True) -> AbstractContextManager[Statements]:
        """One transaction, on the disk at its end; or, not ``durable``, with the next one that is."""

    @abstractmethod
    def looking(self) -> AbstractContextManager[Statements]:
        """Statements that only read."""

    @abstractmethod
    def outbox(self) -> Outbox:
        """What is to be told when runs are over; the caller's to close."""

    @abstractmethod
    def seconds(self) -> float:
        """The time since 1970 by which leases and delays are judged."""

    @abstractmethod
    def take(self, run_id: str | None = None) -> Row | None:
        """The next run for this process, the oldest of its thread and alone on it; None where there is none.

        ``run_id``: this one, if it is one of those.
        """

    @abstractmethod
    def newest(self) -> int:
        """The number of the run that was accepted last, ever; 0 where none was."""

    # -- what only one of the two has to do -------------------------------------------------------------------------

    @abstractmethod
    def alone(self, db: Statements) -> None:
        """Nobody else accepts a run until this transaction is over."""

    @abstractmethod
    def changed(self, db: Statements, thread_id: str) -> None:
        """The first run of this thread may be another one, or wait again: whoever carries runs out is to look."""

    def extra(self, row: Row) -> dict[str, Any]:
        """Columns of a new row that only this database has."""
        return {}

    # -- accepting ------------------------------------------------------------------------------------------------

    def accept(self, row: Row, *, capacity: int, after_s: float = 0, webhook: str | None = None) -> list[str]:
        """Commit a new run, under its strategy towards those of its thread that are not over.

        ``webhook``: the address that is told when it is over.

        Returns:
            Runs that had not begun and are over now.

        Raises:
            Conflict: ``reject``, and the thread is busy.
            QueueFull: ``capacity`` runs wait.
            PassingFault: the database is away; nothing was accepted, as far as anybody can tell.
        """
        with self.writing() as db:
            self.alone(db)
            waiting, active = self._room(db, row.thread_id, self.locking)
            check_room(row.thread_id, row.strategy, capacity, waiting, active)
            ended: list[str] = []
            if row.strategy in ("interrupt", "rollback"):
                ended = [run_id for run_id, status in active if status == "pending"]
                for run_id, _ in active:
                    self._stop(db, run_id, f"{row.strategy}-superseded")
            values = {
                "run_id": row.run_id, "thread_id": row.thread_id, "requester": row.requester, "status": "pending",
                "strategy": row.strategy, "body": self.texts.hidden(row.body),
                "metadata": self.texts.hidden(row.metadata), "created_at": row.created_at,
                "updated_at": row.created_at, "not_before": self.seconds() + after_s, "holder": "", "lease_until": "",
                "attempt": 0, "stop": "", "error": "", **self.extra(row),
            }  # fmt: skip
            marks = ", ".join("?" for _ in values)
            db.execute(f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
            if webhook is not None:
                add(db, row.run_id, self.texts.hidden(webhook))
            self.changed(db, row.thread_id)
            return ended

    def stop(self, run_id: str, how: str) -> None:
        """End a run that has not begun; let one that is under way stop between two steps."""
        with self.writing() as db:
            if self._stop(db, run_id, how) and (found := self._thread_of(db, run_id)):
                self.changed(db, found)

    def _stop(self, db: Statements, run_id: str, how: str) -> bool:
        """Whether it had not begun."""
        ended = db.execute(
            "UPDATE runs SET status = 'interrupted', stop = ?, updated_at = ? WHERE run_id = ? AND status = 'pending'",
            (how, self.now(), run_id),
        )
        # A plain cancel is stronger than one in favour of a newer run: it need not wait for a call to end.
        db.execute(
            "UPDATE runs SET stop = ? WHERE run_id = ? AND status = 'running' "
            "AND stop NOT IN ('interrupt', 'rollback')",
            (how, run_id),
        )
        return ended.rowcount > 0

    # -- working --------------------------------------------------------------------------------------------------

    def beat(self, row: Row) -> None:
        """Extend the lease of a run that was taken."""
        with self.writing(durable=False) as db:
            db.execute(f"UPDATE runs SET lease_until = ? WHERE {TAKEN}", (self.until(), row.run_id, row.attempt))

    def give_back(self, row: Row, *, after_s: float = 0) -> None:
        """A run that is to be taken again, by whoever comes; over, where it was cancelled.

        Where it is to be rolled back, or makes way for a newer one, there may be something to do before it is over.
        """
        self.free(row.run_id, after_s, "attempt = ?", row.attempt)

    def free(self, run_id: str, after_s: float, whose: str, value: Any) -> bool:
        """The same of whoever has it so far; whether they had. ``whose``: SQL with a mark for ``value``."""
        with self.writing(durable=False) as db:
            given = db.execute(
                "UPDATE runs SET status = CASE stop WHEN 'interrupt' THEN 'interrupted' ELSE 'pending' END, "
                f"holder = '', not_before = ?, updated_at = ? WHERE run_id = ? AND status = 'running' AND {whose}",
                (self.seconds() + after_s, self.now(), run_id, value),
            )
            if given.rowcount and (thread := self._thread_of(db, run_id)):
                self.changed(db, thread)
            return given.rowcount > 0

    def reap(self, here: Collection[str] | None = None) -> list[str]:
        """Take back the runs of processes that are dead; which. What another process took meanwhile stays its own.

        ``here``: the runs that this process carries out, where it says so: others that it holds are taken back, too.
        """
        with self.looking() as db:
            query = f"SELECT run_id, holder, lease_until FROM runs WHERE {UNDER_WAY} AND status = 'running'"
            held = db.execute(query).fetchall()
        now = datetime.fromtimestamp(self.seconds(), UTC)
        dead = [(run_id, holder) for run_id, holder, until in held if not self.live(run_id, holder, until, now, here)]
        return [run_id for run_id, holder in dead if self.free(run_id, 0, "holder = ?", holder)]

    def live(self, run_id: str, holder: str, until: str, now: datetime, here: Collection[str] | None) -> bool:
        """Whether a run may still be carried out by who holds it."""
        try:
            who: Holder = json.loads(holder)
            return is_live(who, until, now)
        except (ValueError, KeyError, TypeError):
            return False

    def finish(
        self,
        row: Row,
        status: RunStatus,
        error: dict[str, str] | None = None,
        *,
        durable: bool = True,
        values: bytes | None = None,
        last: Kept | None = None,
    ) -> None:
        """A run that was taken is over; nothing, where somebody else has taken it since.

        ``durable``: False where the thread's own records say the same, so that a power cut costs another look at them.
        ``values``: with which it ended, as JSON, for those who wait for it elsewhere. ``last``: the event that says so,
        where it is to be told with it.
        """
        with self.writing(durable=durable) as db:
            db.execute(
                f"UPDATE runs SET status = ?, error = ?, updated_at = ?, holder = '' WHERE {TAKEN}",
                (status, self.texts.hidden(error) if error else "", self.now(), row.run_id, row.attempt),
            )
            self.changed(db, row.thread_id)

    # -- looking --------------------------------------------------------------------------------------------------

    def get(self, run_id: str, thread_id: str | None = None) -> Row:
        """One run; UnknownRun where there is none (on that thread)."""
        found = self._one(run_id)
        if found is None or thread_id not in (None, found.thread_id):
            raise UnknownRun(f"there is no run {run_id!r} here; the runs of a thread are listed under /threads/ID/runs")
        return found

    def wish(self, run_id: str, attempt: int) -> str:
        """How a run is to stop that was taken in this attempt; "": it is not. LOST: it was taken from whoever asks."""
        with self.looking() as db:
            found = db.execute(f"SELECT stop FROM runs WHERE {TAKEN}", (run_id, attempt)).fetchone()
        return str(found[0]) if found else LOST

    def of(self, thread_id: str, *, status: str | None = None, limit: int = 10, offset: int = 0) -> list[Row]:
        """The runs of a thread, newest first."""
        where, given = "thread_id = ?", [thread_id]
        if status is not None:
            where, given = where + " AND status = ?", [thread_id, status]
        return self._many(f"{ROW} WHERE {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*given, limit, offset))

    def active(self) -> list[Row]:
        """All runs that are not over, oldest first."""
        return self._many(f"{ROW} WHERE {UNDER_WAY} ORDER BY seq", ())

    def room(self, thread_id: str) -> tuple[int, list[tuple[str, str]]]:
        """How many runs have not begun; (run, status) of those of this thread that are not over, oldest first."""
        with self.looking() as db:
            return self._room(db, thread_id)

    def _room(self, db: Statements, thread_id: str, locking: str = "") -> tuple[int, list[tuple[str, str]]]:
        query = f"SELECT COUNT(*) FROM runs WHERE {UNDER_WAY} AND status = 'pending'"
        of_thread = f"SELECT run_id, status FROM runs WHERE {UNDER_WAY} AND thread_id = ? ORDER BY seq{locking}"
        return int(db.execute(query).fetchone()[0]), db.execute(of_thread, (thread_id,)).fetchall()

    def threads_under_way(self) -> set[str]:
        """The threads that have a run that is not over."""
        with self.looking() as db:
            return {thread for (thread,) in db.execute(f"SELECT thread_id FROM runs WHERE {UNDER_WAY}").fetchall()}

    def standing(self) -> tuple[int, int, str]:
        """How many runs wait, how many are under way, and since when the oldest of those that wait has; "" for none."""
        query = (
            "SELECT COUNT(CASE status WHEN 'pending' THEN 1 END), COUNT(CASE status WHEN 'running' THEN 1 END), "
            f"MIN(CASE status WHEN 'pending' THEN created_at END) FROM runs WHERE {UNDER_WAY}"
        )
        with self.looking() as db:
            waiting, running, oldest = db.execute(query).fetchone()
        return int(waiting), int(running), oldest or ""

    def number(self, run_id: str) -> int:
        """A run's place among all runs; it grows with each that is accepted. UnknownRun where there is none."""
        with self.looking() as db:
            found = db.execute("SELECT seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if found is None:
            raise UnknownRun(f"there is no run {run_id!r} here; the runs of a thread are listed under /threads/ID/runs")
        return int(found[0])

    def next_of(self, thread_id: str, number: int) -> tuple[Row, int] | None:
        """The first run of a thread whose number is at least ``number``, and that number."""
        query = "SELECT run_id, seq FROM runs WHERE thread_id = ? AND seq >= ? ORDER BY seq LIMIT 1"
        with self.looking() as db:
            found = db.execute(query, (thread_id, number)).fetchone()
        row = self._one(found[0]) if found is not None else None
        return (row, int(found[1])) if row is not None else None

    def busy(self, thread_id: str) -> bool:
        """Whether a run of this thread is not over."""
        query = f"SELECT 1 FROM runs WHERE {UNDER_WAY} AND thread_id = ? LIMIT 1"
        with self.looking() as db:
            return db.execute(query, (thread_id,)).fetchone() is not None

    def failed(self) -> set[str]:
        """The threads whose newest run ended in an error."""
        query = (
            f"SELECT thread_id FROM runs r WHERE {FAILED} AND NOT EXISTS "
            "(SELECT 1 FROM runs o WHERE o.thread_id = r.thread_id AND o.seq > r.seq)"
        )
        with self.looking() as db:
            return {thread for (thread,) in db.execute(query).fetchall()}

    def delete(self, run_ids: Sequence[str]) -> None:
        """Forget runs that are over."""
        with self.writing() as db:
            for run_id in run_ids:
                db.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
                db.execute(f"DELETE FROM runs WHERE {ENDED} AND run_id = ?", (run_id,))

    # -- events ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def keep_event(self, run_id: str, n: int, event: str, data: bytes) -> None:
        """Keep an event of a stream that can be read again."""

    @abstractmethod
    def shown_event(self, data: Any) -> bytes:
        """An event's JSON, from what the database has."""

    def events(self, run_id: str, after: int, limit: int = 500) -> list[tuple[int, str, bytes]]:
        """Kept events with a number above ``after``, in order."""
        query = "SELECT n, event, data FROM events WHERE run_id = ? AND n > ? ORDER BY n LIMIT ?"
        with self.looking() as db:
            found = db.execute(query, (run_id, after, limit)).fetchall()
        return [(n, event, self.shown_event(data)) for n, event, data in found]

    def last_event(self, run_id: str) -> int:
        """The number of the newest event that is kept; 0: none is."""
        with self.looking() as db:
            found = db.execute("SELECT MAX(n) FROM events WHERE run_id = ?", (run_id,)).fetchone()
        return int(found[0] or 0)

    # -- inside ---------------------------------------------------------------------------------------------------

    def now(self) -> str:
        """The time as rows have it."""
        return datetime.now(UTC).isoformat()

    def until(self) -> str:
        """The end of a lease that begins now."""
        return datetime.fromtimestamp(self.seconds() + self.lease_s, UTC).isoformat()

    def _thread_of(self, db: Statements, run_id: str) -> str:
        found = db.execute("SELECT thread_id FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return str(found[0]) if found else ""

    def _one(self, run_id: str) -> Row | None:
        return next(iter(self._many(f"{ROW} WHERE run_id = ?", (run_id,))), None)

    def _many(self, query: str, given: Sequence[Any]) -> list[Row]:
        with self.looking() as db:
            rows = db.execute(query, tuple(given)).fetchall()
        return [self.row(values) for values in rows]

    def row(self, values: Sequence[Any]) -> Row:
        """A row from what a statement gave for :data:`NAMES`."""
        found = dict(zip(NAMES, values, strict=True))
        return Row(**{**found, **{name: self.texts.shown(found[name]) for name in SEALED}})
