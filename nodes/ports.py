"""What the nodes need of the world, as Protocols. ``dojang/`` injects the real parts through LangGraph's Runtime.

Nodes never import psycopg, torch, fastapi or a concrete store. An implementation satisfies a port by its shape; it
need not import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NotRequired, Protocol, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.runtime import Runtime

from state import (
    JSON,
    Action,
    Decision,
    Generation,
    Language,
    Outcome,
    Passage,
    Progress,
    Prompt,
    Recovery,
    ToolSpec,
    Verdict,
)


class Retriever(Protocol):
    """Searches the documents."""

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """At most ``k`` passages, best first; [] when nothing matches."""
        ...

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order; ids that are gone are left out."""
        ...


class Generator(Protocol):
    """The model: one turn."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The next turn after ``messages``; citations are numbered from 1 and name passages, or what a tool said."""
        ...


class Checked(TypedDict):
    """Arguments after they met the tool's schema."""

    args: dict[str, JSON]  # coerced: dates as ISO 8601, numbers as numbers
    missing: list[str]  # required arguments that are absent
    problems: list[str]  # one line each: unknown tool, unknown argument, wrong type, unreadable value
    unclear: list[str]  # arguments among the problems whose words a person can say again: a date with two readings


class Toolbox(Protocol):
    """What the agent may do."""

    def offered(self) -> list[ToolSpec]:
        """The tools that the model may see."""
        ...

    def spec(self, name: str) -> ToolSpec | None:
        """A tool as it was accepted, without asking anybody; None where there is none."""
        ...

    def look(self, name: str) -> ToolSpec | None:
        """A tool as it is at this moment, asked where it runs; None where there is none.

        Raises PassingFault where it cannot be asked. ``drift`` in it: it is not what was accepted.
        """
        ...

    def check(self, name: str, args: Mapping[str, JSON]) -> Checked:
        """Coerce and validate; never raises. Checking what was checked changes nothing."""
        ...

    def describe(self, name: str, args: Mapping[str, JSON], language: Language) -> str:
        """One sentence, from the tool's own template, that says what will happen. Never model text."""
        ...

    def tell(self, name: str, result: JSON, language: Language) -> list[str]:
        """What came of it, one sentence a line, from the tool's own templates."""
        ...

    def run(self, name: str, args: Mapping[str, JSON], *, key: str, version: str = "") -> JSON:
        """Do it. ``key`` is the effect's idempotency key; a transactional tool commits it with its effect.

        ``version``: the schema version that was just looked at; a tool that became another one since is not run.
        """
        ...

    def settled(self, name: str, key: str) -> Outcome | None:
        """The committed outcome of an earlier run under ``key``, or None if it certainly did not happen."""
        ...

    def probe(self, name: str, args: Mapping[str, JSON], *, key: str) -> Outcome:
        """Ask the tool's own probe whether the effect happened: done, failed (it did not), or in_doubt. Never raises.

        Only for a tool whose spec has ``probe``.
        """
        ...


class Subject(TypedDict):
    """What a policy judges: a call (tool set) or an answer (text set)."""

    on: Literal["call", "answer"]
    tool: str
    known: bool
    args: dict[str, JSON]
    effect_class: str
    reversible: bool
    text: str
    citations: int
    abstained: bool
    language: Language
    trust: str  # "untrusted" if any evidence is
    evidence: str  # good, weak or contradictory; good where the answer tells what a tool did
    requester: str
    key: NotRequired[str]  # of a call: its name in the ledger, of no concern to rules
    drift: NotRequired[list[str]]  # of a call: in what its tool differs from what was accepted


class Policy(Protocol):
    """The rules that say which call needs whom."""

    version: str

    def judge(self, subject_id: str, subject: Subject) -> Verdict:
        """The verdict of all rules together; fails closed."""
        ...

    def recheck(self, subject_id: str, subject: Subject) -> Verdict:
        """The same at the instant of execution, counting nothing: an approval in advance must have been counted."""
        ...


class Ledger(Protocol):
    """Intent and outcome of every effect, on disk before and after."""

    def begin(self, thread_id: str, key: str, action: Action, recovery: Recovery) -> Literal["fresh", "open"] | Outcome:
        """Write the intent (fsynced). "fresh": never begun; "open": begun, outcome unknown; or the outcome."""
        ...

    def begun(self, thread_id: str, key: str) -> Action | None:
        """The action whose intent is under this key; None where there is none."""
        ...

    def lease(self, thread_id: str, key: str) -> AbstractContextManager[None]:
        """Be the only one who carries out or settles this effect; a Conflict where a living process does."""
        ...

    def finish(self, thread_id: str, key: str, outcome: Outcome) -> Outcome:
        """Write the outcome (fsynced) and return it."""
        ...


class Decisions(Protocol):
    """The record of who decided what, in the session's folder."""

    def record(self, thread_id: str, decision: Decision) -> Decision:
        """Compare-and-set: the first decision on a review wins, durable on return.

        The same person deciding the same again gets the stored decision; anybody else gets a ``Conflict``.
        """
        ...

    def vote(self, thread_id: str, approval: Decision, needed: int) -> Decision | None:
        """Add one person's approval: the decision once ``needed`` people gave theirs, else None."""
        ...

    def release(self, thread_id: str, review_ids: Iterable[str], at: datetime) -> dict[str, Decision]:
        """Those of the decisions that may be carried out now and cannot be taken back from here on."""
        ...

    def progress(self, thread_id: str) -> dict[str, Progress]:
        """Everything recorded of each review: votes, decision, claim, escalation."""
        ...

    def of(self, thread_id: str) -> dict[str, Decision]:
        """All decisions of a thread that stand, by review id."""
        ...


class Outbox(Protocol):
    """What somebody outside is to be told."""

    def put(self, thread_id: str, notice_id: str, event: str, facts: Mapping[str, JSON]) -> None:
        """Write it down, durable on return; the same id again changes nothing. It is sent later, at least once."""
        ...


class NoOutbox:
    """Tells nobody."""

    def put(self, thread_id: str, notice_id: str, event: str, facts: Mapping[str, JSON]) -> None:
        """Nothing."""


class Prompts(Protocol):
    """What the model was given and what it said, turn by turn: what a decision can later be learned from."""

    def note(self, thread_id: str, prompt: Prompt) -> None:
        """Write it down. Never raises: a turn does not fail because it could not be kept for training."""
        ...


class NoPrompts:
    """Keeps none."""

    def note(self, thread_id: str, prompt: Prompt) -> None:
        """Nothing."""


class Attachments(Protocol):
    """The files that came with the messages of a conversation."""

    def shown(
        self, thread_id: str, messages: Sequence[AnyMessage], question: str, language: Language
    ) -> tuple[list[AnyMessage], list[Passage]]:
        """The messages as the model can take them, their files in them; and passages of files that had to be read."""
        ...


class NoAttachments:
    """There are none."""

    def shown(
        self, thread_id: str, messages: Sequence[AnyMessage], question: str, language: Language
    ) -> tuple[list[AnyMessage], list[Passage]]:
        """The messages as they are."""
        return list(messages), []


def as_written(text: str, language: Language) -> str:
    """A reason as the part below wrote it, whoever reads it."""
    return text


class Clock(Protocol):
    """Time, so that tests can turn it."""

    def now(self) -> datetime:
        """Now, with a time zone."""
        ...


class SystemClock:
    """The machine's clock in UTC."""

    def now(self) -> datetime:
        """UTC now."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Deps:
    """Everything a node may call; passed as ``context=`` to the compiled graph."""

    retriever: Retriever
    generator: Generator
    toolbox: Toolbox
    policy: Policy
    ledger: Ledger
    decisions: Decisions
    clock: Clock = field(default_factory=SystemClock)
    requester: str = "local"
    adapter: str = ""  # which adapter ``generator`` speaks with: what a new thread keeps; "": what goes with the model
    passages_k: int = 4
    max_rounds: int = 6
    roles: tuple[str, ...] | None = None  # of whoever answers at the door; None: not known
    feedback: Literal["never", "abstained", "always"] = "never"  # after which answers a person is asked
    outbox: Outbox = field(default_factory=NoOutbox)
    prompts: Prompts = field(default_factory=NoPrompts)
    attachments: Attachments = field(default_factory=NoAttachments)
    told: Callable[[str, Language], str] = as_written  # a reason of another part, in the language of a conversation


def thread_of(runtime: Runtime[Deps]) -> str:
    """The thread that a node works for; "" outside of a run."""
    info = runtime.execution_info
    return (info.thread_id if info else None) or ""
