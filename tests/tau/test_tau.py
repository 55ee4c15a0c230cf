"""A public benchmark's ground-truth actions, replayed as proposals through the real graph, gate, toolbox and policy.

Reads never wait and writes always do; what was approved is what happened, once, also when the process ends between any
two steps. ``DOJANG_TAU=all`` plays every task; otherwise every eighth.
"""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from checkpoints import DecisionLog, EffectLedger, FileSaver
from graph import AgentGraph
from nodes.ports import Deps
from state import Review
from tests.graph.parts import (
    FixedClock,
    MemoryDecisions,
    MemoryLedger,
    Script,
    Shelf,
    calls,
    graph_over,
    sample_policy,
    says,
)
from tests.tau.recorded import Desk, digest, tasks

STRIDE = 1 if os.environ.get("DOJANG_TAU") == "all" else 8
NUMBERS = [("retail", n) for n in range(0, 194, STRIDE)] + [("airline", n) for n in range(0, 30, STRIDE)]
every_task = pytest.mark.parametrize(("domain", "number"), NUMBERS)


class Play:
    """One task on one thread.

    Args:
        desk: where the actions happen.
        proposed: what the model proposes, where that is not what the benchmark did.
        home: with a folder, every step is a life of its own: the run is left after it, and saver, decisions and ledger
            are opened anew from their files.
    """

    def __init__(self, desk: Desk, *, proposed: list[tuple[str, Any]] | None = None, home: Path | None = None) -> None:
        self.desk, self.home = desk, home
        self.saver = InMemorySaver()
        self.config: Any = {
            "configurable": {"thread_id": uuid4().hex, "__pregel_strict_resume": True},
            "recursion_limit": 1000,
        }
        lines = proposed if proposed is not None else [(a["name"], a["args"]) for a in desk.task["actions"]]
        self.deps = Deps(
            retriever=Shelf([]),
            generator=Script([*map(calls, lines), says("Done.")]),
            toolbox=desk.toolbox(),
            policy=sample_policy(),
            ledger=MemoryLedger(),
            decisions=MemoryDecisions(),
            clock=FixedClock(),
            max_rounds=len(lines) + 2,
        )
        self.asked: list[Review] = []
        self.lives = 0

    def run(self, decide: Any) -> Any:
        """Play to the end; ``decide(n, review)`` gives the decision on the n-th review of a call."""
        self._go({"messages": [HumanMessage(self.desk.task["instruction"])]})
        while waiting := self._waiting():
            [(interrupt_id, review)] = waiting
            if not review["action"]["tool"]:  # the closing words of a task without actions rest on no evidence
                self._go(Command(resume={interrupt_id: {"type": "approve"}}))
                continue
            self.asked.append(review)
            self._go(Command(resume={interrupt_id: decide(len(self.asked) - 1, review)}))
        return self._opened()[0].get_state(self.config).values

    def _opened(self) -> tuple[AgentGraph, Deps]:
        """The graph and its ports, as a new process would open them."""
        if self.home is None:
            return graph_over(self.saver), self.deps
        saver = FileSaver(self.home, durability="os")
        records: Any = {"decisions": DecisionLog(self.home), "ledger": EffectLedger(self.home)}
        return graph_over(saver), replace(self.deps, **records)

    def _waiting(self) -> list[tuple[str, Review]]:
        state = self._opened()[0].get_state(self.config)
        return [(i.id, i.value["review"]) for task in state.tasks for i in task.interrupts]

    def _go(self, given: Any) -> None:
        while True:
            self.lives += 1
            graph, deps = self._opened()
            stream: Any = graph.stream(given, self.config, context=deps, durability="sync")
            for _ in stream:
                if self.home is not None:
                    break
            stream.close()
            state = self._opened()[0].get_state(self.config)
            if not state.tasks or any(task.interrupts for task in state.tasks):
                return
            given = None


def _count(desk: Desk, *, write: bool) -> int:
    return sum((action["kind"] == "write") == write for action in desk.task["actions"])


def _desk(data: Path, domain: str, number: int) -> Desk:
    return Desk(data, domain, tasks(data, domain)[number])


def _approve(n: int, review: Review) -> dict[str, Any]:
    return {"type": "approve"}


@every_task
def test_approving_all_gives_the_benchmarks_end_state(test_data: Path, domain: str, number: int) -> None:
    desk = _desk(test_data, domain, number)
    play = Play(desk)
    values = play.run(_approve)
    wanted = [a for a in desk.task["actions"] if a["kind"] == "write"]
    assert [review["action"]["tool"] for review in play.asked] == [a["name"] for a in wanted]
    assert [review["action"]["args"] for review in play.asked] == [a["args"] for a in wanted]
    assert desk.reads == _count(desk, write=False)
    assert values["answer"]["text"] == "Done."
    assert desk.db == desk.expected()
    assert desk.digest_fits(desk.db) == desk.digest_fits(desk.expected())


def test_where_the_benchmarks_digest_fits_its_own_records(test_data: Path) -> None:
    """So that the comparison above is not one of two falsehoods everywhere."""
    fits = {"retail": 0, "airline": 0}
    for domain, number in NUMBERS:
        desk = _desk(test_data, domain, number)
        fits[domain] += desk.digest_fits(desk.expected())
    assert digest(desk.db) == desk.task["db_sha256_initial"]
    assert min(fits.values()) > 0
    if STRIDE == 1:
        assert fits == {"retail": 102, "airline": 30}


@every_task
def test_rejecting_all_leaves_the_database_untouched(test_data: Path, domain: str, number: int) -> None:
    desk = _desk(test_data, domain, number)
    before = copy.deepcopy(desk.db)
    Play(desk).run(lambda n, review: {"type": "reject", "reason": "no"})
    assert desk.db == before
    assert not desk.writes
    assert desk.reads == _count(desk, write=False)


@pytest.mark.parametrize(("domain", "number"), NUMBERS if STRIDE == 1 else NUMBERS[::2])
def test_a_new_process_at_every_step_does_every_write_once(
    test_data: Path, tmp_path: Path, domain: str, number: int
) -> None:
    desk = _desk(test_data, domain, number)
    play = Play(desk, home=tmp_path)
    play.run(_approve)
    assert play.lives > 2 * len(desk.task["actions"])
    assert sum(desk.writes.values()) == _count(desk, write=True)
    assert desk.db == desk.expected()


@pytest.mark.parametrize(("domain", "number"), NUMBERS if STRIDE == 1 else NUMBERS[::2])
def test_rejecting_the_kth_leaves_out_just_that_write(test_data: Path, domain: str, number: int) -> None:
    desk = _desk(test_data, domain, number)
    wanted = [a for a in desk.task["actions"] if a["kind"] == "write"]
    for k in range(len(wanted)):
        desk = _desk(test_data, domain, number)
        play = Play(desk)
        play.run(lambda n, review, k=k: {"type": "reject" if n == k else "approve"})
        assert len(play.asked) == len(wanted)
        expected = _desk(test_data, domain, number).db
        for n, action in enumerate(wanted):
            if n != k:
                desk.apply(expected, action)
        assert desk.db == expected
        assert sum(desk.writes.values()) == len(wanted) - 1


@pytest.mark.parametrize(("domain", "number"), NUMBERS if STRIDE == 1 else NUMBERS[1::2])
def test_what_a_person_edits_is_what_is_written(test_data: Path, domain: str, number: int) -> None:
    """The model gets the first argument of every write wrong; the person puts in what the benchmark did."""
    desk = _desk(test_data, domain, number)
    wanted = [a for a in desk.task["actions"] if a["kind"] == "write"]
    proposed = [(a["name"], _wrong(a["args"]) if a["kind"] == "write" else a["args"]) for a in desk.task["actions"]]
    play = Play(desk, proposed=proposed)
    play.run(lambda n, review: {"type": "edit", "edited_args": wanted[n]["args"]})
    assert [review["action"]["args"] for review in play.asked] == [_wrong(a["args"]) for a in wanted]
    assert desk.db == desk.expected()
    assert sum(desk.writes.values()) == len(wanted)


def _wrong(args: dict[str, Any]) -> dict[str, Any]:
    name = next(key for key, value in args.items() if isinstance(value, str))
    return {**args, name: "somebody else's"}
