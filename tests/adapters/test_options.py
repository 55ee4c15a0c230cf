"""What a line of a call may say: the model's probabilities, and what the words of the request rule out."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.forms.values import property_of
from adapters.prompt import Turn
from adapters.speakers.options import DOUBT, Options, Request, probabilities
from nodes.wording import say
from state import JSON
from tests.adapters.tiny import tool

WAY: JSON = {"oneOf": [{"const": "slow", "title": "일반 배송"}, {"const": "fast", "title": "빠른 배송"}]}
ORDER = tool(
    "order",
    {
        "copies": {"type": "integer"}, "pages": {"type": "integer"}, "way": WAY,
        "sent": {"type": "string", "format": "date"}, "name": {"type": "string"},
    },
    ["copies", "pages"],
)  # fmt: skip


def followed(name: str, found: Options, *turns: Turn, values: dict[str, JSON] | None = None) -> dict[JSON, float]:
    """The values of an argument that are followed, with their probabilities."""
    spec: dict[str, Any] = dict(property_of(ORDER["parameters"]))[name]
    return {value: p for p, value in Request(ORDER, turns).options(name, spec, found, values or {})}


def test_a_number_that_was_said_for_an_argument_is_its_own_and_no_others() -> None:
    asked = Turn("user", "pages 12, copies 5, and 7")
    unsure: Options = [(0.6, None), (0.2, 12), (0.1, 5), (0.1, 7)]
    assert followed("copies", unsure, asked) == {5: pytest.approx(1, abs=0.02), None: pytest.approx(0.006, abs=0.001)}
    assert set(followed("copies", [(0.9, 12), (0.1, 7)], asked)) == {7}, "twelve are the pages"
    assert followed("copies", [(1.0, 12)], asked) == {None: 1.0}


def test_a_number_of_a_request_that_was_answered_is_nobodys_any_more() -> None:
    turns = Turn("user", "copies 5"), Turn("ipython", "done"), Turn("user", "another one please")
    assert followed("copies", [(0.9, None), (0.1, 5)], *turns) == {None: 0.9, 5: 0.1}


def test_a_choice_that_was_named_is_meant() -> None:
    found: Options = [(0.7, "slow"), (0.2, None), (0.1, "fast")]
    assert max((p, v) for v, p in followed("way", found, Turn("user", "빠른 배송으로요")).items())[1] == "fast"
    assert followed("way", found, Turn("user", "보내 주세요")) == {"slow": 0.7, None: 0.2, "fast": 0.1}


def test_a_date_that_is_left_over_is_meant_unless_the_gate_could_not_read_it() -> None:
    asked = Turn("user", "Send it on December 3")
    assert followed("sent", [(0.9, None), (0.1, "December 3")], asked)["December 3"] > 0.9
    turns = asked, Turn("assistant", say("ask_unclear", "en", value="December 3", name="sent")), Turn("user", "soon")
    assert set(followed("sent", [(0.9, None), (0.1, "December 3")], *turns)) == {None}


def test_words_that_are_taken_and_dates_do_not_stand_elsewhere_and_nothing_is_left_then() -> None:
    asked = Turn("user", "for Emma Lee on December 3")
    assert followed("name", [(0.8, "December 3"), (0.2, "Emma Lee")], asked) == {"Emma Lee": 0.2}
    assert followed("name", [(1.0, "Emma Lee")], asked, values={"guest": "Emma Lee"}) == {None: DOUBT}


def test_values_share_what_nothing_leaves_them() -> None:
    assert probabilities(0.4, []) == [(1.0, None)]
    (first, value), *rest = probabilities(0.25, [(-1.0, "a"), (-1.0, "b")])
    assert value == "a"
    assert first == pytest.approx(0.375)
    assert sum(p for p, _ in rest) + first == pytest.approx(1)
