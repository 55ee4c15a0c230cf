"""How the graph's tests talk to it: say something, look what waits, decide, look what ran."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.types import Command

from graph import AgentGraph
from nodes.ports import Deps
from state import Passage, PassingFault, Review
from tests.graph.parts import (
    NOW,
    FixedClock,
    Toys,
    passage,
)

CONFIG: Any = {"configurable": {"thread_id": "t1", "__pregel_strict_resume": True}}


def say(graph: AgentGraph, parts: Deps, text: str = "book a room") -> dict[str, Any]:
    return graph.invoke({"messages": [HumanMessage(text)]}, CONFIG, context=parts, durability="sync")


def waiting(graph: AgentGraph) -> list[tuple[str, Review]]:
    """(interrupt id, review) of every open review."""
    return [(i.id, i.value["review"]) for task in graph.get_state(CONFIG).tasks for i in task.interrupts]


def decide(graph: AgentGraph, parts: Deps, *answers: Any) -> dict[str, Any]:
    """Answer the open reviews in order; a plain string is a decision type."""
    pairs = zip(waiting(graph), answers, strict=True)
    resume = {iid: {"type": a, "by": "kim"} if isinstance(a, str) else a for (iid, _), a in pairs}
    return graph.invoke(Command(resume=resume), CONFIG, context=parts, durability="sync")


def ran(parts: Deps) -> list[tuple[str, dict[str, Any]]]:
    assert isinstance(parts.toolbox, Toys)
    return [(name, args) for name, args, _ in parts.toolbox.ran]


def values(graph: AgentGraph) -> dict[str, Any]:
    return graph.get_state(CONFIG).values


def later(parts: Deps, minutes: int) -> None:
    assert isinstance(parts.clock, FixedClock)
    parts.clock.at = NOW + timedelta(minutes=minutes)


def crash_once(parts: Deps) -> None:
    assert isinstance(parts.toolbox, Toys)
    toys = parts.toolbox

    def crash(name: str) -> None:
        toys.crash = lambda name: None
        raise PassingFault("the line went dead")

    toys.crash = crash


def contradicting() -> list[Passage]:
    return [
        passage("Check-out is at 11:00."),
        {**passage("Check-out is at 12:00.", id="p2"), "document": "other.md"},
    ]


def resumed(graph: AgentGraph, parts: Deps, answers: Any, **how: Any) -> dict[str, Any]:
    return graph.invoke(Command(resume=answers), CONFIG, context=parts, durability=how.get("durability", "sync"))
