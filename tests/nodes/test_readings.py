"""What counts as a request with two readings, and what does not: a question too many stops somebody's work."""

from __future__ import annotations

import pytest

from nodes.readings import read
from state import language_of


@pytest.mark.parametrize(
    ("request_", "words", "readings"),
    [
        ("Book a room on 03/04 for two", "03/04", ["3 April", "4 March"]),
        ("from 3/4/2026 to 5/6/2026", "3/4/2026", ["3 April", "4 March"]),
        ("a room that is free, 12/03/2026, please", "12/03/2026", ["12 March", "3 December"]),
        ("Cancel BK-2041 or BK-2042", "BK-2041 or BK-2042", ["BK-2041", "BK-2042"]),
        ("BK-2041 또는 BK-2042 취소해 주세요", "BK-2041 또는 BK-2042", ["BK-2041", "BK-2042"]),
        ("BK-2041이나 BK-2042 취소해 줘", "BK-2041이나 BK-2042", ["BK-2041", "BK-2042"]),
        ("Cancel it.", "it", []),
        ("please refund that one", "that one", []),
        ("그거 취소해 줘", "그거", []),
        ("아까 그것을 환불해 주세요", "아까 그것", []),
    ],
)
def test_two_readings_or_none(request_: str, words: str, readings: list[str]) -> None:
    reading = read(request_, language_of(request_), first=True)
    assert (reading["grade"], reading["words"], reading["readings"]) == ("ambiguous", words, readings)


@pytest.mark.parametrize(
    "request_",
    [
        "When is breakfast?",
        "Book a room on 13/04",
        "Book a room on 4/4",
        "3/4 객실이 있습니까?",
        "Is 2/3 of the price refunded?",
        "open 24/7",
        "a waltz with a time signature of 3/4",
        "全部 4/12",
        "see https://x.example/03/04",
        "Is BK-2041 or BK-2042 paid?",
        "BK-2041 또는 BK-2042가 결제되었나요",
        "Cancel BK-2041 and BK-2042",
        "please book it",
        "Cancel it because the guest is ill and wrote BK-2041",
        "그거 얼마예요?",
        "Is it open?",
        "",
    ],
)
def test_anything_else_is_clear(request_: str) -> None:
    assert read(request_, language_of(request_), first=True)["grade"] == "clear"


def test_what_was_said_before_can_be_referred_to() -> None:
    assert read("Cancel it.", "en", first=False)["grade"] == "clear"
    assert read("그거 취소해 줘", "ko", first=False)["grade"] == "clear"
