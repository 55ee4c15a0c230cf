"""Events of runs on their way to readers elsewhere: many of them in one statement, and one notification for all.

What a reader is told is on the database's disk before: who comes again after a kill or a crash finds every number that
it knows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from checkpoints.postgres.database import Connection, Database
from dojang.server.work.base import Kept
from dojang.server.work.events import Last
from state import DojangError

log = logging.getLogger(__name__)

CHANNEL: Final = "dojang_events"
"""PostgreSQL's, of notifications: the mark of who writes, then the ids of the runs, with spaces between."""
GATHER_S: Final = 0.02
"""How long a first event waits for others to go with it. A word of a model is told within about twice that."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""What is written in one statement."""
HELD_BYTES: Final = 64 * 1024 * 1024
"""What waits at most for a database that is away; after that the oldest is lost to readers."""
RUNS_A_NOTE: Final = 100
AGAIN_S: Final = 1.0
_INSERT: Final = """
    WITH given AS (
        SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[]) AS g (run_id, n, event, data)
    ), mine AS (
        SELECT run_id, status IN ('pending', 'running') AS under_way FROM runs
        WHERE run_id = ANY(%s) AND (holder = %s OR status NOT IN ('pending', 'running')) ORDER BY run_id FOR SHARE
    ), put AS (
        INSERT INTO events SELECT g.run_id, g.n, g.event, g.data FROM given g JOIN mine m USING (run_id)
        WHERE m.under_way OR g.event IN ('end', 'error')
        ON CONFLICT DO NOTHING RETURNING run_id, n
    ), told AS MATERIALIZED (
        SELECT pg_notify(%s, note) FROM unnest(%s::text[]) AS note
    )
    SELECT run_id, n FROM put, (SELECT count(*) FROM told) AS told
"""
"""Only of runs that this process holds; of one that is over, only its last word. Who was passed over writes nothing:
the row is locked against whoever takes it, so its successor has read what was written, or it has written nothing."""


Written = Callable[[Sequence[Kept]], None]


class EventWriter:
    """Writes the events of this process's runs. Its thread begins with the first of them.

    ``written`` is called with what is in the database now, in order; for readers in this process.
    """

    def __init__(self, database: Database, holder: str, mark: str) -> None:
        self.database, self.holder, self.mark = database, holder, mark
        self.written: Written = lambda events: None
        self._waiting: list[Kept] = []
        self._bytes = 0
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, run_id: str, n: int, event: str, data: bytes) -> None:
        """Write it soon."""
        with self._changed:
            self._waiting.append(Last(run_id, n, event, data))
            self._bytes += len(data)
            while self._bytes > HELD_BYTES and len(self._waiting) > 1:
                self._bytes -= len(self._waiting.pop(0).data)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="dojang-events", daemon=True)
                self._thread.start()
            if len(self._waiting) == 1:
                self._changed.notify()

    def flush(self) -> None:
        """All that was put before is in the database on return. PassingFault where it is away; nothing is lost."""
        with self._writing:
            while events := self._some():
                self._write(events)

    def finish(self, end: Callable[[Connection], bool], last: Kept | None) -> None:
        """All that was put before, ``end``, and ``last`` where ``end`` says so: one transaction, on the disk."""
        with self._writing:
            while len(events := self._some()) and self._waiting:  # too much for one statement
                self._write(events)
            self._write(events, end, last)

    def close(self) -> None:
        """Write what is left, if that can be done now, and nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(5)

    def _some(self) -> list[Kept]:
        with self._changed:
            size = n = 0
            while n < len(self._waiting) and size < MOST_BYTES:
                size += len(self._waiting[n].data)
                n += 1
            events, self._waiting = self._waiting[:n], self._waiting[n:]
            self._bytes -= size
            return events

    def _write(
        self, events: list[Kept], end: Callable[[Connection], bool] | None = None, last: Kept | None = None
    ) -> None:
        try:
            there = self._written_at_once(events, end, last)
        except BaseException:
            with self._changed:
                self._waiting[:0] = events
                self._bytes += sum(len(event.data) for event in events)
            raise
        told = [*events, last] if last is not None else events
        self.written([event for event in told if (event.run_id, event.n) in there])

    def _written_at_once(
        self, events: Sequence[Kept], end: Callable[[Connection], bool] | None, last: Kept | None
    ) -> set[tuple[str, int]]:
        """Which of them are there."""
        if end is None:
            with self.database.reading() as db:  # one statement is a transaction, whatever it does
                return self._insert(db, events)
        with self.database.transaction() as db:
            there = self._insert(db, events)
            if end(db) and last is not None:
                there |= self._insert(db, [last])
            return there

    def _insert(self, db: Connection, events: Sequence[Kept]) -> set[tuple[str, int]]:
        """On the disk before readers are told: an event that a crash took back would leave a hole in its numbers."""
        if not events:
            return set()
        runs = list(dict.fromkeys(event.run_id for event in events))
        notes = [" ".join((self.mark, *runs[at : at + RUNS_A_NOTE])) for at in range(0, len(runs), RUNS_A_NOTE)]
        columns = (
            [event.run_id for event in events],
            [event.n for event in events],
            [event.event for event in events],
            [event.data.decode() for event in events],
        )
        return set(db.execute(_INSERT, (*columns, runs, self.holder, CHANNEL, notes)).fetchall())

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
            if not self._closed:
                time.sleep(GATHER_S)
            try:
                self.flush()
            except DojangError as error:
                if self._closed:
                    return
                log.warning("events of runs wait for the database: %s", error)
                time.sleep(AGAIN_S)
            except Exception:
                log.exception("events of runs could not be written; they are tried again")
                if self._closed:
                    return
                time.sleep(AGAIN_S)
