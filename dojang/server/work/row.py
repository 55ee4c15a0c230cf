"""One accepted run as everybody sees it, and what can be wrong with asking for one. Knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from state import Conflict, PassingFault, UserError

RunStatus = Literal["pending", "running", "success", "error", "interrupted", "timeout"]
Strategy = Literal["reject", "enqueue", "interrupt", "rollback"]
ACTIVE: Final = ("pending", "running")


class QueueFull(PassingFault):
    """So many runs wait that no more is taken; ``retry_after_s`` says when to ask again."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} runs wait already, and no more are taken; ask again in a few seconds")
        self.retry_after_s = 2


class UnknownRun(UserError):
    """There is no run with this id on this thread."""


def check_room(
    thread_id: str, strategy: Strategy, capacity: int, waiting: int, active: Sequence[tuple[str, str]]
) -> None:
    """Raise what keeps a run from being accepted: QueueFull, or Conflict. ``waiting``, ``active``: as ``Rows.room``."""
    if waiting >= capacity:
        raise QueueFull(waiting)
    if active and strategy == "reject":
        raise Conflict(
            f"thread {thread_id} is busy with run {active[0][0]}; wait for it, or choose the multitask strategy "
            "enqueue, interrupt or rollback"
        )


@dataclass(frozen=True)
class Row:
    """One run. ``body``: what was asked, as :class:`dojang.server.work.order.Order` has it."""

    run_id: str
    thread_id: str
    requester: str
    status: RunStatus
    strategy: Strategy
    body: dict[str, Any]
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    attempt: int
    stop: (
        str  # "": go on; else why it is to stop: interrupt, rollback, and "-superseded" where a newer run asked for it
    )
    error: dict[str, str] | None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status not in ACTIVE
