"""The weights that ship: they book a room and answer from evidence, with names that no training text shows.

Run by every checkout that has the weights; how often it is right, ``python -m adapters.training evaluate`` measures.
"""

from __future__ import annotations

import time
from typing import cast

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from adapters import WEIGHTS, load_generator
from adapters.generator import ChatGenerator
from state import Language, Passage
from tests.adapters.tiny import BOOK, CANCEL, passage
from tools.toolbox import Toolbox

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "base" / "config.json").exists() or not (WEIGHTS / "frontdesk").is_dir(),
    reason="adapters/weights holds no base and adapter: build them with python -m adapters.training",
)


@pytest.fixture(scope="module")
def embedded() -> ChatGenerator:
    return load_generator("embedded", today="2026-11-22", device="cpu")


@pytest.mark.parametrize(
    ("language", "request_text", "hotel", "guest"),
    [
        (
            "en",
            "Please book a deluxe room at Namsan Stay for Emma Lee from December 3 to December 5 for 2 guests",
            "Namsan Stay",
            "Emma Lee",
        ),
        (
            "ko",
            "남산스테이에 김하나 이름으로 12월 3일부터 12월 5일까지 디럭스 객실 2명 예약해 주세요",
            "남산스테이",
            "김하나",
        ),
    ],
)
def test_books_a_room_with_unseen_names(
    embedded: ChatGenerator, language: Language, request_text: str, hotel: str, guest: str
) -> None:
    tools = Toolbox.open().offered()
    said = embedded.reply([HumanMessage(request_text)], passages=[], tools=tools, language=language)
    (call,) = cast(AIMessage, said["message"]).tool_calls
    assert call["name"] == "book_room"
    assert (call["args"]["hotel"], call["args"]["guest"], call["args"]["guests"]) == (hotel, guest, 2)
    assert "3" in call["args"]["check_in"]
    assert "5" in call["args"]["check_out"]


RULES = passage(
    "Check-in starts at 3 pm. Breakfast is served from 7 to 10 in the garden room. Pets are not allowed.", start=500
)
HOUSE_RULES_KO = passage(
    "체크인은 오후 3시부터입니다. 조식은 오전 7시부터 10시까지 정원홀에서 제공됩니다. 반려동물은 데려올 수 없습니다.",
    id="p2",
    start=90,
    language="ko",
)


@pytest.mark.parametrize(
    ("language", "question", "source", "quote"),
    [
        ("en", "What time is breakfast?", RULES, "Breakfast is served from 7 to 10 in the garden room."),
        ("ko", "조식은 몇 시인가요?", HOUSE_RULES_KO, "조식은 오전 7시부터 10시까지 정원홀에서 제공됩니다."),
    ],
)
def test_answers_from_the_evidence(
    embedded: ChatGenerator, language: Language, question: str, source: Passage, quote: str
) -> None:
    begun = time.process_time()
    said = embedded.reply([HumanMessage(question)], passages=[source], tools=[BOOK, CANCEL], language=language)
    (citation,) = said["citations"]
    assert citation["quote"] == quote
    assert source["text"][citation["start"] - source["start"] : citation["end"] - source["start"]] == quote
    assert said["message"].content == f"{quote} [1]"
    assert time.process_time() - begun < 3.0, "three seconds of one core a reply are promised"
