"""The small model: what is known of threads and runs from what was asked and answered, and the bodies to ask with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["question", "book", "which"]
TEXTS: Final[dict[Kind, str]] = {
    "question": "When is check-out?",
    "book": "please book a room",
    "which": "which one do you mean",
}


@dataclass
class Run:
    """A run that the server has accepted. ``kind`` None: it goes on with what is there."""

    id: str
    kind: Kind | None
    status: str = "pending"

    @property
    def over(self) -> bool:
        return self.status not in ("pending", "running")


@dataclass
class Place:
    """A checkpoint at the end of a turn: what was said, how it was answered, how much had come of the thread."""

    id: str
    said: list[str]
    lasting: int
    answer: Any


@dataclass
class Thread:
    """What the model knows of a thread."""

    id: str
    labels: dict[str, Any]
    said: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    review: dict[str, Any] | None = None  # that waits
    recorded: str = ""  # its decision, where nothing has been carried out yet
    claimed: str = ""
    cut: str = ""  # the kind of a turn that was stopped before its end
    lasting: int = 0  # reviews that were opened
    effects: int = 0
    places: list[Place] = field(default_factory=list)

    @property
    def queue(self) -> list[Run]:
        return [run for run in self.runs if not run.over]

    @property
    def status(self) -> str:
        if self.queue:
            return "busy"
        if self.review is not None:
            return "interrupted"
        return "error" if self.runs and self.runs[-1].status == "error" else "idle"


def asking(kind: Kind) -> dict[str, Any]:
    """A run with a message."""
    return {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": TEXTS[kind]}]}}


def said_in(values: Any) -> list[str]:
    """What people said, oldest first."""
    return [message["content"] for message in values.get("messages") or [] if message["type"] == "human"]


def waiting(state: Any) -> list[dict[str, Any]]:
    """The reviews that wait."""
    return [pause["value"]["review"] for pause in state["interrupts"]]


def fitting(review: dict[str, Any], how: str) -> bool:
    """Whether a review can be decided so."""
    return how in review["allowed"]


def decision_of(review: dict[str, Any], how: str) -> dict[str, Any]:
    """What is said of a review."""
    if how == "edit":
        return {"type": "edit", "edited_args": {**((review.get("action") or {}).get("args") or {}), "guests": 1}}
    if how == "answer":
        return {"type": "answer", "message": "the first"}
    return {"type": how, **({"reason": "no"} if how == "reject" else {})}
