"""Webhooks of runs: what is told of one, kept as it ends, and noted in the audit chain when it was told or given up."""

from __future__ import annotations

from typing import Any

from langgraph.types import StateSnapshot

from dojang.server.hooks.addresses import Reach
from dojang.server.hooks.outbox import Delivery
from dojang.server.hooks.posting import Poster
from dojang.server.hooks.telling import Teller
from dojang.server.work.base import Rows
from dojang.server.work.plain import ASSISTANT_ID, plain
from dojang.server.work.row import Row, RunStatus, UnknownRun
from dojang.workspace import Workspace
from state import DojangError


class Hooks:
    """The webhooks of a server's runs."""

    def __init__(self, workspace: Workspace, rows: Rows) -> None:
        self.workspace, self.rows = workspace, rows
        self.reach, self.outbox = Reach.of(workspace.settings), rows.outbox()
        secret = workspace.settings.webhook_secret
        poster = Poster(self.reach, secret) if secret is not None else None
        self.teller = Teller(self.outbox, poster, self._built, self._noted)

    def of(self, row: Row) -> dict[str, Any] | None:
        """How far the delivery of a run is; None: nobody is to be told."""
        return self.outbox.of(row.run_id)

    def keep(self, row: Row, status: RunStatus, error: dict[str, str] | None, snapshot: StateSnapshot | None) -> None:
        """Keep what is to be told of a run that is about to be over: its thread may be gone when it is."""
        if self.outbox.wants(row.run_id):
            self.outbox.fill(row.run_id, payload_of(row, status, error, snapshot))

    def end(self, wait_s: float) -> None:
        """Deliver no more."""
        if self.teller.end(wait_s):
            self.outbox.close()

    def _built(self, run_id: str) -> dict[str, Any] | None:
        try:
            row = self.rows.get(run_id)
        except UnknownRun:
            return None
        try:
            snapshot = self.workspace.look(row.thread_id)
        except DojangError:
            snapshot = None
        return payload_of(row, row.status, row.error, snapshot)

    def _noted(self, due: Delivery, state: str, host: str, attempts: int) -> None:
        facts: dict[str, Any] = {"delivery": due.delivery, "host": host, "attempts": attempts}
        self.workspace.parts.audit.note(None, f"webhook.{state}", "dojang", due.run_id, facts)


def payload_of(
    row: Row, status: RunStatus, error: dict[str, str] | None, snapshot: StateSnapshot | None
) -> dict[str, Any]:
    """What is told: the run, and the thread's values, with the pauses beside them where it waits for somebody."""
    values: dict[str, Any] | None = None
    if snapshot is not None:
        waiting = [interrupt for task in snapshot.tasks for interrupt in task.interrupts]
        values = plain({**snapshot.values, **({"__interrupt__": waiting} if waiting else {})})
    return {
        "run_id": row.run_id,
        "thread_id": row.thread_id,
        "assistant_id": ASSISTANT_ID,
        "status": status,
        "metadata": row.metadata,
        "created_at": row.created_at,
        "error": error,
        "values": values,
    }
