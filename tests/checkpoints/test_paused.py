"""Threads that earlier versions left paused at a tool review: today's code loads, approves and finishes them.

``python -m tests.checkpoints.test_paused`` writes a new folder; do that for a new format or graph version only, beside
the old ones.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from checkpoints import DecisionLog, EffectLedger, FileSaver, verify
from checkpoints.log.packing import pack_log
from graph import AgentGraph, build_graph
from nodes.ports import Deps
from state import Generation
from tests.graph.parts import Toys, calls, deps, says

GOLDEN = Path(__file__).parent / "golden"
THREAD = "멈춘 예약/2026"
CONFIG: Any = {"configurable": {"thread_id": THREAD, "__pregel_strict_resume": True}}


def parts_over(root: Path, *lines: Generation) -> Deps:
    """Scripted parts whose decisions and ledger are the thread's own files."""
    return replace(deps(*lines), decisions=DecisionLog(root), ledger=EffectLedger(root))


def waiting(graph: AgentGraph) -> list[Any]:
    return [interrupt for task in graph.get_state(CONFIG).tasks for interrupt in task.interrupts]


def write(root: Path) -> None:
    """Ask for a room; the thread then waits for a person."""
    graph = build_graph(FileSaver(root))
    said: Any = {"messages": [HumanMessage("101호를 예약해 주세요", id="h1")]}
    graph.invoke(said, CONFIG, context=parts_over(root, calls(("book", {"room": "101"}))), durability="sync")
    assert len(waiting(graph)) == 1


@pytest.mark.parametrize("version", ["paused-v1"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("answer", "effects"), [("approve", 1), ("reject", 0)])
def test_an_old_paused_thread_is_finished(
    version: str, answer: str, effects: int, packed: bool, tmp_path: Path
) -> None:
    root = tmp_path / "threads"
    shutil.copytree(GOLDEN / version, root)
    assert not packed or pack_log(FileSaver(root).sessions.of(THREAD).log, 0)
    assert DecisionLog(root).of(THREAD) == {}
    assert EffectLedger(root).entries(THREAD) == []
    graph = build_graph(FileSaver(root))
    [interrupt] = waiting(graph)
    review = interrupt.value["review"]
    assert (review["kind"], review["action"]["args"]) == ("tool", {"room": "101"})
    parts = parts_over(root, says("예약했습니다. [1]"))
    resume: Any = Command(resume={interrupt.id: {"type": answer, "by": "김대리", "reason": "확인함"}})
    graph.invoke(resume, CONFIG, context=parts, durability="sync")
    assert isinstance(parts.toolbox, Toys)
    assert [(name, args) for name, args, _key in parts.toolbox.ran] == [("book", {"room": "101"})] * effects
    state = graph.get_state(CONFIG)
    assert state.next == ()
    assert state.values["answer"]["text"] == "예약했습니다. [1]"
    decided = DecisionLog(root).of(THREAD)[review["id"]]
    assert (decided["type"], decided["by"]) == (answer, "김대리")
    ledger = [entry["k"] for entry in EffectLedger(root).entries(THREAD)]
    assert ledger == ["intent", "outcome"] * effects
    again = build_graph(FileSaver(root))  # another process: nothing is left to do
    assert waiting(again) == []
    assert verify(root)["damaged"] == []


if __name__ == "__main__":
    target = GOLDEN / "paused-v1"
    shutil.rmtree(target, ignore_errors=True)
    write(target)
    for lock in target.rglob("*.lock"):
        lock.unlink()
