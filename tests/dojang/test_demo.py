"""The demo plays the real command line in processes of their own; here with the rehearsed model."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest

from dojang.cli.demo import Play, read_decision_words
from dojang.cli.invocation import Invocation
from state import UserError
from tests.dojang.conftest import ROOT, Shell

Rows = Callable[[], list[tuple[Any, ...]]]
COMMAND = (sys.executable, "-m", "tests.dojang.rehearsed_cli")


@pytest.fixture
def stage(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose child processes find the tests, and nobody at stdin."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return shell


def test_the_play_to_its_end(stage: Shell, bookings: Rows) -> None:
    code = Play(Invocation(), command=COMMAND).perform()
    out, err = stage.capture.readouterr()
    assert code == 0, err
    assert bookings() == [("BK-2041", "Emma Lee", 2, "2026-12-03")]
    for part in (
        '$ dojang ask "Please book a deluxe room at Namsan Stay for Emma Lee from December 3 to December 5',
        "> 와이파이 이름이 무엇인가요?",
        "[1] en/",
        "[1] ko/",
        "approved by kim",
        "BK-2041",
        "total_krw",
        "The ledger: 1 intent(s), 1 outcome(s)",
        str(stage.home / "demo" / "threads"),
        "checkpoints.jsonl",
        "ledger.jsonl",
    ):
        assert part in out
    pids = [line for line in err.splitlines() if "ended with code" in line]
    assert len(pids) == 7
    assert "ended with code 3" in pids[2]


@pytest.mark.about_files("a play in the home that is named ends in the folder of its session")
def test_another_decision_in_korean_as_one_json_document(stage: Shell, bookings: Rows) -> None:
    class Quick(Play):
        """Its acts are calls in this process."""

        def _spawned(self, words: list[str], kept: bool, lines: Sequence[str]) -> tuple[int, int, str | None]:
            ran = stage(*words, stdin="".join(f"{line}\n" for line in lines))
            return 0, ran.code, ran.out if kept else None

    call = Invocation(home=stage.home, language="ko", as_json=True)
    code = Quick(call, "edit guests=3").perform()
    out, err = stage.capture.readouterr()
    assert code == 0, err
    told = json.loads(out)
    assert told["booking"]["guests"] == 3
    assert told["booking"]["guest"] == "김하나"
    assert [act["exit_code"] for act in told["acts"]] == [0, 0, 3, 0, 0, 0, 0]
    cited = [turn["answer"]["citations"] for turn in told["acts"][1]["result"]["turns"]]
    assert len(cited) == 2
    assert all(cited)
    assert all(c["source"] == c["quote"] for citations in cited for c in citations)
    assert [entry["k"] for entry in told["ledger"]] == ["intent", "outcome"]
    assert told["folder"].startswith(str(stage.home / "threads"))
    assert bookings() == [("BK-2041", "김하나", 3, "2026-12-03")]


@pytest.mark.parametrize("today", ["2026-01-01", "2026-11-22", "2026-12-02", "2026-12-03", "2026-12-31"])
def test_the_stay_lies_ahead(shell: Shell, monkeypatch: pytest.MonkeyPatch, today: str) -> None:
    monkeypatch.setenv("DOJANG_TODAY", today)
    first, last = Play(Invocation()).dates()
    assert first > date.fromisoformat(today)
    assert (last - first).days == 2


def test_the_request_in_both_languages(shell: Shell) -> None:
    assert Play(Invocation(language="en")).request().endswith("from December 3 to December 5 for 2 guests")
    assert "12월 3일부터 12월 5일까지 김하나 이름으로 2명" in Play(Invocation(language="ko")).request()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("approve", ["approve"]),
        ("reject", ["reject"]),
        ("edit guests=3", ["edit", "guests=3"]),
        ('edit guest="Emma Kim" guests=3', ["edit", "guest=Emma Kim", "guests=3"]),
    ],
)
def test_decisions_in_words(text: str, words: list[str]) -> None:
    assert read_decision_words(text) == words


@pytest.mark.parametrize("text", ["yes", "edit", "edit guests", "approve now", 'edit "guests=3', "answer x"])
def test_other_words_are_no_decision(text: str) -> None:
    with pytest.raises(UserError, match="edit name=value"):
        read_decision_words(text)
