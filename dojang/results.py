"""What the workspace gives back: plain frozen records that a command prints, a page shows and JSON carries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dojang.flags import Flag
from state import Decision, Draft, Outcome, Passage, Progress, Review, Spent, untouched

if TYPE_CHECKING:
    from adapters.gate.report import Report

RunStatus = Literal["done", "paused", "busy"]
ReviewStatus = Literal["open", "claimed", "recorded", "decided", "expired", "superseded"]
"""``recorded``: decided and durable, but the run has not been resumed with it yet. ``superseded``: decided, and asked
about again because the call was edited or something changed."""


@dataclass(frozen=True)
class RunResult:
    """Where a thread stands after a run (or without one)."""

    thread_id: str
    status: RunStatus
    answer: Draft | None
    reviews: list[Review]  # those that wait for a person
    outcomes: list[Outcome]  # of this turn's calls
    note: str = ""  # one line for a person, when there is something to say
    spent: list[Spent] = field(default_factory=list)  # tokens of the whole thread, by speaker
    adapter: str = ""  # that this conversation keeps; "": what goes with the model

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return asdict(self)


@dataclass(frozen=True)
class DecisionResult:
    """A decision that was recorded, and the run that it released."""

    decision: Decision
    run: RunResult

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return {"decision": dict(self.decision), "run": self.run.as_json()}


@dataclass(frozen=True)
class ReviewCard:
    """Everything an operator looks at before deciding."""

    review: Review
    status: ReviewStatus
    decision: Decision | None
    conversation: list[dict[str, str]]  # {"role", "text"} of the thread up to the pause, oldest first
    passages: list[Passage]  # the evidence with its text
    note: str = ""  # why something is missing (the store does not answer, a passage is gone)
    report: Report | None = None  # of the gate, where a promotion rests on it
    progress: Progress = field(default_factory=untouched)
    flags: list[Flag] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return asdict(self)


@dataclass(frozen=True)
class Step:
    """One checkpoint of a thread's history."""

    checkpoint_id: str
    at: str
    number: int
    source: str  # input, loop, update, fork
    next: list[str]  # nodes that come next
    wrote: list[str]  # state keys that differ from the checkpoint before
    review_ids: list[str] = field(default_factory=list)  # reviews it waits for
    spent: list[Spent] = field(default_factory=list)  # tokens up to here, by speaker

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """One line of ``dojang doctor``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return asdict(self)
