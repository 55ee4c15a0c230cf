"""Which answer belongs to which question: defects that users have met, not to be found in ours.

Where it is cheap, bare LangGraph is played beside it and shows the defect (``bare``): when one of those turns green by
itself, LangGraph has mended it. docs/proofs.md has the threads; what needs processes of its own is in ``tests/chaos``
and ``tests/dojang``.
"""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import UnknownInterruptError, is_invalid_resume
from langgraph.types import Command, interrupt

from graph import AgentGraph, build_graph
from nodes.door import rule
from state import JSON
from tests.graph.bare import Bare, Said, asking
from tests.graph.parts import Rules, Script, asks, calls, deps, says
from tests.graph.talk import CONFIG, decide, ran, resumed, say, values, waiting


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


# an answer that is taken twice


def test_bare_every_answer_before_the_last_is_replayed_in_a_loop() -> None:
    """langgraph #7780: three answers are handled 1 + 2 + 3 times."""
    heard: list[Any] = []

    def node(state: Said) -> dict[str, Any]:
        question = "how many?"
        while True:
            answer = interrupt(question)
            heard.append(answer)
            if isinstance(answer, int):
                return {"said": [str(answer)]}
            question = f"{answer} is no number"

    bare = Bare([node])
    bare.begin()
    for answer in ("one", "two", 3):
        bare.resume(answer)
    assert heard == ["one", "one", "two", "one", "two", 3]


def test_an_answer_is_heard_once_however_often_is_asked(graph: AgentGraph) -> None:
    parts = deps(asks("How many?"), asks("That is no number: how many?"), asks("And now?"), says("Three."))
    say(graph, parts)
    for answer in ("one", "two", "3"):
        decide(graph, parts, {"type": "answer", "by": "kim", "message": answer})
    told = [str(m.content) for m in values(graph)["messages"] if m.type == "human"]
    assert told == ["book a room", "one", "two", "3"]
    assert isinstance(parts.generator, Script)
    assert len(parts.generator.seen) == 4
    assert values(graph)["answer"]["text"] == "Three."


def test_bare_going_on_without_an_answer_answers_with_the_last_one() -> None:
    """langgraph #8837: the consumed answer is delivered again to the next question."""

    def node(state: Said) -> dict[str, Any]:
        return {"said": [f"{interrupt('book?')} and {interrupt('pay?')}"]}

    bare = Bare([node])
    bare.begin()
    bare.resume("yes")
    bare.graph.invoke(None, bare.config)
    assert bare.said() == ["yes and yes"]


def test_going_on_without_an_answer_answers_nothing(graph: AgentGraph) -> None:
    parts = deps(calls(("book", {"room": "1"})), calls(("pay", {"room": "1"})), says("Done."))
    say(graph, parts)
    decide(graph, parts, "approve")
    [(_, review)] = waiting(graph)
    for _ in range(3):
        graph.invoke(None, CONFIG, context=parts, durability="sync")
        assert [r for _, r in waiting(graph)] == [review]
    assert [name for name, _ in ran(parts)] == ["book"]
    assert review["id"] not in parts.decisions.of("t1")


def test_answering_one_of_several_runs_nothing_again(graph: AgentGraph) -> None:
    """langgraph #6208: a node with two interrupts runs again after each answer."""
    parts = deps(calls(*((name, {"room": str(n)}) for n, name in enumerate(("book", "pay", "book")))), says("Done."))
    say(graph, parts)
    assert isinstance(parts.policy, Rules)
    assert isinstance(parts.generator, Script)
    judged = list(parts.policy.judged)
    reviews = [review for _, review in waiting(graph)]
    for left in (2, 1):
        [(first, _), *_] = waiting(graph)
        resumed(graph, parts, {first: {"type": "approve", "by": "kim"}})
        assert (parts.policy.judged, len(parts.generator.seen), ran(parts)) == (judged, 1, [])
        assert [review for _, review in waiting(graph)] == reviews[-left:]
    decide(graph, parts, "approve")
    assert len(ran(parts)) == 3


@pytest.mark.parametrize("nothing", [None, {"type": None}, {"decisions": [None]}, {"decisions": [{}]}, [None], {}])
def test_a_missing_decision_is_none(graph: AgentGraph, nothing: Any) -> None:
    """pydantic/pydantic-ai #8060: an approval whose value is None ran the tool."""
    parts = deps(calls(("pay", {"room": "1"})), says("Paid."))
    say(graph, parts)
    [(interrupt_id, review)] = waiting(graph)
    with pytest.raises(Exception, match="rv_"):
        resumed(graph, parts, {interrupt_id: nothing})
    with pytest.raises(Exception, match="rv_"):
        rule(review, nothing, parts)
    assert (ran(parts), parts.decisions.of("t1"), len(waiting(graph))) == ([], {}, 1)
