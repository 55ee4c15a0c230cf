"""A public benchmark's ground-truth actions, replayed as proposals through the real graph, gate, toolbox and policy.

Reads never wait and writes always do; what was approved is what happened, once, also when the run is cut off between
any two steps. ``DOJANG_TAU=all`` plays every task; otherwise every eighth.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from dojang.settings import SAMPLE
from graph import build_graph
from nodes.ports import Deps
from state import Review
from tests.graph.parts import FixedClock, MemoryDecisions, MemoryLedger, Script, Shelf, calls, says
from tests.tau.recorded import Desk, tasks
from tools.policy import load_policy

STRIDE = 1 if os.environ.get("DOJANG_TAU") == "all" else 8
NUMBERS = [("retail", n) for n in range(0, 194, STRIDE)] + [("airline", n) for n in range(0, 30, STRIDE)]


class Play:
    """One task on one thread. ``cut``: abandon the run after every super-step and go on in a new graph."""

    def __init__(self, desk: Desk, *, cut: bool = False) -> None:
        self.desk, self.cut = desk, cut
        self.saver = InMemorySaver()
        self.config: Any = {"configurable": {"thread_id": uuid4().hex, "__pregel_strict_resume": True}}
        actions = desk.task["actions"]
        self.deps = Deps(
            retriever=Shelf([]),
            generator=Script([*(calls((a["name"], a["args"])) for a in actions), says("Done.")]),
            toolbox=desk.toolbox(),
            policy=load_policy(SAMPLE / "policy.toml"),
            ledger=MemoryLedger(),
            decisions=MemoryDecisions(),
            clock=FixedClock(),
            max_rounds=len(actions) + 2,
        )
        self.asked: list[Review] = []

    def run(self, decide: Any) -> Any:
        """Play to the end; ``decide(n, review)`` gives the decision on the n-th review."""
        self._go({"messages": [HumanMessage(self.desk.task["instruction"])]})
        while waiting := self._waiting():
            [(interrupt_id, review)] = waiting
            self.asked.append(review)
            self._go(Command(resume={interrupt_id: decide(len(self.asked) - 1, review)}))
        return build_graph(self.saver).get_state(self.config).values

    def _waiting(self) -> list[tuple[str, Review]]:
        state = build_graph(self.saver).get_state(self.config)
        return [(i.id, i.value["review"]) for task in state.tasks for i in task.interrupts]

    def _go(self, given: Any) -> None:
        config: Any = {**self.config, "recursion_limit": 1000}
        while True:
            stream: Any = build_graph(self.saver).stream(given, config, context=self.deps, durability="sync")
            for _ in stream:
                if self.cut:
                    break
            stream.close()
            state = build_graph(self.saver).get_state(self.config)
            if not state.next or any(task.interrupts for task in state.tasks):
                return
            given = None


def _writes(desk: Desk) -> int:
    return sum(action["kind"] == "write" for action in desk.task["actions"])


def _desk(data: Path, domain: str, number: int) -> Desk:
    return Desk(data, domain, tasks(data, domain)[number])


@pytest.mark.parametrize(("domain", "number"), NUMBERS)
def test_approving_all_gives_the_benchmarks_end_state(test_data: Path, domain: str, number: int) -> None:
    desk = _desk(test_data, domain, number)
    play = Play(desk)
    values = play.run(lambda n, review: {"type": "approve"})
    assert len(play.asked) == _writes(desk)
    assert values["answer"]["text"] == "Done."
    assert desk.db == desk.expected()


@pytest.mark.parametrize(("domain", "number"), NUMBERS)
def test_rejecting_all_leaves_the_database_untouched(test_data: Path, domain: str, number: int) -> None:
    desk = _desk(test_data, domain, number)
    before = copy.deepcopy(desk.db)
    Play(desk).run(lambda n, review: {"type": "reject", "reason": "no"})
    assert desk.db == before
    assert not desk.writes


@pytest.mark.parametrize(("domain", "number"), NUMBERS)
def test_cut_off_between_any_two_steps_every_write_happens_once(test_data: Path, domain: str, number: int) -> None:
    desk = _desk(test_data, domain, number)
    Play(desk, cut=True).run(lambda n, review: {"type": "approve"})
    assert sum(desk.writes.values()) == _writes(desk)
    assert desk.db == desk.expected()


@pytest.mark.parametrize(("domain", "number"), NUMBERS[::2])
def test_rejecting_the_kth_leaves_out_just_that_write(test_data: Path, domain: str, number: int) -> None:
    writes = _writes(_desk(test_data, domain, number))
    for k in range(writes):
        desk = _desk(test_data, domain, number)
        play = Play(desk)
        play.run(lambda n, review, k=k: {"type": "reject" if n == k else "approve"})
        assert sum(desk.writes.values()) == writes - 1
        refused = play.asked[k]["action"]
        assert len(play.asked) == writes
        assert refused["tool"]
