"""Replies are asked once and kept: whatever is killed, full or spoilt, the next evaluation goes on."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import EndpointFault, PromptTooLong, UnreadableReply
from adapters.gate.replies import Kept, ReplyNotKept, Speaker, ask_all, plain, speaker_name
from state import Generation
from tests.adapters.gate.held import Answers, books, held
from tests.graph.parts import calls, says

POINTS = [held(n) for n in range(6)]


def test_each_point_is_asked_once_and_kept(tmp_path: Path) -> None:
    first, second = Answers(books), Answers(books)
    said = ask_all(Speaker("s", first), POINTS, Kept(tmp_path / "r" / "a.jsonl"))
    assert (len(first.asked), said["rv_3"]["tool"], said["rv_3"]["args"]["guests"]) == (6, "book_room", 2)
    assert ask_all(Speaker("s", second), POINTS, Kept(tmp_path / "r" / "a.jsonl")) == said
    assert second.asked == []


def dies(path: Path) -> None:
    """An evaluation that is killed after its fourth reply."""
    generator = Answers(books)

    def die() -> None:
        if len(generator.asked) == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    ask_all(Speaker("s", generator), POINTS, Kept(path), on_reply=die)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a child is killed in the middle of an evaluation")
def test_an_evaluation_that_was_killed_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    child = multiprocessing.get_context("fork").Process(target=dies, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    path.write_bytes(path.read_bytes()[:-20])  # and the last line was torn
    rest, counted = Answers(books), []
    said = ask_all(Speaker("s", rest), POINTS, Kept(path), on_reply=lambda: counted.append(1))
    assert (len(rest.asked), len(said), len(counted)) == (3, 6, 6)
    assert ask_all(Speaker("s", Answers(books)), POINTS, Kept(path)) == said


def test_a_spoilt_reply_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    said = ask_all(Speaker("s", Answers(books)), POINTS, Kept(path))
    path.write_bytes(path.read_bytes().replace(b'\\"guests\\": 2', b'\\"guests\\": 9', 1))
    again = Answers(books)
    after = ask_all(Speaker("s", again), POINTS, Kept(path))
    assert len(again.asked) == 1
    assert [reply["args"] for reply in after.values()] == [reply["args"] for reply in said.values()]


def test_what_a_speaker_cannot_say_counts_and_an_endpoint_that_is_away_does_not(tmp_path: Path) -> None:
    raised: list[Exception] = [PromptTooLong("too long"), UnreadableReply("no turn"), EndpointFault("away")]

    def answer(text: str) -> Generation:
        if raised:
            raise raised.pop(0)
        return books(text)

    kept = Kept(tmp_path / "a.jsonl")
    with pytest.raises(EndpointFault):
        ask_all(Speaker("s", Answers(answer)), POINTS, kept)
    rest = Answers(books)
    said = ask_all(Speaker("s", rest), POINTS, Kept(tmp_path / "a.jsonl"))
    assert [reply["error"] for reply in said.values()] == ["too long", "no turn", "", "", "", ""]
    assert len(rest.asked) == 4


def test_a_full_disk_is_said_and_the_next_call_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path / "a.jsonl")
    ask_all(Speaker("s", Answers(books)), POINTS[:2], kept)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(ReplyNotKept, match="goes on from here"):
            ask_all(Speaker("s", Answers(books)), POINTS, kept)
    assert len(ask_all(Speaker("s", Answers(books)), POINTS, Kept(tmp_path / "a.jsonl"))) == 6


def test_a_speaker_is_asked_with_the_day_of_then(tmp_path: Path) -> None:
    told: list[str] = []
    point = {**held(1), "today": "2026-11-22"}
    ask_all(Speaker("s", Answers(books), told.append), [point], Kept(tmp_path / "a.jsonl"))
    assert told == ["2026-11-22"]


def test_a_turn_is_a_call_a_question_or_words() -> None:
    assert (plain(calls(("a", {"x": 1}), ("b", {})))["tool"], plain(books(""))["args"]["guests"]) == ("a", 2)
    asked: Any = {**says("Which day?"), "clarification": "Which day?", "about": "a.day", "citations": []}
    assert plain(asked) == {**plain(says("")), "tool": "ask_user", "args": {"about": "a.day", "question": "Which day?"},
                            "cited": [], "sources": []}  # fmt: skip
    assert (plain(says("x"))["cited"], plain(says("x"))["sources"]) == (["quote"], ["p1"])


def test_a_speaker_is_named_by_what_it_is() -> None:
    one = speaker_name(base="b", adapter="a", nearest=3)
    assert one == speaker_name(nearest=3, adapter="a", base="b")
    assert len({one, speaker_name(base="b", adapter="a"), speaker_name(base="b", adapter="c", nearest=3)}) == 3
