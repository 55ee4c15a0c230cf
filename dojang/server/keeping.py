"""Does what is due while the server runs: a thread that looks at the clock. `dojang due` does the same by hand."""

from __future__ import annotations

import heapq
import logging
import threading
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from dojang.watching import Watch
from dojang.workspace import Workspace
from state import Decision, DojangError

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 30.0
"""Longest time between two looks at deadlines and at decisions that other processes recorded."""


class Keeper:
    """Use it as a context manager around serving; without that it only takes reminders."""

    def __init__(self, workspace: Workspace, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self.workspace = workspace
        self.look_every_s = look_every_s
        self._reminders: list[datetime] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._keep, name="dojang-keeper", daemon=True)

    def remind(self, decision: Decision) -> None:
        """Look again when this decision cannot be taken back any more."""
        until = decision.get("held_until")
        if until:
            with self._changed:
                heapq.heappush(self._reminders, datetime.fromisoformat(until))
                self._changed.notify()

    def wake(self) -> None:
        """Look again at once: something that held everything up is over."""
        with self._changed:
            heapq.heappush(self._reminders, self.workspace.parts.clock.now())
            self._changed.notify()

    def look(self) -> None:
        """Do what is due now. A fault of one look is logged; the next one tries again."""
        try:
            self.workspace.do_due(Watch(stop=lambda values: self._stopping))
        except (DojangError, OSError) as error:
            log.warning("what is due could not be done: %s", error)
        except Exception:
            log.exception("what is due could not be done")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping:
            self.look()
            with self._changed:
                if not self._stopping:
                    self._changed.wait(self._rest_s())

    def _rest_s(self) -> float:
        """Seconds until the next reminder, at most ``look_every_s``."""
        now, over = self.workspace.parts.clock.now(), False
        while self._reminders and self._reminders[0] <= now:
            heapq.heappop(self._reminders)
            over = True  # its time may have come after the look: look once more
        if over:
            return 0.0
        left = (self._reminders[0] - now).total_seconds() if self._reminders else self.look_every_s
        return min(self.look_every_s, left)
