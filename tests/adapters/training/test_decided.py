"""A dataset's rows in the words of a base: the prompt that was served, letter for letter, and what it learns of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langchain_core.messages import HumanMessage

from adapters.dataset.mapping import Taught, taught
from adapters.dataset.points import Point, told
from adapters.prompt import CHAT_TEMPLATE, EOT, asked, lead, purpose, render, turns_of
from adapters.speakers.rendering import numbered_text, reading_text, rendered
from adapters.training.decided import Unsayable
from adapters.training.examples import Example
from adapters.training.rows import Dialect, Row, read
from adapters.training.sft import row_of
from state import UserError
from tests.adapters.tiny import BOOK
from tests.flywheel.made import BREAKFAST, TOOLS, cites, point
from tests.graph.parts import passage

TOKENIZER = SimpleNamespace(chat_template=CHAT_TEMPLATE, eos_token=EOT)
READING = Dialect(TOKENIZER, reading=True)
NUMBERED = Dialect(TOKENIZER, reading=False, today="2020-01-01")
TOLD = "Breakfast is from 7 to 10."


def rows(dialect: Dialect, given: Point, method: Any = "sft") -> list[Row]:
    one = taught(given)
    assert isinstance(one, Taught)
    return [row for raw in one.rows(method) for row in dialect.rows(raw, method)]


def said(row: Row, n: int = 0) -> str:
    return "".join(text for text, _ in row.answers[n])


def test_a_call_is_learned_as_generated_ones_are() -> None:
    given = point(2, args={"hotel": "Namsan Stay", "guests": 2})
    call, choice = rows(READING, given)
    messages = [HumanMessage("Guest2 wants room2 at Namsan Stay for 2 people, not Han River")]
    turns = turns_of(messages)
    example = Example("call", "", "en", turns, TOOLS, [], "book_room", {"hotel": "Namsan Stay", "guests": 2})
    assert call == row_of(example.said()[0])
    assert choice.prompt == lead(purpose(BOOK), tool=True)
    assert said(choice) == asked("Guest2 wants room2 at Namsan Stay for 2 people, not Han River")
    # Both stand in what the model read then, whose hash is in the session.
    assert given["prompt"] is not None
    text = reading_text(messages, [BREAKFAST], TOOLS)
    assert hashlib.sha256(text.encode()).hexdigest() == given["prompt"]["rendered"]["sha256"]
    assert text.startswith(call.prompt)
    assert choice.prompt in text
    assert text.endswith(said(choice))


def test_what_a_base_of_ours_learns_of_each_kind() -> None:
    [sentence] = rows(READING, point(1, text=f"{TOLD} [1]"))
    assert sentence.prompt == lead(TOLD)
    [nothing] = rows(READING, point(1, text="I do not know.", abstained=True))
    assert nothing.prompt == lead("")
    question, for_tool = rows(READING, point(1, "answer", clarification="Which day?", about="book_room.check_in"))
    assert said(question).endswith(f"check_in? Which day?{EOT}")
    assert for_tool.prompt == lead(purpose(BOOK), tool=True)
    [bad] = rows(READING, point(1, "reject"), "kto")
    assert (bad.prompt, bad.label) == (
        render(turns_of([HumanMessage("Guest1 wants room1 at Namsan Stay for 1 people, not Han River")])),
        False,
    )
    assert [row.label for row in rows(READING, point(1), "kto")] == [True, True]
    [pair] = rows(READING, point(1, "edit", edited={"hotel": "Han River"}), "dpo")
    assert "Han River" in said(pair, 0)
    assert "Namsan Stay" in said(pair, 1)


def test_a_value_that_stands_nowhere_is_nothing_that_a_base_of_ours_could_say() -> None:
    for edited in ({"hotel": "Elsewhere"}, {"guests": 77}, {"room_type": "palace"}):
        with pytest.raises(Unsayable):
            rows(READING, point(1, "edit", edited={"hotel": "Namsan Stay", **edited}))
    assert rows(NUMBERED, point(1, "edit", edited={"hotel": "Elsewhere"}))


def test_a_tools_line_is_told_and_free_words_are_not_sayable() -> None:
    given: Any = point(1, text="free today [1]")
    calls = {"id": "c", "type": "function", "function": {"name": "look", "arguments": {}}}
    given["messages"] += [
        {"role": "assistant", "content": "", "tool_calls": [calls]},
        {"role": "tool", "content": '{"message": "free today"}', "tool_call_id": "c"},
    ]
    given["prompt"]["said"]["citations"][0]["quote"] = "free today"
    [row] = rows(READING, given)
    assert said(row) == f" free today{EOT}"
    assert row.prompt.startswith(
        render(turns_of([HumanMessage("Guest1 wants room1 at Namsan Stay for 1 people, not Han River")]))[:40]
    )
    for method in ("sft", "dpo"):
        with pytest.raises(Unsayable):
            rows(READING, point(1, "edit", text=f"{TOLD} [1]", message="In the morning."), method)
        with pytest.raises(Unsayable):
            rows(NUMBERED, point(1, "edit", text=f"{TOLD} [1]", message="In the morning."), method)


def test_an_answer_of_several_sentences_is_learned_sentence_by_sentence() -> None:
    later = "On Sundays it is until 11."
    both = [cites(), cites(later, n=2)]
    shown = [BREAKFAST, passage(later, id="p2")]

    def told_of(type: Any, **others: Any) -> Point:
        given: Any = point(1, type, text=f"{TOLD} [1] {later} [2]", passages=shown, **others)
        given["prompt"]["said"]["citations"] = both
        return cast(Point, given)

    assert [row.prompt for row in rows(READING, told_of("approve"))] == [lead(TOLD), lead(later)]
    [kept] = rows(READING, told_of("edit", message=f"{later} [2]"))
    assert kept.prompt == lead(later), "who takes a sentence out says which one was wanted"
    with pytest.raises(Unsayable):
        rows(READING, told_of("reject"), "kto")  # which of them is wrong, nobody said
    with pytest.raises(Unsayable):
        rows(READING, told_of("edit", message=f"{TOLD} [1] Until 11 on Sundays. [2]"))
    with pytest.raises(Unsayable):
        rows(NUMBERED, told_of("approve"))


def test_another_checkpoint_learns_after_the_prompt_that_it_was_served() -> None:
    given: Any = point(1, text=f"{TOLD} [1]")
    messages = [HumanMessage("Guest1 wants room1 at Namsan Stay for 1 people, not Han River")]
    text = numbered_text(TOKENIZER, messages, [BREAKFAST], TOOLS, "en", "2026-11-22")
    given["prompt"]["rendered"] = rendered("numbered/1", text, "2026-11-22")
    [row] = rows(NUMBERED, given)
    assert row.prompt == text
    assert said(row) == f"[1] {TOLD}{EOT}"
    called: Any = {**point(1), "messages": told(messages)}
    called["prompt"]["rendered"] = given["prompt"]["rendered"]
    [call] = rows(NUMBERED, called)
    assert call.prompt == text
    assert said(call) == '{"name": "book_room", "parameters": {"hotel": "Namsan Stay", "guests": 1}}' + EOT
    [abstained] = rows(NUMBERED, point(1, text="I do not know.", abstained=True))
    assert said(abstained) == f"[0]{EOT}"


def test_a_file_of_decisions_counts_what_cannot_be_said(tmp_path: Path) -> None:
    import json

    def write(*given: Point) -> Path:
        lines = [row for one in map(taught, given) if isinstance(one, Taught) for row in one.rows("sft")]
        path = tmp_path / "sft.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return path

    free = point(3, "edit", text=f"{TOLD} [1]", message="In the morning.")
    found = read(write(point(1), point(2), free), "sft", READING)
    assert (len(found.rows), found.unsayable) == (4, 1)
    with pytest.raises(UserError, match="none of the 1 sft rows"):
        read(write(free), "sft", READING)
