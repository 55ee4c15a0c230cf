"""Arguments against schemas: coercion, refusal, and calls of a public benchmark."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import StructuredTool

from state import UserError
from tools.toolbox import Toolbox

TODAY = date(2026, 11, 18)
BOX = Toolbox.open(today=lambda: TODAY)
BOOKING: dict[str, Any] = {
    "hotel": "남산스테이",
    "guest": "김하늘",
    "check_in": "12월 3일",
    "check_out": "5일",
    "guests": "두 명",
    "room_type": "디럭스",
}


def test_a_korean_booking_is_read_whole() -> None:
    assert BOX.check("book_room", BOOKING) == {
        "args": {
            "hotel": "남산스테이",
            "guest": "김하늘",
            "check_in": "2026-12-03",
            "check_out": "2026-12-05",
            "guests": 2,
            "room_type": "deluxe",
        },
        "missing": [],
        "problems": [],
        "unclear": [],
    }


def test_a_default_is_written_out_so_that_what_is_approved_is_all_that_runs() -> None:
    given = {key: value for key, value in BOOKING.items() if key != "room_type"}
    assert BOX.check("book_room", given)["args"]["room_type"] == "standard"


def test_what_is_absent_is_missing_and_no_problem() -> None:
    checked = BOX.check("book_room", {"hotel": "Namsan Stay", "guest": "  ", "check_in": None})
    assert checked["missing"] == ["guest", "check_in", "check_out", "guests"]
    assert checked["problems"] == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"check_in": "asap"}, "check_in: \"asap\" is no date: write the date like 2026-12-03"),
        (
            {"check_in": "12/3"},
            "check_in: \"12/3\" can be read with the month or the day first: write the date like 2026-12-03",
        ),
        (
            {"check_out": "2026-12-03"},
            "check_out: must be later than check_in (2026-12-03), not 2026-12-03: give a later date",
        ),
        (
            {"check_in": "12월 9일", "check_out": "2026-12-05"},
            "check_out: must be later than check_in (2026-12-09), not 2026-12-05: give a later date",
        ),
        ({"check_out": 'the 5" x'}, 'check_out: "the 5” x" is no date: write the date like 2026-12-03'),
        ({"guests": "many"}, "guests: \"many\" is no number: write digits, like 2"),
        ({"guests": 2.5}, "guests: 2.5 is not of type 'integer'"),
        ({"guests": True}, "guests: True is not of type 'integer'"),
        ({"guests": 0}, "guests: 0 is less than the minimum of 1"),
        ({"guests": 2**70}, "guests: is too large"),
        ({"room_type": "펜트하우스"}, 'room_type: "펜트하우스" is none of standard, deluxe, suite'),
        ({"guest": 7}, "guest: 7 is not of type 'string'"),
        ({"guest": "Kim\x00"}, "guest: \"Kim\\u0000\" holds U+0000, which cannot be stored: leave it out"),
        (
            {"vip": True},
            '"vip": no such argument of book_room; it takes hotel, guest, check_in, check_out, guests, room_type',
        ),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line(change: dict[str, Any], problem: str) -> None:
    assert BOX.check("book_room", {**BOOKING, **change})["problems"] == [problem]


def test_a_stay_without_a_beginning_or_with_one_that_cannot_be_read_is_not_called_too_short() -> None:
    checked = BOX.check("book_room", {**BOOKING, "check_in": "asap"})
    assert checked["problems"] == ['check_in: "asap" is no date: write the date like 2026-12-03']
    assert BOX.check("search_hotels", {"city": "서울", "check_out": "2026-12-03"})["problems"] == []


def test_an_unknown_tool_fails_closed() -> None:
    checked = BOX.check("drop_tables", {"x": 1})
    assert checked["args"] == {"x": 1}
    assert "unknown tool" in checked["problems"][0]
    assert "will not run" in BOX.describe("drop_tables", {"x": 1}, "en")
    assert "실행되지 않습니다" in BOX.describe("drop_tables", {}, "ko")
    with pytest.raises(UserError, match="nothing was run"):
        BOX.run("drop_tables", {"x": 1}, key="k")
    unsettled = BOX.settled("drop_tables", "k")
    assert unsettled is not None
    assert unsettled["status"] == "in_doubt"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
spoken = st.sampled_from(
    ["12월 3일", "5일", "tomorrow", "2명", "180,000원", "디럭스", "2박", "next friday", " Standard ", "1e9"]
)


@settings(deadline=None)  # the machine may be busy
@given(
    st.sampled_from([spec["name"] for spec in BOX.offered()] + ["nothing"]),
    st.dictionaries(
        st.sampled_from(sorted({p for s in BOX.offered() for p in s["parameters"]["properties"]}))
        | st.text(max_size=4),
        values | spoken,
        max_size=6,
    ),
)
def test_check_never_raises_and_is_idempotent(name: str, args: dict[str, Any]) -> None:
    once = BOX.check(name, args)
    twice = BOX.check(name, once["args"])
    assert json.dumps(twice["args"]) == json.dumps(once["args"])
    for language in ("ko", "en"):
        sentence = BOX.describe(name, once["args"], language)
        assert len(sentence.splitlines()) == 1
        assert BOX.tell(name, args, language)
    if name != "nothing" and not once["problems"] and not once["missing"]:
        json.dumps(once["args"], allow_nan=False)


def test_schema_version_changes_with_the_schema_only() -> None:
    def tool(**properties: Any) -> Toolbox:
        schema = {"type": "object", "properties": properties, "required": []}
        return Toolbox([StructuredTool(name="t", description="d", args_schema=schema, func=lambda **k: k)])

    one = tool(a={"type": "integer"}, b={"type": "string"}).offered()[0]["schema_version"]
    assert one == tool(b={"type": "string"}, a={"type": "integer"}).offered()[0]["schema_version"]
    assert one != tool(a={"type": "number"}, b={"type": "string"}).offered()[0]["schema_version"]


def test_choices_keep_the_titles_by_which_people_name_them() -> None:
    express = {"const": "express", "title": "빠른 배송"}
    schema = {"type": "object", "title": "Order", "properties": {}, "required": []}
    schema["properties"] = {"way": {"title": "Way", "oneOf": [express, {"const": "slow"}]}, "n": {"title": "N"}}
    box = Toolbox([StructuredTool(name="t", description="d", args_schema=schema, func=lambda **k: k)])
    assert box.offered()[0]["parameters"]["properties"] == {"way": {"oneOf": [express, {"const": "slow"}]}, "n": {}}
    assert box.check("t", {"way": "express"})["problems"] == []
    assert box.check("t", {"way": "fast"})["problems"] != []


def test_a_remote_reference_in_a_schema_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: fetched.append(a))
    schema = {"type": "object", "properties": {"a": {"$ref": "http://example.invalid/s.json"}}, "required": []}
    box = Toolbox([StructuredTool(name="t", description="d", args_schema=schema, func=lambda **k: k)])
    assert box.check("t", {"a": 1})["problems"] == [
        'a: its schema refers to "http://example.invalid/s.json", which is not here'
    ]
    assert fetched == []


def test_an_empty_text_is_a_value_only_where_the_schema_takes_one() -> None:
    schema = {"type": "object", "properties": {"street": {"type": "string"}, "line2": {"type": "string"}}}
    schema["required"] = ["street", "line2"]
    foreign = StructuredTool(name="move", description="Move.", args_schema=schema, func=lambda **args: None)
    checked = Toolbox([foreign]).check("move", {"street": "Main 1", "line2": ""})
    assert (checked["args"], checked["missing"]) == ({"street": "Main 1", "line2": ""}, [])
    assert Toolbox.open().check("find_booking", {"booking_id": " "})["missing"] == ["booking_id"]


@pytest.mark.parametrize("words", ["3/4", "next friday", "soon", "곧"])
def test_words_that_mean_no_certain_date_are_unclear(words: str) -> None:
    checked = Toolbox.open(today=lambda: date(2026, 11, 22)).check("search_hotels", {"city": "서울", "check_in": words})
    assert checked["unclear"] == ["check_in"]
    assert len(checked["problems"]) == 1


def test_a_wrong_type_is_no_matter_of_clearer_words() -> None:
    checked = Toolbox.open().check("search_hotels", {"city": ["서울"]})
    assert (checked["unclear"], len(checked["problems"])) == ([], 1)
