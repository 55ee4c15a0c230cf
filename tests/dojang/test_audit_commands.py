"""The audit on the command line: what the whole program notes, how it is checked, listed and given away."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints.audit.chain import HEAD
from checkpoints.audit.check import verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditLog
from tests.dojang.conftest import Shell, finished
from tests.sessions_in_postgres import changed_by_hand

Rows = Callable[[], list[tuple[Any, ...]]]


def events(shell: Shell, *words: str) -> list[tuple[str, str]]:
    """(event, actor), oldest first."""
    return [(r["event"], r["actor"]) for r in reversed(shell("audit", "list", *words, "--json").json)]


def test_who_saw_what_and_decided_what(shell: Shell, bookings: Rows) -> None:
    thread, review = shell.paused()
    assert shell("show", review, "--user", "김대리").code == 0
    assert shell("approve", review, "--user", "김대리", "--reason", "손님 확인함").code == 0
    assert shell("reject", review, "--reason", "만실", "--user", "이과장").code == 4
    assert events(shell, "--thread", thread) == [
        ("review.opened", "dojang"),
        ("review.shown", "kim"),  # whoever asked is told what waits
        ("review.shown", "김대리"),
        ("decision.recorded", "김대리"),
        ("run.released", "김대리"),
        ("effect.intended", "dojang"),
        ("effect.ended", "dojang"),
        ("decision.refused", "이과장"),
        ("review.shown", "이과장"),  # the loser is told what became of it
    ]
    refused = shell("audit", "list", "--thread", thread, "--json").json[1]
    assert (refused["facts"]["lost_to"], refused["subject"]) == ("김대리", review)
    assert [e for e, _ in events(shell)].count("policy.seen") == 1
    with shell.backend() as kept:
        text = json.dumps(kept.log(thread, "audit").records(), ensure_ascii=False)
    assert "김대리" in text
    for content in ("손님 확인함", "만실", "Emma Lee", "Namsan Stay"):
        assert content not in text
    checked = shell("audit", "verify")
    assert (checked.code, checked.out.split(",")[0]) == (0, "2 chains"), checked
    assert "0 problems" in checked.out
    assert len(bookings()) == 1


def test_every_change_of_the_policy_is_noted_also_the_way_back(shell: Shell, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[[rule]]\nid = "b"\ntext = "b"\non = "answer"\noutcome = "auto"\n', encoding="utf-8")
    for policy in (None, other, None):
        with shell.monkeypatch.context() as m:
            if policy is not None:
                m.setenv("DOJANG_POLICY", str(policy))
            assert shell("ask", "hello").code == 0
    seen = [r["subject"] for r in reversed(shell("audit", "list", "--json").json) if r["event"] == "policy.seen"]
    assert len(seen) == 3
    assert seen[0] == seen[2] != seen[1]


def test_a_stale_decision_is_noted_as_refused(shell: Shell) -> None:
    thread, review = shell.paused()
    assert shell("approve", review, "--digest", "sha256:0").code == 4
    noted = shell("audit", "list", "--thread", thread, "--json").json
    refused = [record["facts"]["why"] for record in noted if record["event"] == "decision.refused"]
    assert refused == ["StaleDecision"]


def test_a_changed_record_is_named(shell: Shell) -> None:
    thread, _review = shell.paused()
    with shell.backend() as kept:
        changed_by_hand(kept, thread, "audit", "review.opened", "review.closed")
        path = kept.log(thread, "audit").path
    checked = shell("audit", "verify")
    assert checked.code == 70
    assert f"PROBLEM {path}, record 1" in checked.out
    korean = shell("audit", "verify", "--lang", "ko")
    assert f"문제 {path}, 기록 1" in korean.out
    assert shell("audit", "verify", "--json").json["problems"] >= 1


def test_with_a_broken_chain_nothing_is_released_until_it_is_begun_anew(shell: Shell, bookings: Rows) -> None:
    thread, review = shell.paused()
    with shell.backend() as kept:
        kept.replace_note(thread, HEAD, None)
    stopped = shell("approve", review)
    assert stopped.code == 70
    assert "dojang audit reopen" in stopped.err
    assert bookings() == []
    assert shell("audit", "reopen", "--thread", "th_0", "--reason", "x").code == 2
    assert shell("audit", "reopen", "--thread", thread, "--reason", " ").code == 2
    reopened = shell("audit", "reopen", "--thread", thread, "--reason", "디스크 고장")
    assert reopened.code == 0, reopened
    assert "audit.jsonl.broken-" in reopened.out
    assert shell("resume", thread).code == 0  # the decision had been recorded
    assert len(bookings()) == 1
    checked = shell("audit", "verify")
    assert checked.code == 0, checked
    assert "디스크 고장" in checked.out


def test_what_cannot_be_noted_is_not_shown(shell: Shell) -> None:
    _thread, review = shell.paused()
    next(shell.home.glob("keys/*.key")).unlink()
    hidden = shell("show", review)
    assert hidden.code == 70
    assert "Namsan Stay" not in hidden.out
    assert "rotate-key" in hidden.err
    assert shell("audit", "rotate-key").code == 0
    assert shell("show", review).code == 0


@pytest.mark.parametrize("instant", ["recorded", "ran"])
def test_after_a_kill_resume_catches_up(shell: Shell, instant: str) -> None:
    thread, review = shell.paused()
    assert finished(shell.process("approve", review, DOJANG_TEST_DIE=instant)).code < 0
    assert shell("resume", thread).code == 0
    assert shell("audit", "verify").code == 0
    found = [event for event, _ in events(shell, "--thread", thread)]
    for once in ("review.opened", "decision.recorded", "effect.intended", "effect.ended"):
        assert found.count(once) == 1, found


def test_killed_between_the_decision_and_its_record(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision log has it, the chain has not: reported, and added by resume."""

    def lost(_self: AuditLog, _thread_id: str) -> int:
        raise KeyboardInterrupt

    thread, review = shell.paused()
    with monkeypatch.context() as cut:
        cut.setattr(AuditLog, "catch_up", lost)
        assert shell("approve", review, "--user", "이과장").code == 130
    checked = shell("audit", "verify")
    assert checked.code == 70
    assert f"decision.recorded of {review} by 이과장 is missing from the chain" in checked.out
    assert shell("resume", thread).code == 0
    assert shell("audit", "verify").code == 0
    assert ("decision.recorded", "이과장") in events(shell, "--thread", thread)


def test_export_as_lines_that_can_be_checked_again(shell: Shell) -> None:
    thread, _review = shell.paused()
    exported = shell("audit", "export", "--thread", thread)
    lines = [json.loads(line) for line in exported.out.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2]
    assert set(lines[0]) >= {"prev", "signature", "content_sha256"}
    assert events(shell)[-1] == ("audit.exported", "kim")
    assert shell("audit", "export", "--since", "2999-01-01").out == ""
    assert len(shell("audit", "export", "--since", "2020-01-01", "--json").json) >= 4
    assert shell("audit", "export", "--since", "어제").code == 2
    assert shell("audit", "export", "--thread", "th_0").code == 2
    assert shell("checkpoints", "export", thread).code == 0
    assert events(shell, "--thread", thread)[-1] == ("thread.exported", "kim")


@pytest.mark.parametrize(
    "name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "＝1", "김,\"대\n리'", "\ufeff=1"]
)
def test_a_spreadsheet_runs_nothing_of_an_export(shell: Shell, name: str) -> None:
    with shell.backend() as kept:
        AuditLog(kept, shell.home / "keys").note(None, "review.shown", name, name, {"=k": "=v"})
    exported = shell("audit", "export", "--format", "csv").out
    assert exported.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(exported.removeprefix("\ufeff"), newline="")))
    shown = next(row for row in rows if row["event"] == "review.shown")
    for row in rows:
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert shown["actor"].endswith(name.lstrip("\t ").replace("\ufeff", "\\u{feff}"))


def test_a_new_key_and_a_checker_who_has_the_first(shell: Shell, tmp_path: Path) -> None:
    shell.paused()
    given = tmp_path / "given"
    given.mkdir()
    for path in shell.home.glob("keys/*.pub"):
        shutil.copy(path, given)
    rotated = shell("audit", "rotate-key", "--json")
    assert Path(rotated.json["public_key"]).exists()
    shell.paused()
    assert shell("audit", "verify", "--keys", str(given), "--every-signature").code == 0
    assert shell("audit", "verify", "--keys", str(tmp_path)).code == 70


def test_list_in_korean_and_of_nothing(shell: Shell) -> None:
    assert shell("audit", "list").code == 0
    assert "nothing has been noted yet" in shell("audit", "list").err
    assert shell("audit", "verify").code == 0
    assert not (shell.home / "keys").exists()  # looking makes nothing
    shell.paused()
    assert "검토 열림" in shell("audit", "list", "--lang", "ko").out


def test_two_homes_do_not_know_each_other(tmp_path: Path) -> None:
    for name in ("하나", "둘"):
        home = tmp_path / name
        audit = AuditLog(home / "threads", home / "keys")
        assert AuditedDecisions(home / "threads", audit).of("t") == {}
        audit.note("t", "review.shown", "김대리", "r")
    shutil.rmtree(tmp_path / "하나" / "threads")
    shutil.copytree(tmp_path / "둘" / "threads", tmp_path / "하나" / "threads")
    assert verify_audit(tmp_path / "하나")["problems"] > 0
