"""What ran twice, or too early, in LangGraph and what is built on it, and does not in ours.

Where it is cheap, bare LangGraph is played beside it and shows the defect (``bare``): when one of those turns green by
itself, LangGraph has mended it. docs/proofs.md has the threads; what needs processes of its own is in ``tests/chaos``
and ``tests/dojang``.
"""

from __future__ import annotations

import ast
import contextlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import UnknownInterruptError
from langgraph.types import Command, interrupt

import nodes
from checkpoints import DecisionLog, EffectLedger
from graph import AgentGraph, build_graph
from state import Decision, DojangError, Outcome, PassingFault
from tests.graph.bare import Bare, Died, Mortal, Said, asking, dying, paying
from tests.graph.parts import MemoryLedger, Rules, Script, Toys, calls, deps, says
from tests.graph.talk import CONFIG, decide, ran, resumed, say, values, waiting
from tools.effects import effect
from tools.toolbox import Toolbox

DURABILITIES = ["sync", "async", "exit"]


def test_bare_what_stands_before_an_interrupt_runs_again() -> None:
    ran: list[str] = []

    def node(state: Said) -> dict[str, Any]:
        ran.append("mail sent")
        interrupt("one")
        interrupt("two")
        return {}

    bare = Bare([node])
    bare.begin()
    bare.resume("a")
    bare.resume("b")
    assert ran == ["mail sent"] * 3


def test_nothing_runs_again_when_a_person_answers(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"}), ("pay", {"room": "2"})), says("Done."))
    say(graph, parts)
    decide(graph, parts, "approve", "approve")
    assert isinstance(parts.policy, Rules)
    assert isinstance(parts.generator, Script)
    subjects = Counter(subject.split("#")[0] for subject in parts.policy.judged)
    assert sorted(subjects.values()) == [1, 1, 1]  # two calls and the answer, each judged once
    assert len(parts.generator.seen) == 2
    assert sorted(name for name, _ in ran(parts)) == ["book", "pay"]


def test_the_door_interrupts_first_and_nobody_else_interrupts() -> None:
    """Of all nodes only ``review`` interrupts, in its first statement, once."""
    for path in Path(nodes.__path__[0]).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        uses = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "interrupt"]
        if path.name != "review.py":
            assert uses == [], path
            continue
        [function] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "review"]
        first = next(s for s in function.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)))
        assert isinstance(first, ast.Assign)
        assert uses == [first.value]


@pytest.mark.parametrize("durability", DURABILITIES)
def test_bare_a_crash_after_the_effect_repeats_it(durability: str) -> None:
    paid: list[str] = []
    bare = Bare([paying(paid, dies=["once"])])
    bare.begin()
    with pytest.raises(Died):
        bare.resume("yes", durability=durability)
    bare.graph.invoke(None, bare.config)
    while bare.waiting():
        bare.resume("yes")
    assert len(paid) == 2


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("tool", ["book", "pay"])
def test_a_crash_after_the_effect_does_not_repeat_it(tool: str, durability: str) -> None:
    saver = Mortal()
    graph, parts = build_graph(saver), deps(calls((tool, {"room": "1"})), says("Done."))
    say(graph, parts)
    toys = parts.toolbox
    assert isinstance(toys, Toys)

    def crash(name: str) -> None:
        saver.alive, toys.crash = False, lambda name: None
        raise Died

    toys.crash = crash
    [(interrupt_id, review)] = waiting(graph)
    with pytest.raises(Died):
        resumed(graph, parts, {interrupt_id: {"type": "approve", "by": "kim"}}, durability=durability)
    saver.alive = True
    [(_, _, key)] = toys.ran
    toys.known[key] = Outcome(key=key, tool=tool, status="done", result={}, error="", at=review["created_at"])
    graph.invoke(None, CONFIG, context=parts)
    kinds = []
    while open_now := waiting(graph):
        kinds.append(open_now[0][1]["kind"])
        resumed(graph, parts, {open_now[0][0]: {"type": "approve", "by": "kim"}})
    assert kinds == ["tool"] * (durability == "exit") + ["in_doubt"] * (tool == "pay")
    assert len(ran(parts)) == 1
    assert values(graph)["answer"]["text"] == "Done."


@pytest.mark.parametrize(("durability", "times"), [("sync", 1), ("exit", 2)])
def test_bare_a_crash_in_the_node_after_the_effect(durability: str, times: int) -> None:
    """With "exit" the approval itself is lost, too: the person is asked again."""
    paid: list[str] = []
    saver = Mortal()
    bare = Bare([asking("pay"), paying(paid, dies=[], asks=False), dying(saver)], saver)
    bare.begin()
    with pytest.raises(Died):
        bare.resume("yes", durability=durability)
    saver.alive = True
    bare.graph.invoke(None, bare.config)
    assert bool(bare.waiting()) == (durability == "exit")
    if bare.waiting():
        bare.resume("yes")
    assert len(paid) == times


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_crash_in_the_node_after_the_effect_repeats_nothing_and_loses_no_approval(durability: str) -> None:
    saver = Mortal()
    graph, parts = build_graph(saver), deps(calls(("pay", {"room": "1"})))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)

    def dies(*args: Any, **kwargs: Any) -> Any:
        saver.alive = False
        raise Died

    doomed = replace(parts, generator=Mock(reply=dies))
    with pytest.raises(Died):
        resumed(graph, doomed, {interrupt_id: {"type": "approve", "by": "kim"}}, durability=durability)
    saver.alive = True
    assert parts.decisions.of("t1")[review["id"]]["type"] == "approve"
    assert isinstance(parts.generator, Script)
    parts.generator.lines.append(says("Paid."))
    graph.invoke(None, CONFIG, context=parts)
    assert durability != "exit" or waiting(graph)  # it kept nothing of the run: what was recorded is released again
    for iid, _ in waiting(graph):
        resumed(graph, parts, {iid: parts.decisions.of("t1")[review["id"]]})
    assert len(ran(parts)) == 1
    assert values(graph)["answer"]["text"] == "Paid."


def test_209_refunds_are_209_although_every_approval_is_sent_twice(graph: AgentGraph) -> None:
    """microsoft/agent-framework #3938: of 209 approved refunds 209 were paid twice."""
    parts = deps(*(line for n in range(209) for line in (calls(("pay", {"room": str(n)})), says("Refunded."))))
    for n in range(209):
        config: Any = {"configurable": {**CONFIG["configurable"], "thread_id": f"refund {n}"}}
        graph.invoke({"messages": [HumanMessage(f"pay for room {n}")]}, config, context=parts)
        [task] = graph.get_state(config).tasks
        approve: Any = Command(resume={task.interrupts[0].id: {"type": "approve", "by": "kim"}})
        graph.invoke(approve, config, context=parts)
        with pytest.raises(UnknownInterruptError):
            graph.invoke(approve, config, context=parts)
    assert [args["room"] for _, args in ran(parts)] == [str(n) for n in range(209)]


def test_an_effect_runs_only_after_its_intent_is_written(graph: AgentGraph) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    toys, ledger = parts.toolbox, parts.ledger
    assert isinstance(toys, Toys)
    assert isinstance(ledger, MemoryLedger)
    entries: list[dict[str, Any]] = []
    toys.crash = lambda name: entries.append(dict(ledger.entries))
    say(graph, parts)
    full = MagicMock(begin=Mock(side_effect=PassingFault("the disk is full")))
    [(interrupt_id, _)] = waiting(graph)
    with pytest.raises(PassingFault):
        resumed(graph, replace(parts, ledger=full), {interrupt_id: {"type": "approve", "by": "kim"}})
    assert ran(parts) == []
    graph.invoke(None, CONFIG, context=parts)
    [(_, _, key)] = toys.ran
    assert entries == [{key: None}]


def test_bare_two_resumes_at_once_both_run() -> None:
    paid: list[str] = []
    both = threading.Barrier(2, timeout=20)

    def pays(state: Said) -> dict[str, Any]:
        interrupt("pay?")
        both.wait()
        paid.append("paid")
        return {"said": ["paid"]}

    bare = Bare([pays])
    bare.begin()
    threads = [threading.Thread(target=bare.resume, args=("yes",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paid) == 2


def test_two_resumes_at_once_do_one_effect(graph: AgentGraph, tmp_path: Path) -> None:
    """Even past the workspace's run lock, on the graph itself: the ledger lets one of them begin."""
    both = threading.Barrier(2, timeout=20)

    class Meeting(DecisionLog):
        def record(self, thread_id: str, decision: Decision) -> Decision:
            both.wait()
            return super().record(thread_id, decision)

    files: Any = {"decisions": Meeting(tmp_path), "ledger": EffectLedger(tmp_path)}
    parts = replace(deps(calls(("pay", {"room": "1"})), says("Paid."), says("Paid.")), **files)
    say(graph, parts)
    approve = {iid: {"type": "approve", "by": "kim"} for iid, _ in waiting(graph)}

    def run() -> None:
        with contextlib.suppress(DojangError):  # the second may be told that the first is at it
            resumed(graph, parts, approve)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken
    assert len(ran(parts)) == 1


# what a saver has kept when the process dies


class Reordered(InMemorySaver):
    """LangGraph does not say whether a step's writes or the checkpoint after it come first: here the writes are late.

    The process dies at the checkpoint after the effect, and the writes of the step have not been kept.
    """

    def __init__(self, paid: Callable[[], bool]) -> None:
        super().__init__()
        self.paid, self.alive = paid, True

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        if not (self.alive and self.paid()):
            super().put_writes(*args, **kwargs)

    def put(self, *args: Any) -> Any:
        if self.alive and self.paid():
            raise Died
        return super().put(*args)


def test_bare_a_step_is_done_again_whose_writes_were_late() -> None:
    """langgraph #8039: with durability="sync", too."""
    paid: list[str] = []
    saver = Reordered(lambda: bool(paid))
    bare = Bare([asking("pay"), paying(paid, dies=[], asks=False)], saver)
    bare.begin()
    with pytest.raises(Died):
        bare.resume("yes", durability="sync")
    saver.alive = False
    bare.graph.invoke(None, bare.config)
    assert paid == ["paid", "paid"]


@pytest.mark.parametrize("tool", ["book", "pay"])
def test_an_effect_is_not_repeated_whose_writes_were_late(tool: str) -> None:
    parts = deps(calls((tool, {"room": "1"})), says("Done."))
    saver = Reordered(lambda: bool(ran(parts)))
    graph = build_graph(saver)
    say(graph, parts)
    [(interrupt_id, _)] = waiting(graph)
    with pytest.raises(Died):
        resumed(graph, parts, {interrupt_id: {"type": "approve", "by": "kim"}})
    saver.alive = False
    graph.invoke(None, CONFIG, context=parts)
    assert len(ran(parts)) == 1
    assert values(graph)["answer"]["text"] == "Done."  # the ledger had the outcome: nobody needs to be asked


# what is shown is what runs


def test_what_the_person_sees_are_the_arguments_that_run(graph: AgentGraph) -> None:
    """pydantic/pydantic-ai #6968: the approver saw the model's arguments, and the tool got what became of them."""
    got: list[dict[str, Any]] = []

    def transfer(amount: int, on: date) -> str:
        got.append({"amount": amount, "on": on.isoformat()})
        return "ok"

    pay = effect("irreversible", recovery="at_most_once")(StructuredTool.from_function(transfer, description="pay"))
    toolbox = Toolbox([pay], today=lambda: date(2026, 11, 22))
    parts = replace(deps(calls(("transfer", {"amount": "100", "on": "tomorrow"})), says("Paid.")), toolbox=toolbox)
    say(graph, parts)
    [(_, review)] = waiting(graph)
    assert review["action"]["args"] == {"amount": 100, "on": "2026-11-23"}
    assert "100" in review["summary"]
    decide(graph, parts, {"type": "approve", "by": "kim", "digest": review["digest"]})
    assert got == [review["action"]["args"]]
