"""Housekeeping of accepted runs beside their use: old events go first, rows of ended runs later, then free pages.

The newest run of a thread stays as long as the thread does: it says whether the thread's last run failed, and is what
``join`` follows. Every step is one short transaction, so that whoever accepts or ends a run waits for one at most.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from dojang.server.transactions import transaction
from dojang.server.work.database import ENDED, opened
from state import DojangError

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
LOOKS_A_TIDYING: Final = 60
"""Of so many looks the first one tidies."""
RUNS_A_STEP: Final = 100
PAGES_A_STEP: Final = 256
"""Free pages (4 KB) that one step gives back."""


@dataclass(frozen=True)
class Keep:
    """How long and how much of ended runs is kept."""

    events_hours: float
    runs_days: float
    runs_most: int


class Tidied(NamedTuple):
    """What one look has taken out."""

    streams: int  # runs whose events went
    runs: int
    pages: int


class Tidier(ABC):
    """A thread that tidies now and then; use it as a context manager around serving.

    Args:
        keep: how much stays.
        now: the time in UTC.
        exists: whether there is a thread with this id.
    """

    def __init__(self, keep: Keep, now: Callable[[], datetime], exists: Callable[[str], bool]) -> None:
        self.keep, self.now, self.exists = keep, now, exists
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dojang-tidier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        for look in itertools.count():
            if self._ending.wait(LOOK_S):
                return
            try:
                self.brief()
                if look % LOOKS_A_TIDYING == 0:
                    self.tidy()
            except DojangError as error:
                log.warning("accepted runs could not be tidied; the next look tries again: %s", error)
            except Exception:
                log.exception("accepted runs could not be tidied; the next look tries again")

    def brief(self) -> int:
        """What goes at each look, however short the time; of how many runs."""
        return 0

    @abstractmethod
    def tidy(self) -> Tidied:
        """All that is old; stops between two steps where the server ends."""

    def _before(self, age: timedelta) -> str:
        return (self.now() - age).isoformat()


class FileTidier(Tidier):
    """The same for a file, ``path``."""

    def __init__(self, path: Path, keep: Keep, now: Callable[[], datetime], exists: Callable[[str], bool]) -> None:
        super().__init__(keep, now, exists)
        self.path = path

    def tidy(self) -> Tidied:
        """All that is old, and the free pages."""
        with contextlib.closing(opened(self.path, "NORMAL")) as db:
            streams = self._drop_events(db)
            runs = self._drop_runs(db)
            return Tidied(streams, runs, self._give_back_pages(db))

    def _drop_events(self, db: sqlite3.Connection) -> int:
        before = self._before(timedelta(hours=self.keep.events_hours))
        find = (
            f"SELECT run_id FROM runs r WHERE {ENDED} AND updated_at < ? "
            "AND EXISTS (SELECT 1 FROM events e WHERE e.run_id = r.run_id) LIMIT ?"
        )
        dropped = 0
        while not self._ending.is_set() and (found := db.execute(find, (before, RUNS_A_STEP)).fetchall()):
            for run in found:  # each by itself: a stream may have thousands of events
                db.execute("DELETE FROM events WHERE run_id = ?", run)
            dropped += len(found)
        return dropped

    def _drop_runs(self, db: sqlite3.Connection) -> int:
        """Ended runs that are too old or too many, oldest first: superseded ones, and those whose thread is gone."""
        before = self._before(timedelta(days=self.keep.runs_days))
        fits = f"SELECT updated_at FROM runs WHERE {ENDED} ORDER BY updated_at DESC, seq DESC LIMIT 1 OFFSET ?"
        last = db.execute(fits, (self.keep.runs_most - 1,)).fetchone()
        if last is not None:
            before = max(before, last[0])
        find = (
            "SELECT updated_at, seq, run_id, thread_id, EXISTS "
            "(SELECT 1 FROM runs o WHERE o.thread_id = r.thread_id AND o.seq > r.seq) "
            f"FROM runs r WHERE {ENDED} AND updated_at < ? AND (updated_at, seq) > (?, ?) "
            "ORDER BY updated_at, seq LIMIT ?"
        )
        dropped, at, seq = 0, "", 0
        while not self._ending.is_set():
            found = db.execute(find, (before, at, seq, RUNS_A_STEP)).fetchall()
            if not found:
                break
            at, seq = found[-1][:2]
            old = [(run_id,) for _, _, run_id, thread, superseded in found if superseded or not self.exists(thread)]
            if not old:
                continue
            with transaction(db):
                db.executemany("DELETE FROM events WHERE run_id = ?", old)
                db.executemany("DELETE FROM hooks WHERE state != 'pending' AND run_id = ?", old)
                db.executemany(f"DELETE FROM runs WHERE {ENDED} AND run_id = ?", old)
            dropped += len(old)
        return dropped

    def _give_back_pages(self, db: sqlite3.Connection) -> int:
        free = _free(db)
        if db.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
            with contextlib.suppress(sqlite3.OperationalError):  # somebody writes: the next look tries again
                db.execute("VACUUM")  # once: a file of the first version becomes one that can be given back in steps
        before = free + 1
        while 0 < (now := _free(db)) < before and not self._ending.is_set():  # none goes where VACUUM was refused
            before = now
            db.execute(f"PRAGMA incremental_vacuum({PAGES_A_STEP})").fetchall()
        if free:
            db.execute("PRAGMA busy_timeout=100")  # who reads now keeps the log of changes until the next look
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return free - _free(db)


def _free(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA freelist_count").fetchone()[0])
