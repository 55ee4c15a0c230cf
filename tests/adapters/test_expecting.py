"""What kind of answer a question asks for, and which sentence has one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.speakers.expecting import expected, holds


@pytest.mark.parametrize(
    ("question", "kind", "yes", "no"),
    [
        ("When is breakfast?", "time", "It is served from 7:00.", "It is on floor two."),
        ("In what year was it built?", "year", "The hall went up in 1931.", "It took 12 men."),
        ("How many rooms are there?", "count", "It has 40 large rooms.", "It has 40 lamps."),
        ("How many nights can I stay?", "span", "Guests stay for up to 14 nights.", "Guests pay 14 dollars."),
        ("How long is the warranty?", "span", "It lasts for two years.", "It covers 3 parts."),
        ("How tall is the tower?", "length", "It rises 85 metres.", "It has 85 steps."),
        ("What is the fee?", "money", "It comes to $40.", "It comes to 40 pages."),
        ("What percentage is refunded?", "share", "We give back 80 percent.", "We give back 80 dollars."),
        ("How often is the filter changed?", "often", "Change it twice a year.", "Change it with care."),
        ("Who built the tower?", "person", "It was built by Mary Stone.", "It was built of brick."),
        ("조식은 언제인가요?", "time", "오전에 드립니다.", "식당에서 드립니다."),
        ("몇 년도에 세워졌나요?", "year", "1931년에 완공했다.", "12명이 지었다."),
        ("방이 몇 개인가요?", "count", "모두 40개입니다.", "모두 40명입니다."),
        ("직원은 몇 명이었나?", "count", "직원 스물여섯 명이 모였다.", "문을 여섯 시에 닫았다."),
        ("휴가는 며칠인가요?", "span", "사흘을 쉽니다.", "식당에서 쉽니다."),
        ("몇 년 만에 사면되었나?", "span", "그는 7년 만에 사면되었다.", "그는 7명과 사면되었다."),
        ("다리의 길이는?", "length", "길이 1,284m의 다리이다.", "다리 1,284개를 놓았다."),
        ("참가 비용은 얼마인가요?", "money", "1인당 3만 원입니다.", "1인당 3시간입니다."),
        ("득표율은 얼마인가?", "share", "53.8%로 당선되었다.", "53명이 당선되었다."),
        ("몇 위로 마쳤나요?", "rank", "결국 11위에 머물렀다.", "결국 11번 뛰었다."),
        ("필터는 몇 달마다 바꾸나요?", "often", "석 달마다 바꿉니다.", "물로 씻습니다."),
    ],
)
def test_a_question_says_what_kind_of_answer_it_wants(question: str, kind: str, yes: str, no: str) -> None:
    found = expected(question)
    assert found is not None
    assert found.name == kind
    assert holds(found, yes, question)
    assert not holds(found, no, question)


@pytest.mark.parametrize(
    "question",
    [
        "Is the pool heated?",
        "What did they do when the road was cleared?",
        "참가 비용은 누가 내나요?",
        "지지율이 떨어진 까닭은?",
        "물에 빠진 소대장의 이름은?",
        "언제나 문을 여나요?",
    ],
)
def test_a_measure_that_is_only_spoken_of_asks_for_no_number(question: str) -> None:
    assert expected(question) is None


def test_what_the_question_names_itself_is_no_answer() -> None:
    for question, told in (
        ("How many of the 40 rooms are free?", "The 40 rooms are on floor 2."),
        ("Who is Mary Stone?", "Then Mary Stone came."),
        ("2021년 이후 언제 바뀌었나요?", "2021년의 일이다."),
    ):
        kind = expected(question)
        assert kind is not None
        assert not holds(kind, told, question)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_can_be_asked_and_looked_at(question: str, sentence: str) -> None:
    kind = expected(question)
    if kind is not None:
        assert not holds(kind, "", question)
        holds(kind, sentence, question)


@pytest.mark.parametrize("piece", ["1", "1,", "만", "1만", " 백1", "one ", "how much did ", "몇 ", "열", "the first "])
def test_endless_text_is_looked_at_in_time(piece: str) -> None:
    """None of the patterns goes back over the same letters from each of them: that takes fifty seconds here."""
    long, begun = "1" + piece * 5_000, time.process_time()
    for question in ("몇 년 만에?", "How many small boats?", "비용은?", "How tall?", "Who?", "몇 대 몇?", long):
        kind = expected(question)
        if kind is not None:
            holds(kind, long, question)
    assert time.process_time() - begun < 10, "of this process alone, so that a busy machine makes no difference"
