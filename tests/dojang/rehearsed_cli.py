"""The command line with the rehearsed model, as a process: ``python -m tests.dojang.rehearsed_cli ask …``.

``DOJANG_TEST_DIE`` kills the process by SIGKILL at an instant: ``recorded`` (the decision is on disk, the run not yet
resumed) or ``ran`` (the tool has committed, its outcome is not yet in the ledger). ``DOJANG_TEST_GATE`` names a folder
in which two processes meet before either records its decision.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from dojang.__main__ import main
from dojang.settings import Settings
from dojang.workspace import Workspace
from state import Decision, Outcome
from tests.dojang.workspaces import RehearsedParts


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def meet(folder: Path) -> None:
    """Wait until two processes have come here."""
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)


class DecisionsWithAccidents:
    def __init__(self, real: Any) -> None:
        self.real = real

    def record(self, thread_id: str, decision: Decision) -> Decision:
        if gate := os.environ.get("DOJANG_TEST_GATE"):
            meet(Path(gate))
        stored: Decision = self.real.record(thread_id, decision)
        if os.environ.get("DOJANG_TEST_DIE") == "recorded":
            die()
        return stored

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class LedgerWithAccidents:
    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def finish(self, thread_id: str, key: str, outcome: Outcome) -> Outcome:
        if os.environ.get("DOJANG_TEST_DIE") == "ran":
            die()
        finished: Outcome = self.real.finish(thread_id, key, outcome)
        return finished


class PartsWithAccidents(RehearsedParts):
    @cached_property
    def decisions(self) -> Any:
        return DecisionsWithAccidents(super().decisions)

    @cached_property
    def ledger(self) -> Any:
        return LedgerWithAccidents(super().ledger)


def opened(settings: Settings) -> Workspace:
    return Workspace(settings, parts=PartsWithAccidents(settings))


if __name__ == "__main__":
    # A suite that a script started in the background has SIGINT ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(open_workspace=opened))
