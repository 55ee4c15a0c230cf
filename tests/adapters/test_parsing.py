from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import UnreadableReply
from adapters.forms.parsing import Call, parse_replies, parse_reply, shaped, without_calls
from adapters.prompt import call_text
from tests.adapters.tiny import BOOK

OFFERED = ["book_room", "ask_user"]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "book_room", "parameters": {"hotel": "남산"}}',
        '{"name": "book_room", "arguments": {"hotel": "남산"}}',
        '{"name": "book_room", "arguments": "{\\"hotel\\": \\"남산\\"}"}',
        '<|python_tag|>{"name": "book_room", "parameters": {"hotel": "남산"}}<|eom_id|>',
        '```json\n{"name": "book_room", "parameters": {"hotel": "남산"}}\n```',
        '{"type": "function", "function": {"name": "book_room", "arguments": {"hotel": "남산"}}}'.replace(
            '"type": "function", ', ""
        ),
        '{"name": "book_room", "arguments": "\\"{\\\\\\"hotel\\\\\\": \\\\\\"남산\\\\\\"}\\""}',
        '{"type": "function", "name": "book_room", "parameters": {"hotel": "남산"}}',
        '{"id": "c1", "name": "book_room", "args": {"hotel": "남산"}}',
        '{"tool": "book_room", "input": {"hotel": "남산"}}',
        'I will book it.\n```json\n{"name": "book_room", "parameters": {"hotel": "남산"}}\n```',
        '[{"name": "book_room", "parameters": {"hotel": "남산"}}]',
        '<|python_tag|>book_room.call(hotel="남산")',
        "<|python_tag|>book_room(hotel='남산')<|eom_id|>",
        '<|python_tag|>```\n{"name": "book_room", "parameters": {"hotel": "남산"}}\n```',
        '예약하겠습니다. {"name": "book_room", "parameters": {"hotel": "남산"}} 감사합니다 {"x": 1}',
    ],
)
def test_the_usual_shapes_are_read(text: str) -> None:
    assert parse_reply(text, OFFERED) == Call("book_room", {"hotel": "남산"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"name": "wipe_disk", "parameters": {}}', "'wipe_disk', which was not offered"),
        ('{"name": "book_room", "parameters": {"hotel": ', "not valid JSON"),
        ('{"name": "book_room", "parameters": [1]}', "no object"),
        ('{"name": "book_room", "arguments": "hotel"}', "not JSON"),
        ('{"name": 3, "parameters": {}}', "without a tool's name"),
        ('{"parameters": {"hotel": "x"}}', "without a tool's name"),
        ('{"arguments": {"hotel": "x"}, "name": "wipe"}', "'wipe', which was not offered"),
        ('Sure: {"name": "book_room", "parameters": {"hotel"', "not valid JSON"),
        ('{"name": "book_room", "arguments": "\\"x\\""}', "are not JSON"),
        ("<|python_tag|>import os; os.remove('x')", "wrote code"),
        ("<|python_tag|>wipe.call(x=1)", "'wipe', which was not offered"),
        ("<|python_tag|>book_room.call(hotel=open('x'))", "no plain value"),
        ("<|python_tag|>book_room.call('x')", "wrote code"),
        ("<|python_tag|>book_room.call(**{'hotel': 'x'})", "have no names"),
        ("<|python_tag|>" + "(" * 500, "wrote code"),
        ('{"name": "book_room", "parameters": ' + "[" * 100000, "not valid JSON"),
        ('{"name": "book_room", "parameters": {"hotel": "a", "hotel": "b"}}', "gives 'hotel' twice"),
        ('{"name": "book_room", "arguments": "{\\"hotel\\": 1, \\"hotel\\": 2}"}', "give 'hotel' twice"),
        ('See {"type": "deluxe"}, then {"name": "wipe_disk", "arguments": {}}', "'wipe_disk', which was not offered"),
        ('<function=book_room>{"hotel": "x"}</function>', "a form that is not read"),
        ('<invoke name="book_room"><parameter name="hotel">x</parameter></invoke>', "a form that is not read"),
        ('[TOOL_CALLS]book_room[ARGS]{"hotel": "x"}', "a form that is not read"),
        ("I will.\nAction: book_room\nAction Input: x", "a form that is not read"),
        ('{"action": "book_room", "action_input": {"hotel": "x"}}', "a form that is not read"),
        ('{"recipient_name": "functions.book_room", "x": {}}', "a form that is not read"),
        ("{'name': 'book_room', 'parameters': {'hotel': 'x'}}", "a form that is not read"),
        ('book_room(hotel="x")', "a form that is not read"),
    ],
)
def test_a_broken_or_foreign_call_is_refused(text: str, says: str) -> None:
    with pytest.raises(UnreadableReply, match=says) as caught:
        parse_reply(text, OFFERED)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "조식은 7시부터입니다. {참고} [1]",
        "I could call book_room (it books a room), but a person has to ask for it.",
        "The action is done: book_rooms(all) is another tool.",
        "Think of the function name first.",
    ],
)
def test_text_stays_text(text: str) -> None:
    assert parse_reply(f"  {text} ", OFFERED) == text
    assert without_calls(text, OFFERED) == text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('<think>I could {"name": "book_room", "parameters": {}} but must not.</think>\nBreakfast is at 7.', 1),
        ("The person is rude. {}</think>\n\nBreakfast is at 7.", 1),
        ('<think>hm</think>{"name": "book_room", "parameters": {"hotel": "남산"}}', 2),
        ('<think>I shall {"name": "book_room", "parameters": {}}', 0),
    ],
)
def test_what_a_model_thinks_is_neither_a_call_nor_an_answer(text: str, read: int) -> None:
    assert parse_reply(text, OFFERED) == ["", "Breakfast is at 7.", Call("book_room", {"hotel": "남산"})][read]
    assert without_calls(text, OFFERED) == ["", "Breakfast is at 7.", ""][read]


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(), st.integers(), st.booleans()), max_size=4))
def test_what_the_prompt_writes_is_read_back(args: dict[str, object]) -> None:
    assert parse_reply(call_text("book_room", args), OFFERED) == Call("book_room", json.loads(json.dumps(args)))


@pytest.mark.parametrize(
    "text",
    ['{"name": "Emma Lee", "room": 302}', '{"type": "deluxe", "price": 3}', '{"id": 7, "status": "open"}', "{}", "[]"],
)
def test_json_that_is_no_call_is_an_answer(text: str) -> None:
    assert parse_reply(text, OFFERED) == text


def test_several_calls_of_a_grammar() -> None:
    one, two = call_text("book_room", {"a": 1}), call_text("ask_user", {"b": "}\n{"})
    assert parse_replies(f"{one}\n{two}", OFFERED) == [Call("book_room", {"a": 1}), Call("ask_user", {"b": "}\n{"})]
    assert parse_replies("hello {", OFFERED) == "hello {"
    with pytest.raises(UnreadableReply, match="not valid JSON"):
        parse_replies(f"{one}\n{two[:-3]}", OFFERED)
    with pytest.raises(UnreadableReply, match="not offered"):
        parse_replies(one + call_text("fly", {}), OFFERED)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"hotel": "남산", "guests": 2}, {"hotel": "남산", "guests": 2}),
        ({"hotel": "남산", "guests": "2"}, {"hotel": "남산", "guests": 2}),
        ({"hotel": "남산", "check_in": None}, {"hotel": "남산"}),
        ({"hotel": "남산", "room_type": "penthouse"}, {"hotel": "남산", "room_type": "penthouse"}),
        ({}, {}),
    ],
)
def test_the_shape_is_checked_and_values_are_not(given: dict[str, object], read: dict[str, object]) -> None:
    assert shaped(Call("book_room", given), BOOK["parameters"]).args == read


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"hotel": ["남산"]}, "is not of type 'string'"),
        ({"guests": "two"}, "is not of type 'integer'"),
        ({"guests": True}, "is not of type 'integer'"),
        ({"colour": "red"}, "has no argument 'colour'"),
        ({"hotel": {"name": "남산"}}, "is not of type 'string'"),
    ],
)
def test_another_shape_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(UnreadableReply, match=says) as caught:
        shaped(Call("book_room", given), BOOK["parameters"])
    assert "\n" not in str(caught.value)


def test_the_words_around_a_call() -> None:
    assert without_calls('예약할게요.\n```json\n{"name": "x", ') == "예약할게요."
    assert without_calls('{"name": "x"}') == ""
    assert without_calls("그냥 <|eot_id|> 글") == "그냥  글"
    assert without_calls("말. <|python_tag|>os.remove()") == "말."


PIECES = st.sampled_from(
    ['{"name": ', '"book_room"', '"fly"', ', "parameters": ', ', "arguments": ', "{", "}", "[", "]", '"', "\\", ":",
     ",", "```json\n", "```", "<|python_tag|>", "<|eot_id|>", '{"hotel": "남산"}', "book_room.call(", "hotel=", ")",
     "null", "1e999", "NaN", "한글", "\n", " ", "\ud800", "\x00", '"{\\"hotel\\": 1}"', '{"function": ',
     '{"type": "function", ']
)  # fmt: skip


def outcome(text: str) -> tuple[Call | str | None, str]:
    """What was read, or None and why it was refused."""
    try:
        return parse_reply(text, OFFERED), ""
    except UnreadableReply as e:
        return None, str(e)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_whatever_is_written_is_an_offered_call_or_text_or_refused(text: str) -> None:
    reply, refused = outcome(text)
    assert "\n" not in refused
    if isinstance(reply, str):
        assert not re.search(r'\{"name": [^{}]*"(parameters|arguments)": ', reply), "no call passes as an answer"
    elif reply is not None:
        assert reply.name in OFFERED
        assert isinstance(reply.args, dict)
        try:
            kept = shaped(reply, BOOK["parameters"])
        except UnreadableReply:
            return
        assert set(kept.args) <= set(BOOK["parameters"]["properties"])
