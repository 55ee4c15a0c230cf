from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dojang.server.console.forms import fields_of, text_field, typed, with_posted
from dojang.server.wording import sayer

SAY = sayer("en")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "price": {"type": "number"},
        "paid": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
        "size": {"enum": ["small", "large", 3]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "ref": {"$ref": "#/$defs/Size"},
    },
    "$defs": {"Size": {"enum": ["s", "l"]}},
    "required": ["text"],
}
ARGS: dict[str, Any] = {
    "text": "가나다",
    "count": 2,
    "price": 1.5,
    "paid": False,
    "day": "2026-03-06",
    "size": "small",
    "tags": ["a", "나"],
    "maybe": 7,
    "ref": "s",
    "extra": {"x": 1},
}


def post(args: dict[str, Any], **changed: str) -> tuple[dict[str, Any], list[str]]:
    fields = fields_of(SCHEMA, args)
    return typed(fields, {f.key: changed.get(f.name, f.shown) for f in fields}, SAY)


def test_controls_fit_the_schema() -> None:
    assert {f.name: f.widget for f in fields_of(SCHEMA, ARGS)} == {
        "text": "text",
        "count": "integer",
        "price": "number",
        "paid": "boolean",
        "day": "date",
        "size": "choice",
        "tags": "json",
        "maybe": "integer",
        "ref": "choice",
        "extra": "json",
    }


def test_types_come_back() -> None:
    changed = {"count": "180,000", "price": "3", "paid": "true", "day": "2026-03-13", "size": "3", "tags": '["다"]'}
    args, problems = post(ARGS, **changed)
    assert problems == []
    assert args == {**ARGS, "count": 180_000, "price": 3, "paid": True, "day": "2026-03-13", "size": 3, "tags": ["다"]}
    assert type(args["count"]) is int
    assert type(args["paid"]) is bool


@pytest.mark.parametrize(
    "changed",
    [
        {"count": "1.5"},
        {"count": "1,80"},
        {"count": "열"},
        {"price": "nan"},
        {"price": "1e999"},
        {"paid": "maybe"},
        {"day": "2026-02-30"},
        {"size": "medium"},
        {"tags": "[1,"},
        {"tags": "[NaN]"},
        {"text": ""},
    ],
)
def test_what_cannot_be_read_is_told_by_name(changed: dict[str, str]) -> None:
    _, problems = post(ARGS, **changed)
    assert len(problems) == 1
    assert problems[0].startswith(next(iter(changed)))


def test_an_emptied_optional_argument_is_left_out() -> None:
    args, problems = post(ARGS, count="", day="")
    assert problems == []
    assert "count" not in args
    assert "day" not in args


def test_a_value_of_another_type_is_shown_as_json_and_survives() -> None:
    odd = {"text": 5, "count": "two", "day": "soon", "paid": None, "size": "huge"}
    assert post(odd) == (odd, [])
    assert {f.name: f.widget for f in fields_of(SCHEMA, odd)}["day"] == "text"


def test_typed_text_stays_after_a_mistake() -> None:
    fields = with_posted(fields_of(SCHEMA, ARGS), {"arg.1": "열"})
    assert fields[1].shown == "열"
    assert fields[0].shown == "가나다"


def test_a_draft_is_one_long_text() -> None:
    fields = text_field({"text": "초안\r\n둘"})
    assert typed(fields, {"arg.0": "초안\r\n둘"}, SAY) == ({"text": "초안\r\n둘"}, [])
    assert typed(fields, {"arg.0": "새\r\n글"}, SAY) == ({"text": "새\n글"}, [])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "그밖"]), values))
def test_an_untouched_form_gives_the_same_arguments(args: dict[str, Any]) -> None:
    got, problems = post(args)
    assert got == args
    assert [p for p in problems if not p.startswith("text must not be empty")] == []
    assert [type(v) for v in got.values()] == [type(args[k]) for k in got]
