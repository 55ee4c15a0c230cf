"""One of the processes of a race for a review. A module of its own, so that a fork server imports it once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import checkpoints.audit.trail
import store
import tools.policy
import tools.toolbox
from state import Conflict
from tests.dojang.workspaces import workspace_for
from tests.hosts.sent import sent_away

PRELOADED = (checkpoints.audit.trail, store, tools.policy, tools.toolbox)


class Said(NamedTuple):
    """What came of one attempt: ``error`` is empty for the winner."""

    by: str
    error: str


def race(home: Path, dsn: str, review_id: str, attempts: list[tuple[str, Any]], start: Any, said: Connection) -> None:
    """Make every attempt (who, decision) in a thread of its own, all of them at one time; say what came of them."""
    with sent_away(), workspace_for(home, dsn) as workspace, ThreadPoolExecutor(len(attempts)) as pool:
        assert workspace.parts.deps is not None  # everything is open before the race begins
        here = threading.Barrier(len(attempts))

        def attempt(who: tuple[str, Any]) -> Said:
            if here.wait() == 0:
                start.wait()
            here.wait()
            try:
                workspace.decide(review_id, who[1], by=who[0])
            except Conflict as lost:
                return Said(who[0], str(lost))
            return Said(who[0], "")

        said.send(list(pool.map(attempt, attempts)))
