"""Which of its choices somebody said: by a title or by its value, one alone, and not by a part of a word."""

from __future__ import annotations

import pytest

from adapters.forms.chosen import said_choice
from adapters.forms.values import TITLED, choices, property_of
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
        ("express", None),  # not required: a bare value may be any word
    ],
)
def test_a_title_that_was_said_is_meant(text: str, choice: JSON) -> None:
    assert said_choice(TITLES, [text], required=False) == choice


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
def test_the_value_of_what_is_required_is_meant_by_its_own_words(text: str, choice: JSON) -> None:
    assert said_choice(STATUS, [text], required=True) == choice
    assert said_choice(STATUS, [text], required=False) is None


def test_a_longer_title_is_not_a_shorter_one_as_well() -> None:
    spec = {"enum": ["delivery", "same_day"], TITLED: [("delivery", "배송"), ("same_day", "당일 배송")]}
    assert said_choice(spec, ["당일 배송 부탁해요"], required=False) == "same_day"
    assert said_choice(spec, ["배송 부탁해요"], required=False) == "delivery"
    assert said_choice({"enum": ["a", "b"]}, ["a room"], required=True) is None, "one letter says nothing"
