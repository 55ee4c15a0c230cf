"""``python -m tests.hosts.shift_child``: ``dojang work`` on a host, with the model of rules, which takes its time.

``DOJANG_TEST_NETWORK``, ``DOJANG_TEST_HOST`` and ``DOJANG_TEST_LOG``: as ``tests.hosts.child`` has them;
``DOJANG_TEST_SILENT``: as the server of the SDK's scenarios has it. ``DOJANG_TEST_CLOCK``: a file with the time that it
is, empty for the real one; ``DOJANG_TEST_OUTBOX``: a folder for messages that all machines share.
"""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from dojang.__main__ import main
from dojang.settings import Settings
from dojang.workspace import Workspace
from nodes.ports import Generator
from tests.dojang.server.langgraph.server_child import Silent
from tests.dojang.workspaces import RehearsedParts
from tests.hosts.network import enter

THINKS_S: Final = 0.15


class Thinking(Silent):
    """A real one takes its time, too: so that what befalls a worker befalls it at work."""

    def reply(self, messages: Any, **given: Any) -> Any:
        time.sleep(random.uniform(0.0, THINKS_S))
        return super().reply(messages, **given)


class Told:
    """A clock that somebody else turns."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def now(self) -> datetime:
        said = self.file.read_text(encoding="utf-8")
        return datetime.fromisoformat(said) if said else datetime.now(UTC)


class Parts(RehearsedParts):
    @cached_property
    def generator(self) -> Generator:
        return Thinking()


def opened(settings: Settings) -> Workspace:
    file = os.environ.get("DOJANG_TEST_CLOCK")
    if outbox := os.environ.get("DOJANG_TEST_OUTBOX"):
        mine = settings.home / "outbox"
        if not mine.is_symlink():
            mine.symlink_to(outbox)
    return Workspace(settings, parts=Parts(settings, clock=Told(Path(file)) if file else None))


if __name__ == "__main__":
    enter(os.environ["DOJANG_TEST_NETWORK"], name=os.environ["DOJANG_TEST_HOST"])
    os.dup2(os.open(os.environ["DOJANG_TEST_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY), 2)
    sys.exit(main(sys.argv[1:], open_workspace=opened))
