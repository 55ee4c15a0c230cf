"""Which values can stand in an argument at all: dates, numbers, choices, and spans of what was said."""

from __future__ import annotations

from time import monotonic, process_time
from typing import Any

import pytest

from adapters.forms.values import Spans, choices, doubted, of_date, property_of, used_up
from adapters.local.engine import Engine
from adapters.prompt import Turn
from nodes.wording import say

REQUEST = "남산스테이에 2명, 12월 3일부터 예약해 주세요"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "integer", "minimum": 2}, [2]),
        ({"type": "string", "format": "date"}, ["12월 3일"]),
        ({"enum": ["a", None]}, ["a"]),
        ({"type": "boolean"}, [True, False]),
        ({"type": "array"}, []),
        ({"type": "string"}, None),
    ],
)
def test_what_can_stand_in_an_argument(spec: dict[str, Any], expected: list[Any] | None) -> None:
    found = choices(spec, [REQUEST])
    assert found == expected or sorted(found or []) == sorted(expected or [])


@pytest.mark.parametrize(
    ("text", "integers", "numbers"),
    [
        ("refund 50.50 won for booking BK-2041", [], [50.5]),
        ("refund 12.50 for booking NS-2041", [], [12.5]),
        ("$12.50", [], [12.5]),
        ("1.5", [], [1.5]),
        ("1,250.50 won", [], [1250.5]),
        ("50.00 won", [50], [50]),
        ("12월 3~5일 2명", [2], [2]),
        ("12.3부터 12.5.2026까지 2명", [2], [12.3, 2]),
        ("비용 120일", [120], [120]),
        ("12월 3일부터 3박, 10만 원", [100000], [100000]),
        ("5백만원 환불, 예약 BK-2041", [5000000], [5000000]),
        ("call 010 1234 5678 for two rooms", [2], [2]),
    ],
)
def test_a_number_is_never_a_part_of_a_decimal_a_date_or_a_code(
    text: str, integers: list[int], numbers: list[float]
) -> None:
    assert choices({"type": "integer"}, [text]) == integers
    assert choices({"type": "number"}, [text]) == numbers


def test_optional_types_and_references_are_resolved() -> None:
    schema: Any = {
        "properties": {
            "a": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "b": {"$ref": "#/$defs/B"},
            "c": {"type": ["string", "null"]},
        },
        "$defs": {"B": {"enum": ["x"]}},
    }
    assert [spec.get("type", spec.get("enum")) for _, spec in property_of(schema)] == ["integer", ["x"], "string"]


def test_a_schema_that_is_only_true_or_false_says_nothing() -> None:
    schema: Any = {
        "properties": {
            "a": True,
            "b": False,
            "c": {"anyOf": [{"type": "null"}, True]},
            "d": {"allOf": [True]},
            "e": {"$ref": "#/$defs/E"},
            "f": {"$ref": "#/$defs/E/G"},
        },
        "$defs": {"E": True},
    }
    assert [spec for _, spec in property_of(schema)] == [{}] * 6
    assert choices({}, [REQUEST]) is None, "it is copied like any text"


def test_spans_begin_at_words_and_continue_the_shorter_ones(engine: Engine) -> None:
    found = Spans(engine.encode, ["for Emma Lee, at (Namsan Stay)"]).starts(120)
    spans = {text for start in found for _, text in start.ends}
    assert {"Emma", "Emma Lee", "Namsan Stay"} <= spans
    assert not any(span.startswith(("mma", ",")) for span in spans)
    for start in found:
        assert [count for count, _ in start.ends] == sorted({count for count, _ in start.ends})


def test_what_is_said_once_is_said_for_one_argument() -> None:
    said = ["from May 3 to May 5"]
    assert used_up("May 3", {"check_in": "May 3"}, said)
    assert not used_up("May 5", {"check_in": "May 3"}, said)
    assert not used_up("May 3", {"check_in": "May 3"}, [*said, "and May 3 again"])
    assert not used_up(2, {"guests": 2}, said)
    assert used_up("Seoul", {"hotel": "Seoul Inn"}, ["at Seoul Inn"])
    assert used_up("Seoul Inn", {"city": "Seoul"}, ["at Seoul Inn"])
    assert not used_up("Seoul", {"hotel": "Seoul Inn"}, ["at Seoul Inn in Seoul"])


def test_a_day_of_a_range_is_said_once_for_one_argument() -> None:
    said = ["3-13 December"]
    assert not used_up("13 December", {"check_in": "3 December"}, said)
    assert used_up("3 December", {"check_in": "3 December"}, ["3-5 December"])
    assert of_date("3-13", ["3-13 December"], said)


def test_what_is_said_in_dates_only_is_a_part_of_a_date() -> None:
    said = ["남산스테이에 12월 3일부터 5일까지, 12월호텔 말고"]
    dates = ["12월 3일", "5일"]
    assert of_date("3일", dates, said)
    assert of_date("5", dates, said)
    assert not of_date("12월", dates, said), "said in a name, too"
    assert not of_date("남산스테이", dates, said)
    assert not of_date(3, dates, said)


def spans_of(texts: list[str], done: int) -> set[str]:
    found = Spans(lambda text: list(text.encode()), texts, done=done).starts(0)
    return {value for start in found for _, value in start.ends}


def test_a_booking_of_a_call_that_is_done_is_not_meant_where_another_one_is_named() -> None:
    done = ["Find BK-2041 for kim@mail.co.kr", "Booking BK-2041 of Mina Kim, room 12"]
    named = spans_of([*done, "Now cancel HT-777 of Mina Kim"], 2)
    assert "HT-777" in named
    assert "BK-2041" not in named
    assert {"Mina Kim", "kim@mail.co.kr"} <= named, "of another kind nothing was named"
    assert "BK-2041" in spans_of([*done, "Now cancel it and text 010-1234-5678"], 2), "a telephone is no booking"
    assert "BK-2041" in spans_of([*done, "Cancel BK-2041, not HT-777"], 2), "said again"
    assert "BK-2041" in spans_of([*done, "Cancel HT-777"], 0), "nothing was done yet"
    addressed = spans_of([*done, "Write lee@mail.com"], 2)
    assert "kim@mail.co.kr" not in addressed
    assert "BK-2041" in addressed


def test_an_at_sign_before_a_name_is_no_part_of_it() -> None:
    assert "@lee@mail.com" not in (found := spans_of(["to @lee@mail.com and @Simon Gert"], 0))
    assert {"lee@mail.com", "Simon Gert"} <= found
    assert not any(value.startswith("@") for value in found)


def test_an_address_is_copied_whole(engine: Engine) -> None:
    found = Spans(engine.encode, ["write kim15@mail.co.kr, then BK-2041에 Yuna-Lee"]).starts(120)
    spans = {text for start in found for _, text in start.ends}
    assert {"kim15@mail.co.kr", "BK-2041", "Yuna-Lee"} <= spans
    assert not spans & {"kim", "kim15", "15@mail.co.kr", "mail", "BK", "2041", "Yuna", "Lee"}


def test_a_name_ends_before_the_korean_word_for_is() -> None:
    def ends(text: str) -> set[str]:
        return {value for start in Spans(lambda t: list(t.encode()), [text]).starts(0) for _, value in start.ends}

    found = ends("이름은 곽성별이에요")
    assert "곽성별" in found
    assert not {"곽성별이", "곽성별이에"} & found
    assert "김이" in ends("김이 님"), "a name may end so"
    assert "하나이" in ends("하나이고"), "after an open syllable nobody says 이고"


def test_no_value_ends_in_a_word_after_which_something_comes() -> None:
    text = "Say the bus and the tram are late, because of snow. An Hui and my mother"
    found = {value for start in Spans(lambda t: list(t.encode()), [text]).starts(0) for _, value in start.ends}
    assert not {"the", "the bus and", "the bus and the", "are late, because", "An Hui and", "An Hui and my"} & found
    assert {"the bus", "the bus and the tram are late", "An Hui", "An Hui and my mother"} <= found
    assert not {"The", "Near The"} & values_of("Near The Hilltop Inn"), "a name's article, too"
    assert "Block A" in values_of("Block A or B")


def values_of(text: str) -> set[str]:
    return spans_of([text], 0)


def test_no_value_begins_before_a_quotation_and_ends_inside() -> None:
    found = values_of("Write Chloe Brt and 'Bring your friends' along, it's fun' to all of the guests")
    assert {"Bring your friends", "Chloe Brt", "all of the guests", "it's fun"} <= found
    assert not {"Chloe Brt and 'Bring", "Write Chloe Brt and 'Bring your friends"} & found
    found = values_of("김이 님께 “아침밥은 6시부터”라고 전해 주세요")
    assert {"김이", "아침밥은 6시부터"} <= found
    assert not any(value.startswith("김이 님께 “") and "”" not in value for value in found)
    assert "The guests' room" in values_of("The guests' room was cold"), "an apostrophe opens nothing"


def test_quotation_marks_that_never_close_cost_no_time() -> None:
    begun = monotonic()
    assert "x" in values_of("x" + " 'abcd" + "'abcd" * 60)
    assert monotonic() - begun < 20, "a pattern that tries all ways would take for ever"


@pytest.mark.parametrize(("piece", "count"), [("'a' ", 1_000), ("'a b' ", 1_000), ("the ", 2_000)])
def test_a_long_text_of_quotations_or_of_words_that_end_nothing_is_cut_in_time(piece: str, count: int) -> None:
    begun = process_time()
    assert "Emma Lee" in values_of(piece * count + "Emma Lee")
    assert process_time() - begun < 10, "of this process alone, so that a busy machine makes no difference"


def test_what_the_gate_could_not_read_and_asked_about_is_not_meant() -> None:
    asked = Turn("assistant", say("ask_unclear", "en", value="next Friday", name="check_in"))
    turns = [Turn("user", "from next Friday to May 5"), asked]
    assert doubted(turns) == {"next Friday"}
    assert doubted([*turns, Turn("user", "May 3 then")]) == {"next Friday"}
    assert doubted([*turns, Turn("user", "as I said, next Friday")]) == set()
    assert doubted([Turn("assistant", say("ask_unclear", "ko", value="금요일", name="check_in"))]) == {"금요일"}
    assert doubted([Turn("assistant", "“May 3” was the day of the opening.")]) == set()
