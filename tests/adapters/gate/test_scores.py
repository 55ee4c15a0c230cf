"""One reply against what a person made of the point: the same in another form, how far away, said again, grounded."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.gate.replies import Reply
from adapters.gate.scores import METRICS, distance, reply_of, scores
from adapters.prompt import ASK_USER
from tests.adapters.gate.held import READS, decided, held
from tests.flywheel.made import ARGS
from tests.graph.parts import passage

ASKED = "Namsan Stay for two, from December 3, room 12, at 7 to 10"
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)

ARGUMENTS = st.dictionaries(st.sampled_from(["hotel", "guests", "room_type"]), WORDS | st.integers(0, 99), max_size=3)


def reply(tool: str = "book_room", text: str = "", **args: Any) -> Reply:
    return Reply(tool=tool, args=args, text=text, cited=[], sources=[], abstained=False, error="", seconds=0.5)


def of(point: Any, said: Reply) -> dict[str, float | None]:
    got = scores(point, said, READS)
    assert set(got) == set(METRICS)
    return got


def test_what_was_approved_is_wanted_again_and_nothing_says_what_to_avoid() -> None:
    point = held(2)
    got = of(point, reply(**ARGS))
    assert (got["match"], got["match_exact"], got["distance"], got["valid"]) == (1, 1, 0, 1)
    assert (got["repeated"], got["abstention"], got["seconds"]) == (None, None, 0.5)
    other = of(point, reply(**{**ARGS, "hotel": "Han River"}))
    assert (other["match"], other["match_exact"]) == (0, 0)
    assert other["distance"] is not None
    assert 0 < other["distance"] < 0.5


def test_what_was_edited_is_wanted_and_what_was_proposed_is_not() -> None:
    point = held(2, "edit", edited={**ARGS, "guests": 9})
    assert [of(point, reply(**{**ARGS, "guests": n}))["match"] for n in (9, 2, 3)] == [1, 0, 0]
    assert [of(point, reply(**{**ARGS, "guests": n}))["repeated"] for n in (9, 2, 3)] == [0, 1, 0]


def test_an_edit_to_another_form_of_the_same_leaves_nothing_to_repeat() -> None:
    point = held(2, "edit", request=ASKED, args={"check_in": "December 3"}, edited={"check_in": "2026-12-03"})
    got = of(point, reply(check_in="December 3"))
    assert (got["match"], got["repeated"]) == (1, 0)


def test_of_what_was_rejected_only_saying_it_again_is_known() -> None:
    got = of(held(2, "reject"), reply(**ARGS))
    assert (got["match"], got["distance"], got["repeated"]) == (None, None, 1)
    assert of(held(2, "reject"), reply(**{**ARGS, "hotel": "Han River"}))["repeated"] == 0


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"check_in": "2026-12-03"}, {"check_in": "December 3"}),
        ({"check_in": "12월 3일"}, {"check_in": "2026-12-03"}),
        ({"guests": 2}, {"guests": "두 명"}),
        ({"amount": 185_000}, {"amount": "18만 5천원"}),
        ({"amount": 185_000}, {"amount": "185,000"}),
        ({"hotel": "남산 스테이"}, {"hotel": unicodedata.normalize("NFD", "남산 스테이")}),
        ({"hotel": "Namsan Stay"}, {"hotel": " namsan  STAY"}),
        ({"hotel": "x"}, {"hotel": "x", "room_type": None}),
    ],
)
def test_another_form_is_the_same_call_but_not_to_the_sign(wanted: Any, said: Any) -> None:
    got = of(held(2, args=wanted, request=ASKED), reply(**said))
    assert (got["match"], got["match_exact"], got["distance"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"check_in": "2026-12-03"}, {"check_in": "December 4"}),
        ({"id": "0042"}, {"id": "42"}),
        ({"guests": 2}, {}),
        ({"hotel": "남산"}, {"hotel": "남선"}),
    ],
)
def test_what_differs_is_no_match(wanted: Any, said: Any) -> None:
    assert of(held(2, args=wanted, request=ASKED), reply(**said))["match"] == 0


def test_a_question_is_the_same_by_what_it_is_about() -> None:
    point = held(1, "answer", clarification="Which day?", about="book_room.check_in", message="3 May")
    asked = reply(ASK_USER, about="book_room.check_in", question="When do you come?")
    got = of(point, asked)
    assert (got["match"], got["match_exact"], got["valid"]) == (1, 0, 1)
    assert of(point, reply(ASK_USER, about="book_room.hotel", question="Where?"))["match"] == 0
    assert of(point, reply(ASK_USER, about="book_room.moon", question="Where?"))["valid"] == 0


def test_an_answer_is_compared_by_its_words_and_where_they_stand() -> None:
    text = "Breakfast is from 7 to 10. [1]"
    point = held(1, text=text)
    same: Reply = {**reply("", text), "cited": ["Breakfast is from 7 to 10."], "sources": ["p1"]}
    got = of(point, same)
    assert (got["match"], got["match_exact"], got["grounded"], got["abstention"], got["valid"]) == (1, 1, 1, 1, 1)
    assert of(point, {**same, "sources": ["p9"]})["grounded"] == 0
    assert of(point, {**same, "cited": ["Breakfast is from 8."]})["grounded"] == 0
    assert of(point, {**same, "text": "It is from 7 to 11. [1]"})["grounded"] == 0
    silent: Reply = {**reply("", "I do not know."), "abstained": True}
    got = of(point, silent)
    assert (got["match"], got["abstention"], got["distance"], got["grounded"]) == (0, 0, 1, None)
    refused = held(1, "reject", text="I did not find it.", abstained=True)
    assert [of(refused, one)["abstention"] for one in (silent, same)] == [0, 1]


def test_numbers_of_a_call_were_said_or_read() -> None:
    point = held(2, request=ASKED)
    cases: list[tuple[dict[str, Any], int]] = [
        ({"guests": 2}, 1), ({"guests": 5}, 0), ({"check_in": "2026-12-03"}, 1), ({"check_in": "2026-12-04"}, 0),
        ({"hotel": "Room 12"}, 1), ({"hotel": "Room 13"}, 0),
    ]  # fmt: skip
    for args, known in cases:
        assert of(point, reply(**args))["grounded"] == known, args
    told = {**point, "passages": [passage("There is a room 13.")]}
    assert of(told, reply(hotel="Room 13"))["grounded"] == 1


def test_a_told_result_is_grounded_in_it() -> None:
    point = held(2)
    point["prompt"] = [*point["prompt"], {"role": "tool", "content": '{"id": "BK-7"}', "tool_call_id": "c1"}]
    told: Reply = {**reply("", "id: BK-7 [1]"), "cited": ["id: BK-7"], "sources": ["tool:c1"]}
    assert of(point, told)["grounded"] == 1
    assert of(point, {**told, "cited": ["id: BK-8"], "text": "id: BK-8 [1]"})["grounded"] == 0


@pytest.mark.parametrize(
    ("said", "valid"),
    [
        (reply(hotel="x", guests=2), 1),
        (reply(hotel="x", guests="2"), 0),
        (reply(hotel="x"), 0),
        (reply("fly", hotel="x", guests=2), 0),
        (reply("", ""), 0),
        ({**reply(hotel="x", guests=2), "error": "too long"}, 0),
    ],
)
def test_a_call_is_valid_by_its_tools_schema(said: Reply, valid: float) -> None:
    assert of(held(2), said)["valid"] == valid


def test_no_turn_at_all_matches_nothing() -> None:
    got = of(held(2, "edit", edited={**ARGS, "guests": 9}), {**reply(**ARGS), "error": "too long"})
    assert (got["match"], got["repeated"], got["distance"], got["seconds"], got["grounded"]) == (0, 0, 1, None, None)


@given(ARGUMENTS, ARGUMENTS)
def test_a_distance_is_a_share_and_the_same_from_both_sides(one: Any, other: Any) -> None:
    point, ours, theirs = held(2, args=one), reply(**one), reply(**other)
    there, back = distance(ours, theirs, point, READS), distance(theirs, ours, point, READS)
    assert there == pytest.approx(back)
    assert 0 <= there <= 1
    itself = of(point, decided(point))
    assert (itself["match"], itself["match_exact"], itself["distance"]) == (1, 1, 0)
    assert (there == 0) == (of(point, reply(**other))["match"] == 1)


def test_a_message_of_a_point_is_a_reply() -> None:
    assert reply_of(held(2)["said"])["args"] == ARGS
