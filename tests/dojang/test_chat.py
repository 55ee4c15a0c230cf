"""The conversation in the terminal, its lines typed at stdin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.dojang.conftest import Shell

Rows = Callable[[], list[tuple[Any, ...]]]


def test_a_pause_is_shown_decided_and_passed_in_one_sitting(shell: Shell, bookings: Rows) -> None:
    sitting = shell("chat", stdin="please book it\na\nhello\n")
    assert sitting.code == 0, sitting
    assert '"2026-12-03"' in sitting.out
    assert "[a]pprove, [e]dit, [r]eject or [l]ater?" in sitting.err
    assert "Booking BK-2041 is confirmed" in sitting.out
    assert len(bookings()) == 1
    said = [m["text"] for m in shell("thread", sitting.one("th"), "--json").json["conversation"] if m["role"] == "user"]
    assert said == ["please book it", "hello"]


def test_arguments_are_edited_one_by_one_in_korean(shell: Shell, bookings: Rows) -> None:
    sitting = shell("chat", "--lang", "ko", stdin="예약해 주세요\ne\n\n박서준\n\n\n3\n-\n\n")
    assert sitting.code == 0, sitting
    assert "수정 승인함" in sitting.out
    assert bookings() == [("BK-2041", "박서준", 3, "2026-12-03")]


def test_a_bad_edit_is_said_and_asked_again(shell: Shell, bookings: Rows) -> None:
    sitting = shell("chat", stdin="book\nx\ne\n\n\nnever\n\n\n\nr\nno room\n")
    assert sitting.code == 0, sitting
    assert "one letter" in sitting.err
    assert "error: " in sitting.err
    assert "check_in" in sitting.err
    assert "rejected by kim" in sitting.out
    assert bookings() == []


@pytest.mark.parametrize("stdin", ["book\nl\n", "book\n", "book\ne\n\n"])
def test_left_for_later_it_waits(shell: Shell, bookings: Rows, stdin: str) -> None:
    sitting = shell("chat", stdin=stdin)
    assert sitting.code == 3, sitting
    assert len(shell("inbox", "--json").json) == 1
    assert bookings() == []
    again = shell("chat", "--thread", sitting.one("th"), stdin="a\n")
    assert again.code == 0
    assert len(bookings()) == 1


@pytest.mark.parametrize("stdin", ["", "\n", "hello\n\n"])
def test_it_ends_cleanly(shell: Shell, stdin: str) -> None:
    assert shell("chat", stdin=stdin).code == 0


def test_ctrl_c_at_the_prompt_ends_it(shell: Shell) -> None:
    class Interrupting:
        def readline(self) -> str:
            raise KeyboardInterrupt

        def isatty(self) -> bool:
            return False

    from dojang.cli.terminal import Terminal

    shell.monkeypatch.setattr(Terminal, "ask", lambda self, prompt: Interrupting().readline())
    assert shell("chat").code == 0


def test_a_question_of_the_model_is_answered_in_place(shell: Shell) -> None:
    sitting = shell("chat", "--json", stdin="which hotel?\nw\nNamsan Stay\n\n")
    assert sitting.code == 0, sitting
    assert {"role": "user", "text": "Namsan Stay"} in sitting.json["conversation"]


def test_a_thread_that_is_not_there(shell: Shell) -> None:
    assert shell("chat", "--thread", "th_nope").code == 2


def test_show_can_ask_for_the_decision(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    assert shell("show", review, "--decide", stdin="l\n").code == 3
    assert shell("show", review, "--decide", stdin="a\n").code == 0
    assert len(bookings()) == 1
    assert shell("show", review, "--decide").code == 0  # decided already: only shown
