from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import UnreadableReply
from adapters.parsing import Call, parse_reply
from adapters.prompt import call_text

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
    ],
)
def test_a_broken_or_foreign_call_is_refused(text: str, says: str) -> None:
    with pytest.raises(UnreadableReply, match=says) as caught:
        parse_reply(text, OFFERED)
    assert "\n" not in str(caught.value)


def test_text_stays_text() -> None:
    assert parse_reply("  조식은 7시부터입니다. {참고} [1] ", OFFERED) == "조식은 7시부터입니다. {참고} [1]"


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(), st.integers(), st.booleans()), max_size=4))
def test_what_the_prompt_writes_is_read_back(args: dict[str, object]) -> None:
    assert parse_reply(call_text("book_room", args), OFFERED) == Call("book_room", json.loads(json.dumps(args)))
