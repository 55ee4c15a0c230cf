"""Accepted runs as rows of PostgreSQL, for any number of processes on any number of machines.

The row is the truth. A job of procrastinate's says that somebody is to look at a run: it is made in the transaction in
which a run comes to be the first of its thread that waits, and :meth:`PgRows.tidy_jobs` makes those that were lost.
Leases and delays are judged by the database's clock.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from checkpoints.postgres.database import DEAD_S, Connection, Database
from checkpoints.records.leases import Holder, is_live, this_process
from dojang.server.transactions import Statements
from dojang.server.work.base import NEXT, ROW, TAKEN, Kept, Rows
from dojang.server.work.database import ENDED, UNDER_WAY
from dojang.server.work.order import Order
from dojang.server.work.postgres.outbox import PgOutbox
from dojang.server.work.postgres.tables import QUEUE, TASK, looking, writing
from dojang.server.work.postgres.telling import EventWriter
from dojang.server.work.row import Row, RunStatus
from dojang.spoken import Spoken

ACCEPTING: Final = 4_701_310_038
"""Any fixed number: whoever accepts a run holds this advisory lock, so that numbers grow as runs become visible."""
_FIRST: Final = (
    f"FROM runs r WHERE {UNDER_WAY} AND status = 'pending' {{which}} AND NOT EXISTS "
    f"(SELECT 1 FROM runs o WHERE {UNDER_WAY} AND o.thread_id = r.thread_id AND (o.status = 'running' OR "
    "o.seq < r.seq))"
)
_DEFER: Final = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at) "
    f"SELECT '{QUEUE}', '{TASK}', 0, NULL, r.run_id, jsonb_build_object('run_id', r.run_id), "
    f"CASE WHEN r.not_before > ? THEN to_timestamp(r.not_before) END {_FIRST} ORDER BY seq "
    "ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING"
)
"""SQL: a job for each run that waits and is the first of its thread, where none waits to be looked at.

What ``procrastinate_defer_jobs_v1`` does, which knows no ON CONFLICT: two who wake one run at once would both fail.
"""
_WAKE = _DEFER.format(which="AND r.thread_id = ?")
_WAKE_ALL = _DEFER.format(
    which="AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.queueing_lock = r.run_id AND j.status = 'doing')"
)
_STALLED: Final = (
    "DELETE FROM procrastinate_jobs j WHERE j.queue_name = ? AND j.status = 'doing' AND NOT EXISTS (SELECT 1 FROM "
    "procrastinate_workers w WHERE w.id = j.worker_id AND w.last_heartbeat > now() - make_interval(secs => ?))"
)


class PgRows(Rows):
    """The rows of one database. ``mark``: of this process, in the notifications that it sends."""

    shared: ClassVar[bool] = True
    beat_s: ClassVar[float] = 4.0
    lease_s: ClassVar[float] = 12.0
    locking: ClassVar[str] = " FOR UPDATE"

    def __init__(self, database: Database) -> None:
        self.database = database
        self.texts = PlainTexts()
        self._holder = json.dumps(this_process())
        self._ahead = 0.0  # how much later the database's clock is
        self._measured = -DEAD_S * 10.0
        self.mark = f"{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns():x}"
        self.writer = EventWriter(database, self._holder, self.mark)

    def close(self) -> None:
        """Write what is left of events. The connections are the database's owner's."""
        self.writer.close()

    def writing(self, *, durable: bool = True) -> AbstractContextManager[Statements]:
        """One transaction, on the disk at its end; or, not ``durable``, within a second of it."""
        return writing(self.database, durable=durable)

    def looking(self) -> AbstractContextManager[Statements]:
        """Statements that only read."""
        return looking(self.database)

    def outbox(self) -> PgOutbox:
        """What is to be told when runs are over."""
        return PgOutbox(self.database, seal=self.texts.hidden, unseal=self.texts.shown, clock=self.seconds)

    def seconds(self) -> float:
        """The database's clock, as far as it was measured in the last minute."""
        if time.monotonic() - self._measured > 60:
            with self.database.reading() as db:
                before = time.time()
                found = db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
                assert found is not None
                self._ahead = float(found[0]) - (before + time.time()) / 2
            self._measured = time.monotonic()
        return time.time() + self._ahead

    # -- what is done otherwise -----------------------------------------------------------------------------------

    def alone(self, db: Statements) -> None:
        """Nobody else accepts a run until this transaction is over."""
        db.execute("SELECT pg_advisory_xact_lock(?)", (ACCEPTING,))

    def changed(self, db: Statements, thread_id: str) -> None:
        """A job for the first run of this thread, where it waits and has none."""
        db.execute(_WAKE, (self.seconds(), thread_id))

    def extra(self, row: Row) -> dict[str, Any]:
        """Whether its events and outcome are for those who follow it now."""
        return {"brief": not Order.from_json(row.body).kept}

    def take(self, run_id: str | None = None) -> Row | None:
        """The next run for this process, the oldest of its thread and alone on it; None where there is none.

        What keeps a run from being taken only ever goes away (an earlier run that ends), so a look that is a moment old
        refuses too much, and never too little. On the disk before it is carried out: a database that forgot it would
        give the same attempt to somebody else.
        """
        which, given = ("", ()) if run_id is None else ("AND run_id = ?", (run_id,))
        with self.looking() as db:  # one statement is a transaction
            found = db.execute(
                "UPDATE runs SET status = 'running', holder = ?, lease_until = ?, attempt = attempt + 1, updated_at = ?"
                f" WHERE run_id = ({NEXT.format(which=which)} FOR UPDATE SKIP LOCKED) RETURNING {ROW[7:-10]}",
                (self._holder, self.until(), self.now(), self.seconds(), *given),
            ).fetchone()
        return self.row(found) if found else None

    def live(self, run_id: str, holder: str, until: str, now: datetime, here: Collection[str] | None) -> bool:
        """Whether a run may still be carried out by who holds it: a lease that has run out is over, whoever lives."""
        if here is not None and holder == self._holder:
            return run_id in here
        try:
            who: Holder = json.loads(holder)
            return now < datetime.fromisoformat(until) and is_live(who, until, now)
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
        """A run that was taken is over: in one transaction its events, its outcome, and who comes next on its thread.

        On the disk always: a run that a living process holds is nobody else's.
        """
        told = self.texts.hidden(error) if error else ""

        def end(connection: Connection) -> bool:
            db: Statements = Spoken(connection)
            ended = db.execute(
                f"UPDATE runs SET status = ?, error = ?, updated_at = ?, holder = '', outcome = ? WHERE {TAKEN}",
                (status, told, self.now(), values.decode() if values else None, row.run_id, row.attempt),
            )
            self.changed(db, row.thread_id)
            return ended.rowcount > 0

        self.seconds()  # measured before, where it has to be
        self.writer.finish(end, last)

    def outcome(self, run_id: str) -> bytes | None:
        """The values with which a run ended, as JSON, as long as they are kept."""
        with self.looking() as db:
            found = db.execute("SELECT outcome FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return found[0].encode() if found and found[0] else None

    def newest(self) -> int:
        """The number of the run that was accepted last, ever; 0 where none was."""
        query = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM runs_seq_seq"
        with self.looking() as db:
            return int(db.execute(query).fetchone()[0])

    def free(self, run_id: str, after_s: float, whose: str, value: Any) -> bool:
        """As everywhere; what this process has put of its events is in the database before."""
        self.writer.flush()
        return super().free(run_id, after_s, whose, value)

    # -- jobs -----------------------------------------------------------------------------------------------------

    def wake(self, run_id: str) -> None:
        """A job for a run that waits, where it has none that nobody has looked at."""
        with self.writing(durable=False) as db:
            if thread := self._thread_of(db, run_id):
                self.changed(db, thread)

    def tidy_jobs(self) -> int:
        """Make the jobs that were lost, and forget those of workers that are gone; how many runs were without one."""
        self.seconds()
        with self.writing(durable=False) as db:
            db.execute(_STALLED, (QUEUE, DEAD_S))
            return db.execute(_WAKE_ALL, (self.seconds(),)).rowcount

    def workers(self) -> int:
        """How many processes take runs, as far as their heartbeats say."""
        query = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => ?)"
        with self.looking() as db:
            return int(db.execute(query, (DEAD_S,)).fetchone()[0])

    def beats(self, worker_id: int) -> bool:
        """Whether a process that takes runs is known, and its last heartbeat is no older than that of a living one."""
        query = "SELECT 1 FROM procrastinate_workers WHERE id = ? AND last_heartbeat > now() - make_interval(secs => ?)"
        with self.looking() as db:
            return db.execute(query, (worker_id, DEAD_S)).fetchone() is not None

    # -- events ---------------------------------------------------------------------------------------------------

    def keep_event(self, run_id: str, n: int, event: str, data: bytes) -> None:
        """Keep an event: it is in the database a moment later, and after :meth:`flush`."""
        self.writer.put(run_id, n, event, data)

    def last_word(self, run_id: str) -> tuple[int, str]:
        """The number and the name of the newest event that is kept; (0, "") where none is."""
        with self.looking() as db:
            found = db.execute("SELECT n, event FROM events WHERE run_id = ? ORDER BY n DESC LIMIT 1", (run_id,))
            n, event = found.fetchone() or (0, "")
        return int(n), str(event)

    def shown_event(self, data: Any) -> bytes:
        """An event's JSON."""
        return str(data).encode()

    # -- keeping --------------------------------------------------------------------------------------------------

    def drop_brief(self, before: str) -> int:
        """Drop the events and outcomes that nobody wants any more of runs that ended before then; of how many."""
        with self.writing(durable=False) as db:
            found = db.execute(
                f"UPDATE runs SET brief = false, outcome = NULL WHERE run_id IN (SELECT run_id FROM runs WHERE brief "
                f"AND {ENDED} AND updated_at < ? ORDER BY updated_at LIMIT 500 FOR UPDATE SKIP LOCKED) "
                "RETURNING run_id",
                (before,),
            ).fetchall()
            db.execute("DELETE FROM events WHERE run_id = ANY(?)", ([run_id for (run_id,) in found],))
            return len(found)


class PlainTexts:
    """JSON as it is: sessions in a database are not sealed."""

    def hidden(self, value: Any) -> str:
        """JSON for the database."""
        return json.dumps(value)

    def shown(self, text: str) -> Any:
        """What the text says; None for ""."""
        return json.loads(text) if text else None


def ago(seconds: float) -> str:
    """A time as rows have it."""
    return datetime.fromtimestamp(time.time() - seconds, UTC).isoformat()
