"""Times as people read them: local, to the minute, in the reader's manner; records and JSON stay ISO 8601 in UTC."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dojang.times import due, left, moment, moments
from state import Language
from tests.dojang.conftest import Shell

AT = "2026-11-26T16:25:28.829808+00:00"
FORMS = {"en": r"\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d", "ko": r"\d{4}년 \d+월 \d+일 \d\d:\d\d"}
NOW = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)


@pytest.fixture
def seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands in Seoul."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Seoul")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("language", "seconds", "said"),
    [
        ("en", False, "27 Nov 2026, 01:25"),
        ("ko", False, "2026년 11월 27일 01:25"),
        ("en", True, "27 Nov 2026, 01:25:28"),
        ("ko", True, "2026년 11월 27일 01:25:28"),
    ],
)
@pytest.mark.usefixtures("seoul")
def test_a_moment_on_this_machines_clock(language: Language, seconds: bool, said: str) -> None:
    assert moment(AT, language, seconds=seconds) == said


@pytest.mark.usefixtures("seoul")
def test_times_in_a_sentence() -> None:
    assert moments(f"between {AT} and 2026-11-26T17:00:00Z.", "en") == (
        "between 27 Nov 2026, 01:25 and 27 Nov 2026, 02:00."
    )
    assert moments("write it like 2026-11-22T09:00+09:00", "ko") == "write it like 2026-11-22T09:00+09:00"
    assert moments("2026-99-99T99:99:99Z", "ko") == "2026-99-99T99:99:99Z"


@pytest.mark.parametrize("text", ["", "?", "tomorrow"])
def test_what_is_no_time_is_shown_as_it_is(text: str) -> None:
    assert moment(text, "en") == text
    assert due(text, NOW, "ko") == text


@pytest.mark.parametrize(
    ("seconds", "english", "korean"),
    [
        (5, "in 5 seconds", "5초 남음"),
        (60, "in 1 minute", "1분 남음"),
        (3599, "in 59 minutes", "59분 남음"),
        (5400, "in 1 hour", "1시간 남음"),
        (86_399, "in 23 hours", "23시간 남음"),
        (86_400, "in 24 hours", "24시간 남음"),
        (172_800, "in 2 days", "2일 남음"),
        (-7000, "1 hour late", "1시간 지남"),
    ],
)
def test_what_is_left_is_never_promised_too_long(seconds: int, english: str, korean: str) -> None:
    until = (NOW + timedelta(seconds=seconds)).isoformat()
    assert left(until, NOW, "en") == english
    assert left(until, NOW, "ko") == korean


def test_people_read_local_times_and_programs_iso(shell: Shell) -> None:
    thread, review = shell.paused()
    for words in (("inbox",), ("show", review), ("threads",), ("history", thread)):
        for language, form in FORMS.items():
            out = shell("--lang", language, *words).out
            assert re.search(form, out), out
            assert not re.search(r"\d{4}-\d\d-\d\dT", out), out
    assert "남음)" in shell("--lang", "ko", "show", review).out
    datetime.fromisoformat(shell("show", review, "--json").json["review"]["due_at"])
    assert shell("--lang", "ko", "inbox", "--json").json[0]["due_at"].endswith("+00:00")
