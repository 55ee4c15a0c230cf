"""The baseline that is shown past edits: the nearest ones, and no more than its speaker reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from adapters.dataset.mapping import Taught, taught
from adapters.gate.nearest import PastEdit, Reminded, past_edits
from adapters.prompt import MAX_TURNS, render, turns_of
from state import Generation
from tests.flywheel.made import ARGS, point
from tests.graph.parts import says


class Heard:
    """What the speaker was given."""

    def __init__(self) -> None:
        self.messages: list[AnyMessage] = []

    def reply(self, messages: Sequence[AnyMessage], **given: Any) -> Generation:
        self.messages = list(messages)
        return says("yes")


def edits(*requests: str) -> list[PastEdit]:
    rows = []
    for n, request in enumerate(requests):
        one = taught(point(n, "edit", request=request, edited={**ARGS, "guests": 50 + n}))
        assert isinstance(one, Taught)
        rows += one.rows("dpo")
    return past_edits(rows)


def heard(messages: list[AnyMessage], found: list[PastEdit], *, k: int = 3, short: bool = False) -> list[AnyMessage]:
    speaker = Heard()
    Reminded(speaker, found, k=k, short=short).reply(messages, passages=[], tools=[], language="en")
    return speaker.messages


FOUND = edits("a sauna for the evening", "late checkout on Sunday please", "a sauna room for the evening, quiet")


def test_the_nearest_edits_come_before_the_conversation_the_nearest_last() -> None:
    asked: list[AnyMessage] = [HumanMessage("A quiet sauna room this evening?")]
    got = heard(asked, FOUND)
    assert [m.text for m in got if isinstance(m, HumanMessage)] == [FOUND[0].request, FOUND[2].request, asked[0].text]
    assert [m.tool_calls[0]["args"]["guests"] for m in got if isinstance(m, AIMessage)] == [50, 52]
    called = [m.tool_calls[0]["id"] for m in got if isinstance(m, AIMessage)]
    assert [m.tool_call_id for m in got if isinstance(m, ToolMessage)] == called
    assert len([m for m in heard(asked, FOUND, k=1) if isinstance(m, AIMessage)]) == 1
    assert heard([HumanMessage("zzz")], FOUND) == [HumanMessage("zzz")]
    assert heard(asked, []) == asked


def test_rare_words_weigh_more() -> None:
    found = edits("please book a room with breakfast", "please book a room with parking", "please book a boat")
    got = Reminded(Heard(), found, k=1, short=False).nearest("please, breakfast", 1)
    assert [edit.request for edit in got] == ["please book a room with breakfast"]


def test_edited_words_are_shown_as_words() -> None:
    one = taught(point(1, "edit", text="Breakfast is from 7 to 10. [1]", message="Seven to ten. [1]"))
    assert isinstance(one, Taught)
    [edit] = past_edits(one.rows("dpo"))
    assert edit.reply.text == "Seven to ten. [1]"


@given(st.lists(st.sampled_from(["user", "assistant"]), min_size=0, max_size=12), st.integers(1, 6))
def test_a_base_that_reads_eight_turns_still_reads_the_whole_conversation(roles: list[str], k: int) -> None:
    talk: list[AnyMessage] = [
        HumanMessage(f"sauna {n}") if role == "user" else AIMessage(f"well {n}") for n, role in enumerate(roles)
    ]
    talk.append(HumanMessage("a quiet sauna room"))
    got = heard(talk, FOUND, k=k, short=True)
    assert got[len(got) - len(talk) :] == talk
    shown = len(got) - len(talk)
    assert shown % 3 == 0
    assert len(turns_of(got)) <= max(MAX_TURNS, len(turns_of(talk)))
    if shown:
        assert all(turn.content in render(turns_of(got)) for turn in turns_of(talk) if turn.role == "user")
