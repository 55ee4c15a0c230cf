"""Which numbers a text says: each whole, and what cannot be read is none."""

from __future__ import annotations

from time import monotonic

import pytest

from adapters.numerals import numbers_in
from adapters.prompt import integers_in
from tools.amounts import read_number


def said(text: str) -> list[int | float | None]:
    return [number.value for number in numbers_in(text)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5백만원", 5_000_000),
        ("3만 2천5백원", 32_500),
        ("12만5000원", 125_000),
        ("12만 5000", 125_000),
        ("1만2,500원", 12_500),
        ("1억 2천만", 120_000_000),
        ("1억 2000만 원", 120_000_000),
        ("3천 만원", 30_000_000),
        ("3만 천원", 31_000),
        ("2만오천오백원", 25_500),
        ("1백2십3", 123),
        ("1.5만", 15_000),
        ("1조 2천억 원", 1_200_000_000_000),
        ("18 만원", 180_000),
        ("5천", 5_000),
        ("KRW50000", 50_000),
        ("50000.Thanks", 50_000),
        ("2-night", 2),
        ("1,250.50", 1_250.5),
        ("twenty-one", 21),
        ("twelve guests", 12),
        ("two hundred and fifty", 250),
        ("a hundred", 100),
        ("twenty thousand five hundred won", 20_500),
        ("5 million won", 5_000_000),
        ("1.5 million", 1_500_000),
        ("two dozen", 24),
        ("열 두 명", 12),
        ("스무 명", 20),
        ("스물세 명", 23),
        ("십만 원 환불해 주세요", 100_000),
        ("삼만 오천원을", 35_000),
        ("만 원", 10_000),
        ("이백오십만 원까지만", 2_500_000),
        ("일억 이천만 원", 120_000_000),
        ("십오만 육천칠백 원입니다", 156_700),
        ("이십 명이에요", 20),
        ("만 명", 10_000),
    ],
)
def test_a_number_is_read_whole(text: str, number: float) -> None:
    assert said(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "BK-2041", "BK2041만 취소", "010-1234-5678", "+82 10 1234 5678", "1,2500", "192.168.0.1", "50.000 won", ".5",
        "20k", "2½ 박", "2 and a half", "half a dozen", "two thirds", "one twenty", "2천5000원", "1억만",
        "3만 이천 호텔", "3-5 guests", "100,000-200,000", "99999999999999999999", "somebody phoned",
        "이만 원인을 말씀해 주세요", "이천 원도심 호텔", "이만 원하시는 대로", "백만 천만 원", "십만 명소", "이 원",
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_one_number_is_none(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("10만 2명", [100_000, 2]),
        ("10만원 5000원", [100_000, 5_000]),
        ("1만 20000원", [10_000, 20_000]),
        ("3 천안 호텔 2명", [3, 2]),
        ("for two two rooms", [2, 2]),
        ("a room for two and twenty thousand won", [1, 2, 20_000]),
        ("2~3명", [2, 3]),
    ],
)
def test_numbers_beside_each_other_stay_apart(text: str, numbers: list[int]) -> None:
    assert said(text) == numbers


@pytest.mark.parametrize(
    "text",
    ["12만 5000", "1만2,500", "5천", "18만 5천원", "1.5만", "180,000원", "2명", "두 명", "ten", "₩5000", "krw 5000"],
)
def test_a_number_is_what_the_tools_read(text: str) -> None:
    assert said(text) == [read_number(text)]


def test_an_integer_is_no_decimal() -> None:
    assert integers_in("50.50, 12.00, 3, 3만") == [12, 3, 30_000]


@pytest.mark.parametrize(
    "sign", ["1 ", "1만 ", "1천", "two ", "1,", "a ", "A1-", "열 ", "1 hundred ", "만", " ", "십만 ", "만 원 "]
)
def test_numbers_in_an_endless_row_cost_no_time(sign: str) -> None:
    begun = monotonic()
    numbers_in(sign * 5_000)
    assert monotonic() - begun < 20, "from each of them it would be gone through all that follow"
