"""What a process does that shares accepted runs with others: it takes those that jobs name, and looks after all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import Final

from dojang.server.work.postgres.channel import SharedChannels
from dojang.server.work.postgres.dispatch import Dispatch
from dojang.server.work.postgres.listening import Listener
from dojang.server.work.postgres.rows import PgRows
from state import DojangError

log = logging.getLogger(__name__)

REAP_S: Final = 2.0
PAUSED_S: Final = 1.0
"""How often it looks whether all runs go again, while they are paused."""


class Shared:
    """The threads of such a process, beside those of procrastinate's worker.

    Args:
        rows: where the runs are.
        dsn: the address of their database.
        carry: carries out one run, if it is to be carried out.
        here: the runs that this process carries out.
        paused: whether no run may begin.
        over: called when a run that is followed here has ended.
        catch_up: called with runs that are followed here, when their events may have been missed.
        workers: runs at a time; 0: they are carried out elsewhere.
        name: of this process.
    """

    def __init__(
        self,
        rows: PgRows,
        dsn: str,
        *,
        carry: Callable[[str], None],
        here: Collection[str],
        paused: Callable[[], bool],
        over: Callable[[], None],
        catch_up: Callable[[str], None],
        workers: int,
        name: str,
    ) -> None:
        self.rows, self.here, self.paused, self.catch_up = rows, here, paused, catch_up
        self.channels = SharedChannels(rows, over)
        self.listener = Listener(rows.database, rows.mark, self.channels.pull, self._missed)
        self.dispatch = Dispatch(dsn, carry, workers=workers, name=name) if workers else None
        self._ending = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="dojang-reaper", daemon=True)

    @property
    def threads(self) -> list[threading.Thread]:
        """Those that end when the runs under way here have."""
        return [self.dispatch.thread] if self.dispatch is not None else []

    def start(self, *, follows: bool) -> None:
        """Begin. ``follows``: whether there may be readers here."""
        if follows:
            self.listener.start()
        if self.dispatch is not None:
            self.dispatch.thread.start()
            self._reaper.start()

    def drain(self) -> None:
        """Take no more runs."""
        if self.dispatch is not None:
            self.dispatch.stop()

    def end(self) -> None:
        """Nobody works or follows any more."""
        self._ending.set()
        self.listener.end()
        if self._reaper.is_alive():
            self._reaper.join(REAP_S)

    def ailing(self) -> str:
        """Why no run would be carried out now, here or elsewhere; "" where it would."""
        if self.dispatch is None:
            return "" if self.rows.workers() else "no worker is up: start some with `dojang work`"
        if not self.dispatch.thread.is_alive():
            return "the workers are not alive"
        worker_id = self.dispatch.worker_id
        if worker_id is None:
            return "the workers wait for the database"
        return "" if self.rows.beats(worker_id) else "the workers are given up: their heartbeat does not come through"

    def look(self) -> None:
        """Take back the runs of processes that are gone, and see that what waits is looked at."""
        if freed := self.rows.reap(self.here):
            log.warning("taken back from workers that are gone: %s", ", ".join(freed))
        if not self.paused():
            self.rows.tidy_jobs()

    def _reap(self) -> None:
        wait_s, paused = 0.0, False
        while not self._ending.wait(wait_s):
            try:
                before, paused = paused, self.paused()
                if not before or not paused:
                    self.look()
                wait_s = PAUSED_S if paused else REAP_S
            except DojangError as error:
                log.warning("nobody looks after the runs until the database is back: %s", error)
                wait_s = PAUSED_S
            except Exception:
                log.exception("looking after the runs failed; it is tried again")
                wait_s = REAP_S

    def _missed(self) -> None:
        followed = self.channels.followed()
        self.channels.pull(followed)
        for run_id in followed:
            try:
                self.catch_up(run_id)
            except DojangError as error:
                log.info("run %s is not followed any more: %s", run_id, error)
