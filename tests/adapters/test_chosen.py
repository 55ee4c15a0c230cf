"""Which of its choices somebody said: by a title, a synonym, a common word or its value; one, and no part of a word."""

from __future__ import annotations

import pytest

from adapters.forms.chosen import Choice, said_choice
from adapters.forms.lexicon import choice_words
from adapters.forms.values import SYNONYMS, TITLED, choices, property_of
from state import JSON

SHIPPING: JSON = {
    "oneOf": [
        {"const": "standard", "title": "일반 배송"},
        {"const": "express", "title": "빠른 배송"},
        {"const": "pickup", "title": "방문 수령"},
    ]
}
[(_, TITLES)] = property_of({"properties": {"shipping": SHIPPING}})
STATUS = {"enum": ["open", "on_hold", "closed"]}


def test_a_choice_among_constants_is_all_of_them() -> None:
    assert choices(TITLES, []) == ["standard", "express", "pickup"]
    [(_, optional)] = property_of({"properties": {"x": {"anyOf": [{"const": 1}, {"const": 2}, {"type": "null"}]}}})
    assert choices(optional, []) == [1, 2]
    assert optional[TITLED] == []
    [(_, lists)] = property_of({"properties": {"x": {"anyOf": [{"enum": ["a", "b"]}, {"const": "c"}]}}})
    assert choices(lists, []) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("빠른 배송으로 보내 주세요", "express"),
        ("빠른배송이요", "express"),
        ("방문 수령할게요", "pickup"),
        ("방문 수령 말고 빠른 배송으로요", None),  # two were said
        ("배송해 주세요", None),
        ("안 빠른 배송사", "express"),
        ("재빠른 배송", None),  # another word
    ],
)
def test_a_title_that_was_said_is_meant(text: str, choice: JSON) -> None:
    assert said_choice(TITLES, [text]) == (Choice(choice, named=True) if choice else None)


def test_a_bare_value_is_said_but_may_be_any_word() -> None:
    assert said_choice(TITLES, ["express"]) == Choice("express", named=False)
    assert said_choice(TITLES, ["express, 빠른 배송"]) == Choice("express", named=True)


def test_a_synonym_that_the_tool_declares_is_meant() -> None:
    [(_, spec)] = property_of(
        {
            "properties": {
                "room": {"anyOf": [STATUS, {"type": "null"}], SYNONYMS: {"열린 것": "open", "문 닫음": "closed"}}
            }
        }
    )
    assert said_choice(spec, ["문닫음으로 해 줘요"]) == Choice("closed", named=True)
    assert said_choice(spec, ["열린 것 말고 문 닫음이요"]) is None
    [(_, strange)] = property_of({"properties": {"room": {**STATUS, SYNONYMS: ["문 닫음"]}}})
    assert said_choice(strange, ["문 닫음"]) is None, "a mark that is none says nothing"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("tuesday", "화요일로 옮겨 주세요"),
        ("same_day", "당일배송으로요"),
        ("Credit Card", "신용카드로 낼게요"),
        ("high", "우선순위 높음"),
    ],
)
def test_what_korean_commonly_calls_a_choice_is_said(value: str, text: str) -> None:
    assert said_choice({"enum": ["something else", value]}, [text]) == Choice(value, named=False)
    assert choice_words(value)
    assert choice_words("no such value") == ()


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("set it to on hold please", "on_hold"),
        ("On-hold, please", "on_hold"),
        ("The case is closed.", "closed"),
        ("It was disclosed", None),
        ("opened and closed", "closed"),
        ("open or closed?", None),
    ],
)
def test_a_value_is_said_in_its_own_words(text: str, choice: JSON) -> None:
    assert said_choice(STATUS, [text]) == (Choice(choice, named=False) if choice else None)


def test_a_longer_title_is_not_a_shorter_one_as_well() -> None:
    spec = {"enum": ["delivery", "same_day"], TITLED: [("delivery", "배송"), ("same_day", "당일 배송")]}
    assert said_choice(spec, ["당일 배송 부탁해요"]) == Choice("same_day", named=True)
    assert said_choice(spec, ["배송 부탁해요"]) == Choice("delivery", named=True)
    assert said_choice({"enum": ["a", "b"]}, ["a room"]) is None, "one letter says nothing"
