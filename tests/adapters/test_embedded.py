"""The weights that ship: they book a room and answer from evidence, with names that no training text shows.

Run by every checkout that has the weights; how often it is right, ``python -m adapters.training evaluate`` measures.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import cast

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from adapters import WEIGHTS, load_generator
from adapters.generator import ChatGenerator
from adapters.registry.aliases import Registry
from adapters.serving import beside
from state import JSON, Language, Passage, ToolSpec
from tests.adapters.tiny import BOOK, CANCEL, passage, tool
from tools.toolbox import Toolbox

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "base" / "config.json").exists() or not (WEIGHTS / "frontdesk").is_dir(),
    reason="adapters/weights holds no base and adapter: build them with python -m adapters.training",
)


@pytest.fixture(scope="module")
def embedded() -> ChatGenerator:
    return load_generator("embedded", today="2026-11-22", device="cpu")


CALLS: list[tuple[Language, str, str, dict[str, object]]] = [
    (
        "en",
        "Please book a deluxe room at Namsan Stay for Emma Lee from December 3 to December 5 for 2 guests",
        "book_room",
        {
            "hotel": "Namsan Stay", "guest": "Emma Lee", "check_in": "December 3", "check_out": "December 5",
            "guests": 2, "room_type": "deluxe",
        },
    ),
    (
        "ko",
        "남산스테이에 김하나 이름으로 12월 3일부터 12월 5일까지 디럭스 객실 2명 예약해 주세요",
        "book_room",
        {
            "hotel": "남산스테이", "guest": "김하나", "check_in": "12월 3일", "check_out": "12월 5일",
            "guests": 2, "room_type": "deluxe",
        },
    ),
    (
        "ko",
        "남산스테이에 이수민 이름으로 12월 3~5일 2명 디럭스룸 예약해 주세요",
        "book_room",
        {
            "hotel": "남산스테이", "guest": "이수민", "check_in": "12월 3일", "check_out": "12월 5일",
            "guests": 2, "room_type": "deluxe",
        },
    ),
    (
        "en",
        "Book a deluxe room at Namsan Stay for Emma Lee, 3-5 December, 2 guests",
        "book_room",
        {
            "hotel": "Namsan Stay", "guest": "Emma Lee", "check_in": "3 December", "check_out": "5 December",
            "guests": 2, "room_type": "deluxe",
        },
    ),
    ("en", "Please cancel booking BK-2041", "cancel_booking", {"booking_id": "BK-2041"}),
    ("ko", "예약 BK-2041 취소해 주세요", "cancel_booking", {"booking_id": "BK-2041"}),
    ("en", "Refund 50,000 won for booking BK-2041", "issue_refund", {"booking_id": "BK-2041", "amount": 50_000}),
    ("ko", "BK-2041 예약에 50,000원 환불해 주세요", "issue_refund", {"booking_id": "BK-2041", "amount": 50_000}),
    ("ko", "BK-2041 예약 3만 2천5백원 환불해 주세요", "issue_refund", {"booking_id": "BK-2041", "amount": 32_500}),
]  # fmt: skip


@pytest.mark.parametrize(("language", "request_text", "name", "arguments"), CALLS)
def test_calls_with_every_argument_and_no_other(
    embedded: ChatGenerator, language: Language, request_text: str, name: str, arguments: dict[str, object]
) -> None:
    begun = time.process_time()
    said = embedded.reply(
        [HumanMessage(request_text)], passages=[RULES], tools=Toolbox.open().offered(), language=language
    )
    (call,) = cast(AIMessage, said["message"]).tool_calls
    assert (call["name"], call["args"]) == (name, arguments)
    assert time.process_time() - begun < 3.0, "three seconds of one core a reply are promised"


def test_an_amount_that_cannot_be_paid_is_asked_for_and_is_not_the_number_of_the_booking(
    embedded: ChatGenerator,
) -> None:
    said = embedded.reply(
        [HumanMessage("refund 50.50 won for booking BK-2041")],
        passages=[RULES], tools=Toolbox.open().offered(), language="en",
    )  # fmt: skip
    assert said["about"] == "issue_refund.amount"


def test_asks_for_what_is_missing_and_completes_the_call_with_the_answer(embedded: ChatGenerator) -> None:
    tools = Toolbox.open().offered()
    first = HumanMessage("Book a room at Namsan Stay from December 3 to December 5 for 2 guests")
    asked = embedded.reply([first], passages=[], tools=tools, language="en")
    assert asked["about"] == "book_room.guest"
    assert asked["clarification"].endswith("?")
    turns: list[AnyMessage] = [first, AIMessage(asked["clarification"]), HumanMessage("Emma Lee")]
    said = embedded.reply(turns, passages=[], tools=tools, language="en")
    (call,) = cast(AIMessage, said["message"]).tool_calls
    assert call["args"] == {
        "hotel": "Namsan Stay", "guest": "Emma Lee", "check_in": "December 3", "check_out": "December 5", "guests": 2
    }  # fmt: skip


def test_numbers_and_choices_of_a_tool_that_it_never_saw_are_those_that_were_named(embedded: ChatGenerator) -> None:
    ways: JSON = [{"const": "slow", "title": "일반 배송"}, {"const": "fast", "title": "빠른 배송"}]
    properties: dict[str, JSON] = {
        "bikes": {"type": "integer", "description": "빌릴 자전거 수"},
        "helmets": {"type": "integer", "description": "헬멧 수"},
        "way": {"oneOf": ways},
    }
    rent = {**tool("rent_bikes", properties, list(properties)), "description": "자전거를 빌립니다."}
    words = HumanMessage("자전거 2대, 헬멧 3개 빌려 주세요. 빠른 배송으로요.")
    said = embedded.reply([words], passages=[], tools=[cast(ToolSpec, rent)], language="ko")
    (call,) = cast(AIMessage, said["message"]).tool_calls
    assert call["args"] == {"bikes": 2, "helmets": 3, "way": "fast"}


TEXT: JSON = {"type": "string"}
WEEKDAYS: JSON = {"type": "string", "enum": ["monday", "tuesday", "thursday", "friday"]}
SHIFT = tool(
    "move_shift", {"employee_name": TEXT, "weekday": WEEKDAYS, "shift": {"enum": ["morning", "afternoon", "night"]}},
    ["employee_name", "weekday", "shift"],
)  # fmt: skip
CUSTOMER = tool(
    "register_customer", {"customer_name": TEXT, "phone_number": TEXT, "department": {"enum": ["sales", "accounting"]}},
    ["customer_name", "phone_number", "department"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "offered", "wanted"),
    [
        (
            "김민수 씨 근무를 화요일 야간으로 옮겨 주세요",
            SHIFT,
            {"employee_name": "김민수", "weekday": "tuesday", "shift": "night"},
        ),
        (
            "고객을 등록해 주세요.\n고객명: 김철수\n연락처: 010-1234-5678\n부서: 회계팀",
            CUSTOMER,
            {"customer_name": "김철수", "phone_number": "010-1234-5678", "department": "accounting"},
        ),
        (
            "Register a customer please.\nCustomer name: Emma Lee\nPhone number: 010-1234-5678\nDepartment: sales",
            CUSTOMER,
            {"customer_name": "Emma Lee", "phone_number": "010-1234-5678", "department": "sales"},
        ),
    ],
)
def test_a_form_and_korean_words_fill_in_a_tool_whose_names_are_english(
    embedded: ChatGenerator, text: str, offered: ToolSpec, wanted: dict[str, str]
) -> None:
    said = embedded.reply([HumanMessage(text)], passages=[], tools=[offered], language="ko")
    (call,) = cast(AIMessage, said["message"]).tool_calls
    assert call["args"] == wanted


def test_what_is_asked_about_a_tool_that_it_never_saw_names_what_is_missing(embedded: ChatGenerator) -> None:
    for text, question in (
        ("고객 등록해 줘. 고객명: 최수진", "전화번호를 알려 주시겠어요?"),
        ("Please register a customer. Customer name: Emma Lee", "What is the phone number?"),
    ):
        said = embedded.reply([HumanMessage(text)], passages=[], tools=[CUSTOMER], language="ko")
        assert (said["about"], said["clarification"]) == ("register_customer.phone_number", question)


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


SEVERAL: list[tuple[Language, str, str, list[str]]] = [
    (
        "en",
        "When is breakfast served?",
        "Breakfast is served from 6:30 to 10 on weekdays. On weekends breakfast is served until 10:30. "
        "The breakfast buffet is in the restaurant Solbat on the 2nd floor.",
        ["Breakfast is served from 6:30 to 10 on weekdays.", "On weekends breakfast is served until 10:30."],
    ),
    (
        "ko",
        "취소하면 얼마를 돌려받나요?",
        "취소는 전화와 이메일로 받습니다. 도착 7일 전까지 취소하면 전액을 환불합니다. "
        "도착 3일에서 6일 전에 취소하면 50퍼센트를 환불합니다. 도착 하루나 이틀 전에 취소하면 20퍼센트를 환불합니다.",
        [
            "도착 7일 전까지 취소하면 전액을 환불합니다.", "도착 3일에서 6일 전에 취소하면 50퍼센트를 환불합니다.",
            "도착 하루나 이틀 전에 취소하면 20퍼센트를 환불합니다.",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("language", "question", "text", "quotes"), SEVERAL)
def test_an_answer_that_depends_is_told_whole_and_in_order(
    embedded: ChatGenerator, language: Language, question: str, text: str, quotes: list[str]
) -> None:
    source = passage(text, language=language)
    said = embedded.reply([HumanMessage(question)], passages=[source], tools=[BOOK, CANCEL], language=language)
    assert [citation["quote"] for citation in said["citations"]] == quotes
    assert [citation["n"] for citation in said["citations"]] == list(range(1, len(quotes) + 1))
    assert said["message"].content == " ".join(f"{quote} [{n}]" for n, quote in enumerate(quotes, 1))


def test_a_registered_adapter_speaks_on_the_base_that_is_loaded(embedded: ChatGenerator, tmp_path: Path) -> None:
    """As in a server that runs while a champion is promoted: no second base, the same words, its id as speaker."""
    place = Path(Registry(tmp_path / "registry").add(WEIGHTS / "frontdesk")["path"])
    champion = beside(embedded, place.name, place)
    assert champion.chat.engine is embedded.chat.engine  # type: ignore[attr-defined]
    ask = [HumanMessage("Please cancel booking BK-2041")]
    ours, theirs = (g.reply(ask, passages=[], tools=[BOOK, CANCEL], language="en") for g in (embedded, champion))
    assert cast(AIMessage, ours["message"]).tool_calls[0]["args"] == {"booking_id": "BK-2041"}
    assert cast(AIMessage, theirs["message"]).tool_calls[0]["args"] == {"booking_id": "BK-2041"}
    assert (ours["speaker"].partition("@")[2], theirs["speaker"].partition("@")[2]) == ("frontdesk", place.name)


def test_the_requests_of_the_tutorial_become_calls(embedded: ChatGenerator) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
    asked = [text for text in re.findall(r'dojang ask "(.*)"', page) if "tour" in text]
    tour = tool(
        "book_tour",
        {"customer": {"type": "string"}, "day": {"type": "string", "format": "date"}, "people": {"type": "integer"}},
        ["customer", "day", "people"],
    )
    tour["description"] = "Book a bicycle tour for a customer."
    assert f'"""{tour["description"]}"""' in page
    made = []
    for text in asked:
        said = embedded.reply([HumanMessage(text)], passages=[], tools=[tour], language="en")
        made += [list(call["args"].values()) for call in cast(AIMessage, said["message"]).tool_calls]
    assert made == [["Emma Lee", "December 3", 2], ["Min Park", "December 9", 3], ["Daniel Smith", "December 15", 2]]
