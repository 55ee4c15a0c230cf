"""For which argument a number was said: the one whose word stands by it, and nobody where that does not tell."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forms.labelled import owned
from state import ToolSpec
from tests.adapters.tiny import tool

NAMES = ["copies", "page_count", "floor", "unit_price", "bicycles", "days"]


def numbers(*names: str, name: str = "do_it", **described: str) -> ToolSpec:
    """A tool whose arguments are all whole numbers."""
    properties: dict[str, Any] = {n: {"type": "integer"} for n in names}
    properties |= {n: {"type": "integer", "description": words} for n, words in described.items()}
    return tool(name, properties, list(properties))


@pytest.mark.parametrize(
    ("names", "text", "wanted"),
    [
        (["bicycles", "days"], "2 bicycles for 3 days please", {"bicycles": {2}, "days": {3}}),
        (["copies", "page_count"], "copies 5 pages 12", {"copies": {5}, "page_count": {12}}),
        (["copies", "page_count"], "5 copies, 12 pages", {"copies": {5}, "page_count": {12}}),
        (["floor", "table_no"], "47,000 as table and floor: 39000", {"table_no": {47_000}, "floor": {39_000}}),
        (["page_count", "temperature"], "14,000 as the number of pages", {"page_count": {14_000}}),
        (["days", "page_count"], "at 16:15 for the number of days 13", {"days": {13}}),
        (["unit_price", "passengers"], "4 passengers, 18 as the unit price", {"passengers": {4}, "unit_price": {18}}),
        (["unit_price", "total_price"], "the price is 18", {}),  # both are prices
        (["copies", "page_count"], "pages 5 copies", {}),  # five of either
        (["copies", "page_count"], "5 pages 12 copies", {"copies": {12}, "page_count": {5}}),
        (["guests"], "a room guest Emma Trel", {}),
        (["bicycles"], "for 2 people", {}),
        (["bicycles"], "bicycles are nice, and I have 2 children", {}),
        (["nights"], "booking BK-2041 nights", {}),
        (["page_count", "copies"], "쪽수는 12, 부수는 5로요", {"page_count": {12}, "copies": {5}}),
        (["floor", "unitPrice"], "층수 값은 28000이고 단가 4천원", {"floor": {28_000}, "unitPrice": {4000}}),
        (["attendees", "party_size"], "인원수 4명에 참석 인원은 96명", {"party_size": {4}, "attendees": {96}}),
        (["months", "floor"], "7(개월 수) 층수(3)", {"months": {7}, "floor": {3}}),
        (["chairs"], "의자 20개요", {"chairs": {20}}),
        (["unit_price", "price"], "가격은 300원", {"price": {300}}),
        (["floor"], "계층수가 3이라", {}),  # another word
        (["budget"], "371,000 won as the budget by 5", {"budget": {371_000}}),
        (["nights"], "nights 22:45", {}),
    ],
)
def test_a_number_is_for_the_argument_whose_word_stands_by_it(
    names: list[str], text: str, wanted: dict[str, set[int]]
) -> None:
    assert owned(numbers(*names), [text]).of == wanted


def test_words_of_the_tool_say_nothing() -> None:
    found = owned(numbers("refund_amount", name="issue_refund"), ["Refund 2 towels"])
    assert found.of == {}
    assert found.free == {2}


def test_a_short_description_names_an_argument_in_the_words_of_its_users() -> None:
    rent = numbers(bikes="빌릴 자전거 수", days="대여 일수")
    assert owned(rent, ["자전거 2대를 빌려 주세요. 일수는 5일입니다."]).of == {"bikes": {2}, "days": {5}}
    assert owned(rent, ["자전거는 두 대로 해 주세요"]).of == {"bikes": {2}}
    long = numbers(bikes="How many bicycles to take along, at most as many as there are people")
    assert owned(long, ["We are 4 people"]).of == {}, "words of a sentence stand beside anything"


def test_what_is_said_twice_with_and_without_a_word_is_anybodys() -> None:
    found = owned(numbers("copies", "floor"), ["3 copies", "It is 3, I think"])
    assert found.of == {"copies": {3}}
    assert found.free == {3}


@given(
    st.lists(
        st.tuples(st.integers(2, 99_999), st.sampled_from(NAMES)), min_size=1, max_size=5, unique_by=lambda x: x[1]
    ),
    st.booleans(),
)
def test_every_number_with_its_word_is_found(said: list[tuple[int, str]], before: bool) -> None:
    words = {name: name.replace("_count", "s").replace("_", " ") for name in NAMES}
    text = ", ".join(f"{words[name]} {n}" if before else f"{n} {words[name]}" for n, name in said)
    assert owned(numbers(*NAMES), [text]).of == {name: {n} for n, name in said}


@given(st.lists(st.text(alphabet="abc12 ,.:=수부 원", max_size=30), max_size=3))
def test_nothing_said_is_lost(texts: list[str]) -> None:
    from adapters.numerals import numbers_in

    found = owned(numbers("ab", "수부", "c"), texts)
    assert {n.value for text in texts for n in numbers_in(text)} == found.free.union(found.clock, *found.of.values())


def test_a_long_message_takes_no_time() -> None:
    begun = process_time()
    owned(numbers(*NAMES), ["3 copies of it " * 2_000])
    assert process_time() - begun < 5
