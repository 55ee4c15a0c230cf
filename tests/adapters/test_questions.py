"""What is asked about a missing argument: the model's own words where they name it, else those of the tool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speakers.questions import question_about
from state import JSON, ToolSpec
from tests.adapters.tiny import tool

BARE: JSON = {"type": "string"}


def of(**properties: JSON) -> ToolSpec:
    return tool("do_it", {name: dict(spec) for name, spec in properties.items() if isinstance(spec, dict)}, [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hotel", "Which hotel should it be?"),  # a question that the model was taught
        ("guests", "몇 분이 묵으시나요?"),
        ("page_count", "What is the number of pages?"),
        ("booking_id", "What is the booking number?"),
        ("check_in", "체크인 날짜를 알려 주시겠어요?"),
        ("page_count", "페이지 수를 알려 주시겠어요?"),
    ],
)
def test_a_question_that_names_the_argument_or_is_of_no_form_stays(name: str, said: str) -> None:
    assert question_about(of(**{name: BARE}), name, said, asked="") == said


@pytest.mark.parametrize(
    ("name", "spec", "said", "asked", "question"),
    [
        ("guest_name", {}, "What is the shipping method?", "", "What is the guest name?"),
        ("pageCount", {}, "What is the date?", "", "What is the page count?"),
        ("birth_date", {}, "What is the shipping date?", "", "What is the birth date?"),
        ("n", {"description": "The number of bicycles"}, "What is the date?", "", "What is the number of bicycles?"),
        ("n", {"description": "PIN of the card"}, "What is the date?", "", "What is the PIN of the card?"),
        ("x", {"description": "Whatever a person may want to say of it"}, "What is the date?", "", "What is the x?"),
        ("dish_name", {}, "회의실 번호를 알려 주시겠어요?", "", "요리명을 알려 주시겠어요?"),
        ("customer_name", {}, "고객 번호를 알려 주시겠어요?", "", "고객명을 알려 주시겠어요?"),
        ("n", {"title": "빌릴 자전거 수"}, "호텔을 알려 주시겠어요?", "", "빌릴 자전거 수를 알려 주시겠어요?"),
        ("n", {"description": "고객 등급."}, "호텔을 알려 주시겠어요?", "", "고객 등급을 알려 주시겠어요?"),
        ("frobnication", {}, "호텔을 알려 주시겠어요?", "", "frobnication 값을 알려 주시겠어요?"),
        ("priority", {}, "우선e the를 알려 주시겠어요?", "", "우선순위를 알려 주시겠어요?"),
        ("budget", {}, "알려 주시겠어요?", "", "예산을 알려 주시겠어요?"),
        ("budget", {}, "", "환불해 주세요", "예산을 알려 주시겠어요?"),  # the model never came to an end
        ("budget", {}, "the the the", "a refund please", "What is the budget?"),
    ],
)
def test_a_question_of_a_form_that_names_something_else_is_made_of_the_tools_words(
    name: str, spec: dict[str, JSON], said: str, asked: str, question: str
) -> None:
    assert question_about(of(**{name: {"type": "string", **spec}}), name, said, asked=asked) == question


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["guest", "page_count", "x", "가격"]))
def test_whatever_the_model_says_there_is_a_question(said: str, asked: str, name: str) -> None:
    question = question_about(of(**{name: BARE}), name, said, asked=asked)
    assert question.strip()
    assert question == said or question.endswith("?")
