"""Pauses that got lost in LangGraph and what is built on it, and do not in ours.

Where it is cheap, bare LangGraph is played beside it and shows the defect (``bare``): when one of those turns green by
itself, LangGraph has mended it. docs/proofs.md has the threads; what needs processes of its own is in ``tests/chaos``
and ``tests/dojang``.
"""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import interrupt

import nodes
from graph import AgentGraph, build_graph, state_graph
from state import UserError
from tests.graph.bare import Bare, Said, asking
from tests.graph.parts import asks, calls, deps, says
from tests.graph.talk import CONFIG, decide, say, values, waiting
from tests.sessions_in_postgres import kept_in


def test_bare_new_input_discards_a_pause_without_a_word() -> None:
    bare = Bare([asking("pay")])
    bare.begin()
    before = bare.waiting()
    bare.begin()
    assert bare.waiting() != before


def test_new_input_leaves_the_pause_as_it_is(graph: AgentGraph) -> None:
    parts = deps(asks("Which day?"), says("Fine."))
    say(graph, parts)
    [(_, before)] = waiting(graph)
    for _ in range(3):
        out = say(graph, parts, "never mind")
        assert before["id"] in out["answer"]["text"]
        assert [review for _, review in waiting(graph)] == [before]
    decide(graph, parts, {"type": "answer", "by": "kim", "message": "Friday"})
    assert values(graph)["answer"]["text"] == "Fine."


def test_bare_a_broad_except_swallows_the_pause() -> None:
    def node(state: Said) -> dict[str, Any]:
        try:
            interrupt("pay?")
        except Exception:
            return {"said": ["paid anyway"]}
        return {}

    bare = Bare([node])
    bare.begin()
    assert bare.said() == ["paid anyway"]


def test_no_node_can_swallow_a_pause() -> None:
    """No ``except`` in nodes/ or graph/ is broad enough to catch an interrupt."""
    root = Path(nodes.__path__[0]).parent
    for path in [*(root / "nodes").glob("*.py"), *(root / "graph").glob("*.py")]:
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(handler, ast.ExceptHandler):
                caught = ast.unparse(handler.type) if handler.type is not None else ""
                assert caught not in ("", "Exception", "BaseException"), f"{path}:{handler.lineno}"
                assert "Interrupt" not in caught
                assert "Bubble" not in caught


def test_bare_without_a_checkpointer_a_pause_is_a_dead_end() -> None:
    bare = Bare([asking("pay")], saver=None)
    assert "__interrupt__" in bare.begin()
    with pytest.raises(Exception, match="checkpointer"):
        bare.resume("yes")


def test_without_a_checkpointer_nothing_is_built() -> None:
    for nothing in (None, False, object()):
        with pytest.raises(UserError, match="needs a checkpointer"):
            build_graph(nothing)  # type: ignore[arg-type]


def test_the_graph_stops_nowhere_but_at_the_door(graph: AgentGraph) -> None:
    """A static breakpoint would set ``next`` and leave no interrupt for anybody to answer."""
    assert (graph.interrupt_before_nodes, graph.interrupt_after_nodes) == ([], [])
    assert state_graph().compile().interrupt_before_nodes == []


@pytest.mark.parametrize("how", ["sync", "async"])
def test_whoever_opens_the_thread_later_sees_its_pauses(tmp_path: Path, how: str) -> None:
    """langgraph #6362: the stream told of the pause, and the thread's state had none."""
    parts = deps(calls(("book", {"room": "1"}), ("pay", {"room": "2"})), says("Done."))
    first = build_graph(kept_in(tmp_path).saver)
    streamed = {
        pause.id
        for update in first.stream({"messages": [HumanMessage("book")]}, CONFIG, context=parts, durability="sync")
        for pause in update.get("__interrupt__", ())
    }
    later = build_graph(kept_in(tmp_path).saver)
    state = later.get_state(CONFIG) if how == "sync" else asyncio.run(later.aget_state(CONFIG))
    assert {pause.id for pause in state.interrupts} == streamed
    assert {pause.id for task in state.tasks for pause in task.interrupts} == streamed
    assert [pause.value["review"]["action"]["tool"] for pause in state.interrupts] == ["book", "pay"]
    [newest, *_] = later.get_state_history(CONFIG)
    assert {pause.id for pause in newest.interrupts} == streamed
