"""Housekeeping of accepted runs in PostgreSQL, beside their use; the rules of :mod:`dojang.server.work.tidying`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from dojang.server.work.database import ENDED
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.tidying import RUNS_A_STEP, Keep, Tidied, Tidier

BRIEF_S: Final = 120.0
"""How long after a run's end its events are there for who lost the connection, where no more was asked for."""


class PgTidier(Tidier):
    """The same for the tables of ``rows``. PostgreSQL finds free pages by itself."""

    def __init__(self, rows: PgRows, keep: Keep, now: Callable[[], datetime], exists: Callable[[str], bool]) -> None:
        super().__init__(keep, now, exists)
        self.rows = rows

    def brief(self) -> int:
        """Drop the events of runs that are over and were not to be read again; of how many."""
        before, dropped = self._before(timedelta(seconds=BRIEF_S)), 0
        while not self._ending.is_set() and (found := self.rows.drop_brief(before)):
            dropped += found
        return dropped

    def tidy(self) -> Tidied:
        """All that is old."""
        return Tidied(self._drop_events(), self._drop_runs(), 0)

    def _drop_events(self) -> int:
        before, dropped = self._before(timedelta(hours=self.keep.events_hours)), 0
        find = (
            f"SELECT run_id FROM runs r WHERE {ENDED} AND updated_at < ? AND (outcome IS NOT NULL OR "
            "EXISTS (SELECT 1 FROM events e WHERE e.run_id = r.run_id)) LIMIT ?"
        )
        while not self._ending.is_set():
            with self.rows.writing(durable=False) as db:
                found = [run_id for (run_id,) in db.execute(find, (before, RUNS_A_STEP)).fetchall()]
                db.execute("DELETE FROM events WHERE run_id = ANY(?)", (found,))
                db.execute("UPDATE runs SET outcome = NULL WHERE run_id = ANY(?)", (found,))
            if not found:
                break
            dropped += len(found)
        return dropped

    def _drop_runs(self) -> int:
        """Ended runs that are too old or too many, oldest first: superseded ones, and those whose thread is gone."""
        before = self._before(timedelta(days=self.keep.runs_days))
        fits = f"SELECT updated_at FROM runs WHERE {ENDED} ORDER BY updated_at DESC, seq DESC LIMIT 1 OFFSET ?"
        find = (
            "SELECT updated_at, seq, run_id, thread_id, EXISTS "
            "(SELECT 1 FROM runs o WHERE o.thread_id = r.thread_id AND o.seq > r.seq) "
            f"FROM runs r WHERE {ENDED} AND updated_at < ? AND (updated_at, seq) > (?, ?) "
            "ORDER BY updated_at, seq LIMIT ?"
        )
        with self.rows.looking() as db:
            last = db.execute(fits, (self.keep.runs_most - 1,)).fetchone()
        before = max(before, last[0]) if last is not None else before
        dropped, at, seq = 0, "", 0
        while not self._ending.is_set():
            with self.rows.looking() as db:
                found = db.execute(find, (before, at, seq, RUNS_A_STEP)).fetchall()
            if not found:
                break
            at, seq = found[-1][:2]
            old = [run_id for _, _, run_id, thread, superseded in found if superseded or not self.exists(thread)]
            if not old:
                continue
            with self.rows.writing(durable=False) as db:
                db.execute("DELETE FROM events WHERE run_id = ANY(?)", (old,))
                db.execute("DELETE FROM hooks WHERE state != 'pending' AND run_id = ANY(?)", (old,))
                db.execute(f"DELETE FROM runs WHERE {ENDED} AND run_id = ANY(?)", (old,))
            dropped += len(old)
        return dropped
