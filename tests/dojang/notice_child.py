"""A process that lets a call pass which somebody shall be told of, and is killed; a fork server imports it once."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg

import checkpoints.audit.trail
import checkpoints.records.notices
import store
import tools.policy
import tools.toolbox
from dojang.notice import Notice
from dojang.workspace import Workspace
from tests.chaos.instants import Instants, Plan
from tests.dojang.workspaces import RehearsedParts, settings_for

PRELOADED = (checkpoints.audit.trail, checkpoints.records.notices, store, tools.policy, tools.toolbox)


def live(home: Path, dsn: str, others: dict[str, Any], plan: Plan, said: Connection) -> None:
    """Ask for a booking; say the thread's id, and how many instants there were from the first notice on."""
    instants = Instants(plan, lambda where: said.send(("died", where)))
    instants.watch_files()
    instants.watch(psycopg.Connection, "execute")
    real = Notice.put

    def put(self: Notice, *args: Any) -> None:
        instants.phase = "telling"
        real(self, *args)

    Notice.put = put  # type: ignore[assignment,method-assign]
    settings = settings_for(home, dsn, **others)
    with Workspace(settings, parts=RehearsedParts(settings)) as workspace:
        workspace.ask("please book a room", on_start=lambda thread: said.send(("thread", thread)))
    said.send(("seen", instants.seen["telling"]))
