"""A copy of a thread is another thread: what is decided in one of them runs nothing in the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langgraph.types import Command

from checkpoints import DecisionLog, EffectLedger
from graph import AgentGraph
from nodes.ports import Deps
from tests.graph.parts import calls, deps, graph_over, says
from tests.graph.talk import CONFIG, decide, ran, say, waiting
from tests.sessions_in_postgres import Kept

COPY: Any = {"configurable": {"thread_id": "t2"}}
PAID = ("pay", {"room": "1"})


@pytest.fixture
def copied(kept: Kept) -> tuple[AgentGraph, Deps]:
    """A thread that waits for an approval, and a copy of it."""
    graph = graph_over(kept.saver)
    parts = deps(calls(("pay", {"room": "1"})), *[says("Paid.")] * 3)
    parts = replace(parts, ledger=EffectLedger(kept.backend), decisions=DecisionLog(kept.backend))
    say(graph, parts)
    kept.saver.copy_thread("t1", "t2")
    return graph, parts


def test_a_decision_in_the_copy_is_none_on_the_original(copied: tuple[AgentGraph, Deps]) -> None:
    graph, parts = copied
    [(interrupt_id, _)] = waiting(graph)
    with pytest.raises(Exception, match="belongs to thread t1, of which thread t2 is a copy"):
        graph.invoke(Command(resume={interrupt_id: {"type": "approve", "by": "kim"}}), COPY, context=parts)
    assert (parts.decisions.of("t1"), parts.decisions.of("t2"), ran(parts)) == ({}, {}, [])
    decide(graph, parts, "approve")
    assert ran(parts) == [PAID]


def test_the_copy_asks_anew_from_a_checkpoint_before_the_review(copied: tuple[AgentGraph, Deps]) -> None:
    graph, parts = copied
    decide(graph, parts, "approve")
    [before] = [s for s in graph.get_state_history(COPY) if s.next == ("comply",)]
    graph.invoke(None, before.config, context=parts, durability="sync")
    [pause] = graph.get_state(COPY).tasks[0].interrupts
    assert (pause.value["review"]["thread_id"], ran(parts)) == ("t2", [PAID])
    graph.invoke(Command(resume={pause.id: {"type": "approve", "by": "kim"}}), COPY, context=parts, durability="sync")
    assert ran(parts) == [PAID, PAID]


def test_a_copy_of_what_was_approved_repeats_nothing(copied: tuple[AgentGraph, Deps], kept: Kept) -> None:
    graph, parts = copied
    decide(graph, parts, "approve")
    [before] = [s for s in graph.get_state_history(CONFIG) if s.next == ("act",)]
    graph.invoke(None, before.config, context=parts, durability="sync")
    kept.saver.copy_thread("t1", "t3")
    [there] = [s for s in graph.get_state_history({"configurable": {"thread_id": "t3"}}) if s.next == ("act",)][:1]
    graph.invoke(None, there.config, context=parts, durability="sync")
    assert ran(parts) == [PAID]
