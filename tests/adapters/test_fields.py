"""A message that is a form: whose each line is, and that no value leaves its line."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forms.fields import Form, form_in
from adapters.prompt import Turn
from adapters.speakers.options import Options, Request
from state import JSON
from tests.adapters.tiny import tool

TEXT: JSON = {"type": "string"}
DAY: JSON = {"type": "string", "format": "date"}
PROPERTIES: dict[str, JSON] = {
    "customer_name": TEXT, "phone_number": TEXT, "teamName": TEXT, "visit_on": DAY, "seats": {"type": "integer"},
    "size": {"enum": ["small", "large"]}, "memo": TEXT,
}  # fmt: skip
TOOL = tool("register", PROPERTIES, ["customer_name", "phone_number"])


def read(text: str) -> Form:
    form = form_in(TOOL, [text])
    assert form is not None
    return form


@pytest.mark.parametrize(
    ("text", "of", "free"),
    [
        ("고객명: 김 철수\n연락처: 010-1234", {"customer_name": "김 철수", "phone_number": "010-1234"}, []),
        ("- 고객 : 김철수\n- 메모 : 10:30까지, 꼭", {"customer_name": "김철수", "memo": "10:30까지, 꼭"}, []),
        ("Team = Red Foxes\nPhone number = 010", {"teamName": "Red Foxes", "phone_number": "010"}, []),
        ("* Name of the team: 'Red'\n• Number of seats: 12", {"teamName": "Red", "seats": "12"}, []),
        ("색：파랑\n고객명：김철수\n사는 곳：서울", {"customer_name": "김철수"}, ["파랑", "서울"]),
        ("전화: 010\n고객명: 김철수", {"customer_name": "김철수", "phone_number": "010"}, []),
    ],
)  # fmt: skip
def test_a_line_is_for_the_argument_that_its_name_tells(text: str, of: dict[str, str], free: list[str]) -> None:
    form = read(f"등록해 주세요.\n{text}\n감사합니다")
    assert (form.of, form.free, form.around) == (of, free, ["등록해 주세요. 감사합니다"])


def test_a_name_that_fits_two_arguments_tells_neither_until_one_is_taken() -> None:
    both = tool("meet", {"customer_name": TEXT, "manager_name": TEXT, "paid": TEXT}, [])

    def of(text: str) -> dict[str, str]:
        form = form_in(both, [text])
        return dict(form.of) if form else {}

    assert of("이름: 김철수\n담당자 이름: 이영희") == {"manager_name": "이영희", "customer_name": "김철수"}
    assert of("이름: 김철수\nPaid: yes") == {"paid": "yes"}
    assert of("id: 12\nPaid: yes") == {"paid": "yes"}, "letters of a word are none of its words"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "고객명: 김철수",
        "메모: 하나\n그리고 또",
        "10:30에\n메모: 하나",
        "그는 이렇게 말했습니다 어제 저녁에: 안녕\n메모: 하나",
        "방문 12월 3일 10:30\n메모: 하나",
        "https://a.example/b\n메모: 하나",
        "고객명: 김철수, 연락처: 010\n부서: 회계팀, 메모: 하나",  # a list in several lines
        "가: 안녕\n나: 그래",  # a conversation that is quoted
    ],
)
def test_one_line_is_no_form_and_neither_is_talk(text: str) -> None:
    assert form_in(TOOL, [text]) is None


def filled(name: str, found: Options, *texts: str) -> dict[JSON, float]:
    spec: Any = PROPERTIES[name]
    return {v: p for p, v in Request(TOOL, [Turn("user", text) for text in texts]).options(name, spec, found, {})}


FORM = "김 철수 등록\n고객명: 이 영희\n연락처: 010-1234\n인원: 12\n좌석 수: 3\n방문: 12월 3일\n마감: 12월 5일"


def test_what_a_line_says_is_the_value_however_unlikely() -> None:
    assert filled("customer_name", [(0.9, "김 철수"), (0.1, None)], FORM) == {"이 영희": 1.0}
    assert filled("seats", [(0.9, 12), (0.05, None), (0.05, 3)], FORM) == {3: 1.0}


def test_what_else_was_said_takes_nothing_from_a_line() -> None:
    form = "고객명: 12월 3일\n좌석 수: 3\n메모: 3층"
    assert filled("customer_name", [(1.0, None)], form, "방문은 12월 3일, seats 4") == {"12월 3일": 1.0}
    assert filled("seats", [(0.9, 4), (0.05, 3), (0.05, None)], form, "team 3, size 3") == {3: 1.0}


def test_a_last_line_may_go_on_with_what_is_asked_for() -> None:
    form = "고객명: 김철수\n연락처: 010-1234로 등록해 주세요"
    found: Options = [(0.5, "김철수"), (0.4, "010-1234"), (0.1, "010-1234로 등록해 주세요")]
    assert set(filled("phone_number", found, form)) == {"010-1234", "010-1234로 등록해 주세요"}
    assert filled("memo", [(1.0, None)], "고객명: 김철수\n메모: 꼭 전화해 주세요") == {"꼭 전화해 주세요": 1.0}


def test_what_a_form_leaves_out_was_not_said() -> None:
    assert filled("memo", [(0.9, "김 철수 등록"), (0.1, None)], FORM) == {None: 1.0}
    assert filled("size", [(0.9, "large"), (0.1, None)], FORM) == {None: 1.0}
    assert filled("size", [(0.9, "small"), (0.1, "large"), (0.0, None)], FORM, "large please")["large"] > 0.9
    assert set(filled("memo", [(0.5, "call me"), (0.4, "010-1234"), (0.1, None)], FORM, "call me")) == {"call me", None}


def test_lines_that_tell_no_argument_are_anybodys_and_whole() -> None:
    found: Options = [(0.5, "12월"), (0.3, "12월 3일"), (0.2, "12월 5일")]
    assert set(filled("visit_on", found, "고객명: 김철수\n하나: 12월 3일\n둘: 12월 5일")) == {"12월 3일", "12월 5일"}


@pytest.mark.parametrize(
    ("below", "memo"),
    [
        ("", "하나."),
        ("둘이고\n셋.", "하나. 둘이고 셋."),
        ("둘.\n\n등록해 주세요", "하나. 둘."),
        ("감사합니다", "하나."),
        ("둘.\n잘 부탁합니다\n부탁드려요", "하나. 둘. 잘 부탁합니다"),
        ("- 연락처: 010", "하나."),
    ],
)
def test_a_text_of_several_sentences_goes_on_below_its_line_and_a_name_does_not(below: str, memo: str) -> None:
    assert read(f"고객명: 김철수\n메모: 하나.\n{below}").of["memo"] == memo
    assert read(f"메모: 하나.\n고객명: 김철수\n{below}").of["customer_name"] == "김철수"


def test_values_end_with_their_line() -> None:
    text = "색: 파랑\n무늬: 줄 둘\n연락처: 010"
    assert set(filled("customer_name", [(0.8, "파랑 무늬"), (0.1, "줄"), (0.1, "줄 둘")], text)) == {"줄 둘"}


@given(st.text(alphabet="고객명메모: =-\n가나1'", max_size=60))
def test_every_value_stands_in_its_text(text: str) -> None:
    form = form_in(TOOL, [text])
    said = " ".join(text.split())
    for value in [*form.of.values(), *form.free] if form else []:
        assert value in said


def test_a_long_message_takes_no_time() -> None:
    begun = process_time()
    form_in(
        TOOL, ["고객명: 김철수\n사는 곳: 서울\n" * 1_000, ": " * 20_000, "가" * 50_000, "가: " + " " * 50_000 + "나\n"]
    )
    assert form_in(TOOL, ["고객명: 김철수\n" * 61]) is None, "a document that somebody has pasted"
    assert process_time() - begun < 5
