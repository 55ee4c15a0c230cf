"""One connection that hears of events of all runs, for all readers of a process. It comes again when it breaks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from checkpoints.postgres.database import Connection, Database
from dojang.server.work.postgres.telling import CHANNEL
from state import DojangError

log = logging.getLogger(__name__)

QUIET_S: Final = 5.0
"""After so long without a word the connection is asked whether it lives."""
AGAIN_S: Final = 0.5
TOLD_S: Final = 60.0


class Listener:
    """A thread that listens.

    Args:
        database: whose notifications.
        mark: of this process, whose own are passed over.
        heard: called with runs of which there are events.
        missed: called when it listens (again): what was notified before is to be looked for.
    """

    def __init__(
        self, database: Database, mark: str, heard: Callable[[Sequence[str]], None], missed: Callable[[], None]
    ) -> None:
        self.database, self.mark, self.heard, self.missed = database, mark, heard, missed
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dojang-listener", daemon=True)
        self._connection: Connection | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def end(self) -> None:
        """Listen no more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(QUIET_S + 2)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._listen()
            except (DojangError, psycopg.Error) as error:
                log.warning("events of runs elsewhere wait for the database: %s", error)
            except Exception:
                log.exception("the listener stumbled; it goes on")
            self._ending.wait(AGAIN_S)

    def _listen(self) -> None:
        with self.database.connection() as db:
            db.execute(f"LISTEN {CHANNEL}")
            self.missed()
            quiet = 0.0
            while not self._ending.is_set():
                notes = list(db.notifies(timeout=1.0, stop_after=1))
                notes += db.notifies(timeout=0)  # what has come with it
                runs: dict[str, None] = {}
                for note in notes:
                    mark, *run_ids = note.payload.split(" ")
                    if mark != self.mark:
                        runs |= dict.fromkeys(run_ids)
                if runs:
                    self.heard(list(runs))
                quiet = 0.0 if notes else quiet + 1.0
                if quiet >= QUIET_S:
                    db.execute("SELECT 1")
                    quiet = 0.0
