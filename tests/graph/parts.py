"""Ports for graph tests: a generator that plays a script, and parts that keep their records in memory.

The script decides what the model says; everything else (graph, gate, door) is the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from dojang.settings import SAMPLE
from graph import AgentGraph, build_graph
from nodes.ports import Checked, Deps, Subject
from state import (
    JSON,
    Action,
    Conflict,
    Decision,
    Generation,
    Language,
    Outcome,
    Passage,
    Progress,
    Reason,
    Recovery,
    RuleOutcome,
    ToolSpec,
    UserError,
    Verdict,
    person_of,
)
from tools.policy import FilePolicy, load_policy

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@cache
def _compiled() -> AgentGraph:
    return build_graph(InMemorySaver())


def graph_over(saver: BaseCheckpointSaver[Any]) -> AgentGraph:
    """The compiled agent over this saver, compiled once a process: harnesses open thousands."""
    return _compiled().copy({"checkpointer": saver})


@cache
def sample_policy() -> FilePolicy:
    """The rules that ship, read once a process."""
    return load_policy(SAMPLE / "policy.toml")


def says(text: str, *, citations: int = 1, abstained: bool = False) -> Generation:
    """The model answers in words."""
    cited = [{"n": 1, "passage": "p1", "document": "rules.md", "start": 0, "end": 5, "quote": "quote"}][:citations]
    return Generation(
        message=AIMessage(content=text),
        citations=cited,  # type: ignore[typeddict-item]
        clarification="",
        about="",
        abstained=abstained,
        speaker="script@none",
    )


def calls(*wanted: tuple[str, dict[str, JSON]]) -> Generation:
    """The model wants these tools."""
    tool_calls = [{"name": name, "args": args, "id": f"call_{uuid4().hex}"} for name, args in wanted]
    message = AIMessage(content="", tool_calls=tool_calls)
    return Generation(message=message, citations=[], clarification="", about="", abstained=False, speaker="script@none")


def asks(question: str, about: str = "") -> Generation:
    """The model asks the person."""
    return Generation(
        message=AIMessage(content=""),
        citations=[],
        clarification=question,
        about=about,
        abstained=False,
        speaker="script@none",
    )


@dataclass
class Script:
    """A generator that plays its lines in order and remembers what it was shown."""

    lines: list[Generation]
    seen: list[list[AnyMessage]] = field(default_factory=list)
    offered: list[list[str]] = field(default_factory=list)

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        self.seen.append(list(messages))
        self.offered.append([t["name"] for t in tools])
        return self.lines.pop(0)


@dataclass
class Shelf:
    """A retriever over a fixed list."""

    passages: list[Passage]

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        return self.passages[:k]

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        by_id = {p["id"]: p for p in self.passages}
        return [by_id[i] for i in ids if i in by_id]


def passage(text: str = "Breakfast is from 7 to 10.", *, id: str = "p1", trust: Any = "trusted") -> Passage:
    return Passage(
        id=id,
        document="rules.md",
        title="Rules",
        text=text,
        start=0,
        end=len(text),
        page=None,
        language="en",
        sentences=[[0, len(text)]],
        scores={"fused": 1.0},
        trust=trust,
    )


def spec(name: str, effect: Any, recovery: Recovery = "transactional", version: str = "v1") -> ToolSpec:
    return ToolSpec(
        name=name,
        description=name,
        parameters={"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]},
        schema_version=version,
        effect_class=effect,
        recovery=recovery,
        reversible=effect == "write",
    )


@dataclass
class Toys:
    """A toolbox whose effects are counted. ``book`` and ``pay`` are consequential, ``look`` only reads."""

    ran: list[tuple[str, dict[str, JSON], str]] = field(default_factory=list)
    specs: list[ToolSpec] = field(
        default_factory=lambda: [
            spec("look", "read"),
            spec("book", "write"),
            spec("pay", "irreversible", "at_most_once"),
        ]
    )
    crash: Callable[[str], None] = lambda name: None
    known: dict[str, Outcome] = field(default_factory=dict)

    def offered(self) -> list[ToolSpec]:
        return self.specs

    def spec(self, name: str) -> ToolSpec | None:
        return next((s for s in self.specs if s["name"] == name), None)

    def look(self, name: str) -> ToolSpec | None:
        return self.spec(name)

    def check(self, name: str, args: Mapping[str, JSON]) -> Checked:
        if name not in {s["name"] for s in self.specs}:
            return Checked(args=dict(args), missing=[], problems=[f"there is no tool {name}"], unclear=[])
        problems = [f"{key!r} is not an argument of {name}" for key in args if key not in ("room", "nights")]
        problems += ["room must be text"] if not isinstance(args.get("room", ""), str) else []
        unclear = ["room"] if args.get("room") == "next friday" else []
        problems += [f"{name}: 'next friday' has two readings" for name in unclear]
        missing = [] if "room" in args else ["room"]
        return Checked(args=dict(args), missing=missing, problems=problems, unclear=unclear)

    def describe(self, name: str, args: Mapping[str, JSON], language: Language) -> str:
        return f"{name} {args}"

    def tell(self, name: str, result: JSON, language: Language) -> list[str]:
        return [f"{name} done: {result}"]

    def run(self, name: str, args: Mapping[str, JSON], *, key: str, version: str = "") -> JSON:
        if args["room"] == "full":
            raise UserError("no room is free")
        self.ran.append((name, dict(args), key))
        self.crash(name)
        return {"ok": True}

    def settled(self, name: str, key: str) -> Outcome | None:
        return self.known.get(key)

    def probe(self, name: str, args: Mapping[str, JSON], *, key: str) -> Outcome:
        unknown = Outcome(key=key, tool=name, status="in_doubt", result=None, error="the line is dead", at="")
        return self.known.get(key, unknown)


@dataclass
class Rules:
    """A policy from a table: tool name (or "answer") to outcome; anything else asks."""

    table: dict[str, RuleOutcome] = field(default_factory=lambda: {"look": "auto", "answer": "auto"})
    version: str = "policy-1"
    tier_of: Callable[[Subject], int] = lambda subject: 1
    votes: int = 1
    roles: list[str] = field(default_factory=list)
    self_approval: bool = True
    wants_reason: bool = False
    judged: list[str] = field(default_factory=list)

    def judge(self, subject_id: str, subject: Subject) -> Verdict:
        self.judged.append(subject_id)
        outcome = self.table.get(subject["tool"] or "answer", "ask")
        return Verdict(
            subject=subject_id,
            outcome=outcome,
            kind="tool" if subject["tool"] else "approval",
            why=[Reason(rule_id="table", text=f"table says {outcome}", severity="low", hard=False)],
            tier=self.tier_of(subject),
            votes=self.votes,
            roles=self.roles,
            due_s=600,
            policy_version=self.version,
            self_approval=self.self_approval,
            wants_reason=self.wants_reason,
        )

    def recheck(self, subject_id: str, subject: Subject) -> Verdict:
        before = list(self.judged)
        verdict = self.judge(subject_id, subject)
        self.judged = before
        return verdict


@dataclass
class MemoryLedger:
    entries: dict[str, Outcome | None] = field(default_factory=dict)
    actions: dict[str, Action] = field(default_factory=dict)

    def begin(self, thread_id: str, key: str, action: Action, recovery: Recovery) -> Literal["fresh", "open"] | Outcome:
        if key not in self.entries:
            self.entries[key], self.actions[key] = None, action
            return "fresh"
        return self.entries[key] or "open"

    def begun(self, thread_id: str, key: str) -> Action | None:
        return self.actions.get(key)

    def lease(self, thread_id: str, key: str) -> AbstractContextManager[None]:
        return nullcontext()

    def finish(self, thread_id: str, key: str, outcome: Outcome) -> Outcome:
        self.entries[key] = outcome
        return outcome


@dataclass
class MemoryDecisions:
    stored: dict[str, Decision] = field(default_factory=dict)
    votes: dict[str, dict[str, Decision]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    def of(self, thread_id: str) -> dict[str, Decision]:
        return dict(self.stored)

    def record(self, thread_id: str, decision: Decision) -> Decision:
        winner = self.stored.setdefault(decision["review_id"], decision)
        if (winner["type"], winner["by"], winner["edited_args"]) != (
            decision["type"],
            decision["by"],
            decision["edited_args"],
        ):
            raise Conflict(f"{winner['by']} has already decided {winner['review_id']}")
        return winner

    def vote(self, thread_id: str, approval: Decision, needed: int) -> Decision | None:
        given = self.votes.setdefault(approval["review_id"], {})
        given.setdefault(person_of(approval["by"]), approval)
        return self.record(thread_id, list(given.values())[-1]) if len(given) >= needed else None

    def progress(self, thread_id: str) -> dict[str, Progress]:
        return {
            review_id: Progress(
                votes=list(self.votes.get(review_id, {}).values()),
                decision=self.stored.get(review_id),
                released=review_id in self.stored and review_id not in self.held,
                claim=None,
                escalated_at="",
            )
            for review_id in self.votes | self.stored
        }

    def release(self, thread_id: str, review_ids: Iterable[str], at: datetime) -> dict[str, Decision]:
        return {review_id: self.stored[review_id] for review_id in review_ids if review_id in self.stored}


@dataclass
class FixedClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


def deps(
    *lines: Generation, toys: Toys | None = None, rules: Rules | None = None, shelf: list[Passage] | None = None
) -> Deps:
    """All ports, with the script that the model plays."""
    return Deps(
        retriever=Shelf(shelf if shelf is not None else [passage()]),
        generator=Script(list(lines)),
        toolbox=toys or Toys(),
        policy=rules or Rules(),
        ledger=MemoryLedger(),
        decisions=MemoryDecisions(),
        clock=FixedClock(),
    )
