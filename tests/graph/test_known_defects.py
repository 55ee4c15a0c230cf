"""Defects that users of LangGraph and of what is built on it have met, each shown in ours not to be there.

Where it is cheap, bare LangGraph is played beside it and shows the defect (``bare``): when one of those turns green by
itself, LangGraph has mended it. What needs processes of its own is in ``tests/chaos`` and ``tests/dojang``.
"""

from __future__ import annotations

import ast
import contextlib
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import UnknownInterruptError, is_invalid_resume
from langgraph.types import Command, interrupt

import nodes
from checkpoints import DecisionLog, EffectLedger
from graph import AgentGraph, build_graph, state_graph
from nodes.door import rule
from nodes.ports import Deps
from state import JSON, Decision, DojangError, Outcome, PassingFault, UserError
from tests.graph.bare import Bare, Died, Mortal, Said, asking, dying, paying
from tests.graph.parts import MemoryLedger, Rules, Script, Toys, asks, calls, deps, says
from tests.graph.test_graph import CONFIG, decide, graph, ran, say, values, waiting

__all__ = ["graph"]
DURABILITIES = ["sync", "async", "exit"]


def resumed(graph: AgentGraph, parts: Deps, answers: Any, **how: Any) -> dict[str, Any]:
    return graph.invoke(Command(resume=answers), CONFIG, context=parts, durability=how.get("durability", "sync"))


# the node restarts from its first line


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


# an effect twice after a crash


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


# two runs at once


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


# which answer belongs to which question


def test_bare_the_answer_to_one_question_answers_the_next() -> None:
    bare = Bare([asking("book"), asking("pay")])
    bare.begin()
    bare.resume("yes")
    bare.resume("yes")  # a retry of the first answer
    assert bare.said() == ["book: yes", "pay: yes"]


def test_bare_an_unknown_id_is_taken_without_a_word() -> None:
    bare = Bare([asking("pay")])
    bare.begin()
    bare.resume({"f" * 32: "yes"})
    assert bare.said() in ([], [f"pay: { ({'f' * 32: 'yes'}) }"])


def test_a_stale_answer_answers_nothing_else(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    [(first, review)] = waiting(graph)
    resumed(graph, parts, {first: {"type": "approve", "by": "kim"}})
    with pytest.raises(UnknownInterruptError):
        resumed(graph, parts, {first: {"type": "approve", "by": "kim"}})
    [(second, _)] = waiting(graph)
    with pytest.raises(Exception, match=f"is about review .{review['id']}"):
        resumed(graph, parts, {second: {"type": "approve", "review_id": review["id"]}})
    with pytest.raises(Exception, match="has changed since you looked"):
        resumed(graph, parts, {second: {"type": "approve", "digest": review["digest"]}})
    assert [name for name, _ in ran(parts)] == ["book"]


@pytest.mark.parametrize("config", [CONFIG, {"configurable": {"thread_id": "t1"}}], ids=["strict", "as it comes"])
def test_an_unknown_id_is_refused(graph: AgentGraph, config: Any) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    unknown: Any = Command(resume={"f" * 32: {"type": "approve"}})
    with pytest.raises(UnknownInterruptError):
        graph.invoke(unknown, config, context=parts)
    assert ran(parts) == []
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1


def test_a_retry_that_names_its_review_answers_no_other(graph: AgentGraph) -> None:
    """As a bare value, too, which LangGraph gives to whatever pause is open."""
    parts = deps(calls(("book", {"room": "1"})), calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    [(_, review)] = waiting(graph)
    approve = {"type": "approve", "by": "kim", "digest": review["digest"]}
    resumed(graph, parts, approve)
    with pytest.raises(Exception, match="has changed since you looked"):
        resumed(graph, parts, approve)
    assert [name for name, _ in ran(parts)] == ["book"]


def test_one_answer_for_several_questions_is_refused(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"}), ("book", {"room": "2"})), says("Done."))
    say(graph, parts)
    [(_, review), _] = waiting(graph)
    for one in ({"type": "approve", "by": "kim"}, {"type": "approve", "by": "kim", "digest": review["digest"]}):
        with pytest.raises(Exception, match=r"names its review|multiple pending interrupts"):
            resumed(graph, parts, one)
    assert (ran(parts), len(waiting(graph))) == ([], 2)


def test_decisions_belong_to_calls_by_id_not_by_position(graph: AgentGraph) -> None:
    """HumanInTheLoopMiddleware takes a list of decisions and pairs it with the calls by position."""
    parts = deps(calls(("book", {"room": "1"}), ("pay", {"room": "2"}), ("book", {"room": "3"})), says("Done."))
    say(graph, parts)
    said = {"1": "approve", "2": "reject", "3": "approve"}
    answers = [(iid, {"type": said[r["action"]["args"]["room"]], "by": "kim"}) for iid, r in waiting(graph)]
    resumed(graph, parts, dict(reversed(answers)))
    assert sorted(args["room"] for _, args in ran(parts)) == ["1", "3"]


def test_a_partly_invalid_answer_runs_nothing_and_then_each_call_once(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"}), ("book", {"room": "2"})), says("Done."))
    say(graph, parts)
    [(one, _), (two, _)] = waiting(graph)
    good = {"type": "approve", "by": "kim"}
    with pytest.raises(Exception, match="rooom"):
        resumed(graph, parts, {one: good, two: {"type": "edit", "by": "kim", "edited_args": {"rooom": "3"}}})
    assert ran(parts) == []
    resumed(graph, parts, {iid: good for iid, _ in waiting(graph)})
    assert sorted(args["room"] for _, args in ran(parts)) == ["1", "2"]


# answers that LangGraph cannot swallow


def test_bare_an_invalid_answer_wedges_the_thread_for_good() -> None:
    def node(state: Said) -> dict[str, Any]:
        answer = interrupt("how many?")
        return {"said": [str(int(answer))]}

    bare = Bare([node])
    bare.begin()
    with pytest.raises(ValueError, match="two"):
        bare.resume("two")
    for _ in range(3):
        with pytest.raises(ValueError, match="two"):
            bare.resume(2)


@pytest.mark.parametrize(
    "answer", ["two", 2, {"type": "shred"}, [], [{"type": "accept"}] * 2, {"decisions": []}, False, ""]
)
def test_an_invalid_answer_is_not_kept(graph: AgentGraph, answer: JSON) -> None:
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    [(interrupt_id, _)] = waiting(graph)
    for _ in range(2):
        with pytest.raises(Exception, match="rv_") as caught:
            resumed(graph, parts, {interrupt_id: answer})
        assert is_invalid_resume(caught.value)
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1


def test_resuming_with_none_changes_nothing(graph: AgentGraph) -> None:
    """LangGraph answers ``Command(resume=None)`` with an UnboundLocalError of its own."""
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    with pytest.raises(UnboundLocalError):
        resumed(graph, parts, None)
    [(interrupt_id, _)] = waiting(graph)
    with pytest.raises(Exception, match="a decision is an object"):
        resumed(graph, parts, {interrupt_id: None})
    assert ran(parts) == []
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 1


def test_an_inbox_that_makes_text_of_every_argument_is_understood() -> None:
    """agent-inbox sends its own list, with every argument as text; tests/tools has how types come back."""
    for n, wire in enumerate(([{"type": "accept", "args": None}], [{"type": "edit", "args": {"args": {"room": "9"}}}])):
        graph, parts = build_graph(InMemorySaver()), deps(calls(("book", {"room": "1"})), says("Booked."))
        say(graph, parts)
        decide(graph, parts, wire)
        assert ran(parts) == [("book", {"room": ("1", "9")[n]})]


# pauses that get lost


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


# the gate


def test_a_tool_that_nobody_listed_is_asked_about(graph: AgentGraph) -> None:
    """HumanInTheLoopMiddleware runs every tool that its table does not name."""
    parts = deps(calls(("book", {"room": "1"})), says("Booked."), rules=Rules(table={"answer": "auto"}))
    say(graph, parts)
    assert (ran(parts), len(waiting(graph))) == ([], 1)


def test_a_rule_that_changes_while_somebody_decides_turns_no_rejection_into_a_run(graph: AgentGraph) -> None:
    """HumanInTheLoopMiddleware evaluates ``when`` again on resume: a rejected call for which it is false now runs."""
    parts = deps(calls(("book", {"room": "1"})), says("It was rejected."))
    say(graph, parts)
    assert isinstance(parts.policy, Rules)
    parts.policy.table["book"] = "auto"
    decide(graph, parts, "reject")
    assert ran(parts) == []
    assert values(graph)["answer"]["text"] == "It was rejected."


@pytest.mark.parametrize("loser", ["approve", "reject"])
def test_who_lost_is_told_who_won(graph: AgentGraph, loser: str) -> None:
    """Of resumes raced at one pause, servers run all, or run one and tell everybody "ok" (aegra #253)."""
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    rule(review, {"type": "approve", "by": "kim"}, parts)  # recorded, not yet released
    with pytest.raises(Exception, match="kim has already decided"):
        resumed(graph, parts, {interrupt_id: {"type": loser, "by": "lee"}})
    assert ran(parts) == []
    resumed(graph, parts, {interrupt_id: {"type": "approve", "by": "kim"}})
    assert len(ran(parts)) == 1
