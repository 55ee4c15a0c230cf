"""What each command does when all is well: result on stdout, the rest on stderr, the exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AnyMessage, ToolMessage

from dojang.cli.invocation import OpenWorkspace
from dojang.workspace import Workspace
from state import Generation, PassingFault
from tests.dojang.conftest import Shell
from tests.dojang.workspaces import Rehearsed, RehearsedParts, rehearsed

Rows = Callable[[], list[tuple[Any, ...]]]


@pytest.fixture
def read_in(shell: Shell, tmp_path: Path) -> Shell:
    """A shell whose store holds one English and one Korean document."""
    (tmp_path / "rules.md").write_text("# Rules\n\nBreakfast is served from 7 to 10. Pets are welcome.\n")
    (tmp_path / "수칙.md").write_text("# 수칙\n\n조식은 7시부터 10시까지 제공됩니다. 반려동물도 환영합니다.\n")
    result = shell("ingest", str(tmp_path / "rules.md"), str(tmp_path / "수칙.md"))
    assert result.code == 0, result
    assert result.out.startswith("2 added, 0 replaced, 0 unchanged, 0 not read")
    return shell


@pytest.mark.parametrize(
    ("question", "document", "quoted"),
    [
        ("When is breakfast served?", "rules.md", "Breakfast is served from 7 to 10."),
        ("조식은 언제인가요?", "수칙.md", "조식은 7시부터 10시까지 제공됩니다."),
    ],
)
def test_an_answer_names_the_characters_it_comes_from(
    read_in: Shell, tmp_path: Path, question: str, document: str, quoted: str
) -> None:
    result = read_in("ask", question)
    start = (tmp_path / document).read_text().index(quoted)
    assert result.code == 0
    assert f"[1] {document}, characters {start}–{start + len(quoted)}: “{quoted}”" in result.out
    assert "conversation th_" in result.err
    assert "documents searched" in result.err


def test_the_json_answer_carries_the_source_read_back_from_the_store(read_in: Shell) -> None:
    answer = read_in("--json", "ask", "When is breakfast served?").json["answer"]
    assert [c["source"] for c in answer["citations"]] == ["Breakfast is served from 7 to 10."]


def test_reading_in_again_changes_nothing(read_in: Shell, tmp_path: Path) -> None:
    assert read_in("ingest", str(tmp_path / "rules.md"), "--json").json["unchanged"] == ["rules.md"]
    assert [d["name"] for d in read_in("documents", "--json").json] == ["rules.md", "수칙.md"]
    assert "수칙.md" in read_in("documents").out


def test_search_shows_scores_and_places(read_in: Shell) -> None:
    result = read_in("search", "반려동물", "-k", "1")
    assert result.out.startswith("1. 수칙.md, characters ")
    assert "lexical" in result.out
    assert "반려동물도 환영합니다" in result.out
    nothing = read_in("search", "quantum", "--json")
    assert (nothing.code, nothing.json) == (0, [])


def test_the_sample_comes_with_documents_and_tables(shell: Shell, bookings: Rows) -> None:
    assert shell("ingest", "--sample").code == 0
    assert len(shell("documents", "--json").json) >= 10
    assert bookings() == []  # the table is there, and only the sample's own rows are in it


def test_a_booking_waits_is_shown_approved_and_made_once(shell: Shell, bookings: Rows) -> None:
    asked = shell("ask", "please book it")
    assert asked.code == 3
    review = asked.one("rv")
    assert f"dojang approve {review}" in asked.out

    inbox = shell("inbox")
    assert (inbox.code, inbox.out.count("rv_")) == (0, 1)
    assert "Book Namsan Stay for Emma Lee, 3–5 December 2026, 2 guests (deluxe)." in inbox.out

    card = shell("show", review).out
    digest = shell("show", review, "--json").json["review"]["digest"]
    for part in ('"Namsan Stay"', '"2026-12-03"', "guests     2", digest, "writes, can be undone", "please book it"):
        assert part in card
    assert "A booking is checked by a person before it is made." in card
    assert bookings() == []

    approved = shell("approve", review, "--digest", digest)
    assert approved.code == 0, approved
    assert f"Review {review}: approved by kim" in approved.out
    assert "Booking BK-2041 is confirmed" in approved.out
    assert "[1] the tool's result, characters 0–" in approved.out
    assert bookings() == [("BK-2041", "Emma Lee", 2, "2026-12-03")]
    assert shell("inbox", "--json").json == []
    assert "approved, kim" in shell("show", review).out


def test_a_card_is_read_in_korean_whatever_the_request_was_written_in(shell: Shell) -> None:
    _thread, review = shell.paused()
    card = shell("show", review, "--lang", "ko").out
    assert "Namsan Stay에 Emma Lee 님 이름으로 2026년 12월 3일~5일, 2명, 디럭스 객실을 예약합니다." in card
    assert "결재 대기" in card
    assert "되돌릴 수 있음" in card


def test_the_way_in_korean(shell: Shell, bookings: Rows) -> None:
    asked = shell("--lang", "ko", "ask", "남산스테이 예약해 주세요")
    assert asked.code == 3
    assert "결재를 기다리는 검토" in asked.out
    approved = shell("--lang", "ko", "approve", asked.one("rv"), "--user", "김대리")
    assert "김대리 님이 승인함" in approved.out
    assert "예약되었습니다" in approved.out
    assert bookings() == [("BK-2041", "김하나", 2, "2026-12-03")]


def test_a_guest_who_writes_korean_is_told_in_korean_why_it_did_not_work(shell: Shell) -> None:
    asked = shell("ask", "취소해 주세요: cancel BK-9999")
    done = shell("approve", asked.one("rv"), "--json").json
    why = "실행하지 못했습니다: 그런 예약이 없습니다: BK-9999. 번호를 확인하십시오."
    assert done["run"]["answer"]["text"] == f"{why} [1]"
    assert [outcome["error"] for outcome in done["run"]["outcomes"]] == [
        "There is no booking BK-9999; check the number."
    ]


def test_an_edit_keeps_what_it_does_not_name(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    edited = shell("edit", review, "--set", "guests=3", "--set", "guest=김하늘", "--json")
    assert edited.code == 0
    assert edited.json["decision"]["edited_args"]["guests"] == 3
    assert bookings() == [("BK-2041", "김하늘", 3, "2026-12-03")]


def test_an_edit_by_whole_arguments(shell: Shell, bookings: Rows) -> None:
    _thread, review = shell.paused()
    args = '{"hotel": "Namsan Stay", "guest": "Bo", "check_in": "2026-12-24", "check_out": "2026-12-25", "guests": 1}'
    assert shell("edit", review, "--args", args).code == 0
    assert bookings() == [("BK-2041", "Bo", 1, "2026-12-24")]


def test_a_rejection_runs_nothing_and_says_why(shell: Shell, bookings: Rows) -> None:
    thread, review = shell.paused()
    rejected = shell("reject", review, "--reason", "fully booked")
    assert rejected.code == 0
    assert "book_room — refused: Rejected by kim: fully booked" in rejected.out
    assert bookings() == []
    assert shell("show", review, "--json").json["decision"]["reason"] == "fully booked"
    assert "fully booked" in shell("thread", thread).out


def test_a_question_is_answered(shell: Shell) -> None:
    asked = shell("ask", "어느 호텔이 좋을까요?")
    assert asked.code == 3
    assert "어느 호텔입니까?" in asked.out
    answered = shell("answer", asked.one("rv"), "해운대")
    assert answered.code == 0, answered
    assert "답" in answered.out
    assert "guest: 해운대" in shell("thread", asked.one("th")).out


def test_threads_thread_and_history(shell: Shell) -> None:
    thread, review = shell.paused()
    rows = shell("threads", "--json").json
    assert [(r["thread_id"], r["title"], r["status"]) for r in rows] == [(thread, "please book it", "interrupted")]
    assert "please book it" in shell("threads").out
    stands = shell("thread", thread, "--json")
    assert (stands.code, stands.json["status"]) == (0, "paused")
    assert Path(stands.json["folder"]).is_dir()
    steps = shell("history", thread, "--json").json
    assert steps[0]["review_ids"] == [review]
    assert [s["number"] for s in steps] == sorted((s["number"] for s in steps), reverse=True)
    assert review in shell("history", thread).out
    assert len(shell("history", thread, "--limit", "2", "--json").json) == 2


def test_a_thread_goes_on(shell: Shell) -> None:
    thread = shell("ask", "hello", "--json").json["thread_id"]
    again = shell("ask", "and again", "--thread", thread, "--json")
    assert (again.code, again.json["thread_id"]) == (0, thread)
    assert shell("resume", thread).code == 0
    said = [m["text"] for m in shell("thread", thread, "--json").json["conversation"] if m["role"] == "user"]
    assert said == ["hello", "and again"]


@pytest.mark.parametrize(
    "words",
    [
        ("ask", "hello"),
        ("ask", "book"),
        ("inbox",),
        ("threads",),
        ("documents",),
        ("search", "hello"),
        ("settings",),
        ("checkpoints", "verify"),
        ("show", "rv_0"),
        ("approve", "rv_0"),
        ("thread", "th_0"),
        ("no-such-command",),
        ("ask",),
    ],
)
def test_json_is_one_document_before_or_after_the_command(shell: Shell, words: tuple[str, ...]) -> None:
    before, after = shell("--json", *words), shell(*words, "--json")
    assert before.code == after.code
    assert type(before.json) is type(after.json)
    if before.code not in (0, 3):
        assert before.json["error"]["exit_code"] == before.code
        assert before.json["error"]["message"] in before.err


def test_settings_hide_secrets(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_DATABASE_URL", "postgresql://kim:hunter2@localhost/x")
    monkeypatch.setenv("DOJANG_MODEL_API_KEY", "sk-secret")
    for result in (shell("settings"), shell("settings", "--json")):
        assert result.code == 0
        assert "hunter2" not in result.out + result.err
        assert "sk-secret" not in result.out + result.err
        assert "********" in result.out
    assert "DOJANG_POLICY" in shell("settings").out
    assert shell("settings", "--json").json["passages_k"] == 4


def test_text_that_would_move_the_cursor_is_written_out(shell: Shell) -> None:
    asked = shell("ask", "hello \x1b[2Jbook\u202e")
    thread = asked.one("th")
    shown = shell("thread", thread).out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\u{1b}[2Jbook\\u{202e}" in shown


class Failing(Rehearsed):
    """An endpoint that is away, for everything or only for what comes after a tool has run."""

    always = False

    def reply(self, messages: Sequence[AnyMessage], **others: Any) -> Generation:
        if self.always or isinstance(messages[-1], ToolMessage):
            raise PassingFault("the model does not answer; try again")
        return super().reply(messages, **others)


def failing(always: bool) -> OpenWorkspace:
    generator = Failing()
    generator.always = always
    return lambda settings: Workspace(settings, parts=RehearsedParts(settings, generator=generator))


def test_after_a_failure_the_way_on_is_named(shell: Shell, bookings: Rows) -> None:
    thread, review = shell.paused()
    shell.open_workspace = failing(always=False)
    broken = shell("approve", review)
    assert broken.code == 5
    assert f"dojang resume {thread}" in broken.err
    assert len(bookings()) == 1
    shell.open_workspace = rehearsed
    assert "Booking BK-2041 is confirmed" in shell("resume", thread).out
    assert len(bookings()) == 1


def test_a_question_that_broke_off_can_be_resumed(shell: Shell) -> None:
    shell.open_workspace = failing(always=True)
    broken = shell("ask", "hello")
    assert broken.code == 5
    thread = broken.one("th")
    assert f"dojang resume {thread}" in broken.err
    shell.open_workspace = rehearsed
    assert shell("resume", thread).code == 0


def test_a_question_that_broke_off_can_be_left_behind(read_in: Shell) -> None:
    read_in.open_workspace = failing(always=True)
    thread = read_in("ask", "hello").one("th")
    read_in.open_workspace = rehearsed
    went_on = read_in("ask", "When is breakfast served?", "--thread", thread)
    assert went_on.code == 0
    assert "Breakfast is served from 7 to 10." in went_on.out


@pytest.mark.usefixtures("at_home")
def test_a_call_that_broke_off_has_to_be_finished_first(
    shell: Shell, bookings: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, review = shell.paused()
    with monkeypatch.context() as away:
        away.setattr("tools.toolbox.Toolbox.run", _away)
        assert shell("approve", review).code == 5
    refused = shell("ask", "more", "--thread", thread)
    assert refused.code == 4
    assert f"dojang resume {thread}" in refused.err
    assert bookings() == []
    assert shell("resume", thread).code == 0
    assert len(bookings()) == 1


def _away(*_given: Any, **_named: Any) -> Any:
    raise PassingFault("the booking system does not answer; try again")


@pytest.mark.parametrize("text", ["?!", "👍", "…"])
def test_a_message_without_words_is_answered_like_any_other(shell: Shell, text: str) -> None:
    assert shell("ask", text).code == 0
