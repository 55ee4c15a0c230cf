"""What a line of a call may say: the model's probabilities, and what the words of the request rule out."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.forms.values import Start, property_of
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
    assert followed("copies", unsure, asked) == {5: 1.0}, "however sure the model is that nothing was said"
    assert set(followed("copies", [(0.9, 12), (0.1, 7)], asked)) == {7}, "twelve are the pages"
    assert followed("copies", [(1.0, 12)], asked) == {None: 1.0}


def test_a_time_of_day_gives_no_number_but_to_an_argument_of_hours() -> None:
    asked = Turn("user", "at 22:45 please")
    assert followed("copies", [(0.6, 22), (0.4, None)], asked) == {None: 1.0}
    call = tool("ring", {"hour": {"type": "integer"}}, ["hour"])
    assert Request(call, [asked]).options("hour", {"type": "integer"}, [(0.6, 22), (0.4, None)], {})[0] == (0.6, 22)


def test_a_number_of_a_request_that_was_answered_is_nobodys_any_more() -> None:
    turns = Turn("user", "copies 5"), Turn("ipython", "done"), Turn("user", "another one please")
    assert followed("copies", [(0.9, None), (0.1, 5)], *turns) == {None: 0.9, 5: 0.1}


def test_a_choice_that_was_named_is_meant() -> None:
    found: Options = [(0.7, "slow"), (0.2, None), (0.1, "fast")]
    assert max((p, v) for v, p in followed("way", found, Turn("user", "빠른 배송으로요")).items())[1] == "fast"
    assert followed("way", found, Turn("user", "보내 주세요")) == {"slow": 0.7, None: 0.2, "fast": 0.1}


def test_a_word_that_many_things_have_says_which_choice_but_not_whether_any() -> None:
    found: Options = [(0.6, None), (0.3, "open"), (0.1, "closed")]
    asked = Turn("user", "Is it closed? Please look")
    spec: dict[str, Any] = {"enum": ["open", "closed"]}
    optional = tool("look", {"state": spec}, [])
    told = {v: p for p, v in Request(optional, [asked]).options("state", spec, found, {})}
    assert told == {None: 0.6, "closed": pytest.approx(0.4, abs=0.002)}
    required = tool("look", {"state": spec}, ["state"])
    told = {v: p for p, v in Request(required, [asked]).options("state", spec, found, {})}
    assert told["closed"] > 0.99


LETTER = tool("send", {"recipient": {"type": "string"}, "file_name": {"type": "string"}}, ["recipient"])


def of_letter(name: str, found: Options, text: str) -> dict[JSON, float]:
    return {v: p for p, v in Request(LETTER, [Turn("user", text)]).options(name, {"type": "string"}, found, {})}


def test_words_that_stand_beside_the_name_of_an_argument_are_its_own_and_no_others() -> None:
    text = "file name: Plan B\nrecipient: Emma"
    assert of_letter("recipient", [(0.6, None), (0.3, "Plan B"), (0.1, "Emma")], text)["Emma"] > 0.99
    assert set(of_letter("file_name", [(0.6, None), (0.4, "Emma")], "The recipient should be Emma")) == {None}
    found: Options = [(0.9, "Plan B recipient"), (0.1, "Plan")]
    assert of_letter("file_name", found, text) == {"Plan B": 1.0}, "a line of a form is a value, however unlikely"
    told = of_letter("recipient", [(0.6, None), (0.3, "Bob"), (0.1, "Emma")], "The recipient is Emma, says Bob")
    assert told == {None: 0.6, "Emma": pytest.approx(0.4, abs=0.002)}, "what is said of it may be anything"


def test_a_text_begins_beside_the_name_of_its_argument() -> None:
    starts = [Start([1], [(1, "Emma")]), Start([2], [(1, "Plan"), (2, "Plan B")])]
    request = Request(LETTER, [Turn("user", "Emma, file name: Plan B")])
    assert request.begins("file_name", starts) == starts[1:]
    assert request.begins("recipient", starts) == starts
    assert request.begins("file_name", starts[:1]) == starts[:1], "elsewhere, where nothing begins there"


def test_the_choice_beside_the_name_of_its_argument_is_meant() -> None:
    size: dict[str, Any] = {"enum": ["small", "large"]}
    drink = tool("order", {"size": size, "cup_size": size}, [])
    asked = Turn("user", "cup size: small, and a large one")
    found: Options = [(0.6, None), (0.3, "large"), (0.1, "small")]
    told = {v: p for p, v in Request(drink, [asked]).options("cup_size", size, found, {})}
    assert told["small"] > 0.99


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
