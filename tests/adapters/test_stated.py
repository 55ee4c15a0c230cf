"""What a text states of an argument by its name, as a form does: where its value begins, or ends."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forms.stated import Stated, stated
from state import JSON, ToolSpec
from tests.adapters.tiny import tool

NAMES = NAME, PHONE, PART, FILE, _ = ["customer_name", "phone_number", "department", "file_name", "memo"]
TOOL = tool("register", {name: {"type": "string"} for name in NAMES}, NAMES)


def ahead(words: str, whole: str = "", *, sure: bool = True) -> list[Stated]:
    return [Stated(words, ahead=True, sure=sure, whole=whole)]


def behind(words: str) -> list[Stated]:
    return [Stated(words, ahead=False, sure=True)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "고객명: 김철수\n연락처: 010-1234",
            {NAME: ahead("김철수", "김철수"), PHONE: ahead("010-1234", "010-1234")},
        ),
        (
            "등록\n- 고객명 : 김 철수, 님\n- 연락처 : 010-1234로 등록해 주세요.",
            {NAME: ahead("김 철수, 님 -", "김 철수, 님"), PHONE: ahead("010-1234로 등록해 주세요.")},
        ),
        ("고객명: 김 철수, 부서=회계팀", {NAME: ahead("김 철수,", "김 철수"), PART: ahead("회계팀")}),
        ("고객명: 김 철수 부서=회계팀", {NAME: ahead("김 철수"), PART: ahead("회계팀")}),
        ("file name: a.txt\nmemo = a\tb", {FILE: ahead("a.txt", "a.txt"), "memo": ahead("a b", "a b")}),
        ("The file name should be a.txt", {FILE: ahead("a.txt")}),
        ("파일명 값은 사진", {FILE: ahead("사진")}),
        ("김철수(고객명)", {NAME: behind("김철수")}),
        ("김철수를 고객 이름으로 등록", {NAME: behind("김철수")}),
        ("use a.txt as the file name", {FILE: behind("use a.txt")}),
        ("부서는 회계팀", {PART: ahead("회계팀", sure=False)}),
        (
            "고객명이 김철수, 사진을 파일명으로",
            {NAME: ahead("김철수, 사진을", sure=False), FILE: behind("이 김철수, 사진")},
        ),
        ("등록: 고객명 김철수, 부서 회계팀", {NAME: ahead("김철수,", "김철수"), PART: ahead("회계팀")}),
        (
            "고객명: 김철수, 연락처: 010\n부서: 회계팀, 메모: 하나",
            {
                NAME: ahead("김철수,", "김철수"), PHONE: ahead("010", "010"), PART: ahead("회계팀,", "회계팀"),
                "memo": ahead("하나", "하나"),
            },
        ),
        ("고객명 김철수 등록", {}),  # one alone is no list
        ("file name a.txt, memo line = b", {FILE: ahead("a.txt, memo line = b")}),
        ("부서: 회계팀\n메모: '늦음'", {PART: ahead("회계팀", "회계팀"), "memo": ahead("'늦음'")}),
        ("파일명과 부서를 알려 주세요", {}),
        ("고객명:\n  김철수\n부서:\n", {NAME: ahead("김철수", "김철수")}),
        (
            "부서: 회계팀\nmemo: Hello,\nwe are late.\n\nSee you",
            {PART: ahead("회계팀", "회계팀"), "memo": ahead("Hello, we are late. See you")},
        ),
        ("등록 건\n김철수(고객명)", {NAME: behind("김철수")}),
        ("", {}),
    ],
)  # fmt: skip
def test_the_words_beside_the_name_of_an_argument_are_its_value(text: str, wanted: dict[str, list[Stated]]) -> None:
    assert stated(TOOL, [text]) == wanted


def test_a_name_that_several_arguments_share_states_nothing() -> None:
    both = tool("send", {"customer_name": {"type": "string"}, "customer_phone": {"type": "string"}}, [])
    assert stated(both, ["고객: 김철수"]) == {}
    assert stated(TOOL, ["고객: 김철수"]) == {"customer_name": ahead("김철수")}


def test_a_short_description_is_a_name() -> None:
    spec: JSON = {"type": "string", "description": "받는 분"}
    assert stated(tool("send", {"to": spec}, []), ["받는 분: 김철수"]) == {"to": ahead("김철수")}


@given(st.lists(st.text(alphabet="고객명부서메모 :=()을를로은 ab\n", max_size=40), max_size=3))
def test_what_is_stated_stands_there(texts: list[str]) -> None:
    whole = [" ".join(text.split()) for text in texts]
    for told in stated(TOOL, texts).values():
        for place in told:
            assert place.words.strip() == place.words != ""
            assert any(place.words in text for text in whole)


def test_a_long_message_takes_no_time() -> None:
    begun = process_time()
    stated(TOOL, ["고객명: 김철수, 부서는 회계팀 " * 2_000])
    assert process_time() - begun < 5


def test_a_tool_without_arguments_or_with_open_ones_has_no_places() -> None:
    bare: ToolSpec = tool("now", {}, [])
    assert stated(bare, ["고객명: 김철수"]) == {}
    assert stated(tool("any", {"customer_name": True}, []), ["고객명: 김철수"]) == {"customer_name": ahead("김철수")}
