"""The outbox in a session's ledger: put once, open until it is told, found without opening every session."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from checkpoints import EffectLedger, verify
from checkpoints.backend import Backend
from checkpoints.files.crypto import KeyRing
from checkpoints.records.notices import NoticeLog
from tests.checkpoints.audited import ACTION, folder, lived, problems

SAID = {"tool": "book_room", "why": ["Bookings are told."]}


def notices(home: Path, keys: KeyRing | None = None) -> NoticeLog:
    return NoticeLog(home / "threads", keys=keys)


def test_a_notice_is_put_once_and_open_until_it_is_told(where: Backend) -> None:
    log = NoticeLog(where)
    assert (log.threads(), log.open("t")) == ([], [])
    assert log.put("t", "n1", "call.passed", SAID)
    assert not NoticeLog(where).put("t", "n1", "call.passed", SAID)
    assert log.put("t", "n2", "call.passed", SAID)
    again = NoticeLog(where)
    assert again.threads() == ["t"]
    assert [(n["id"], n["event"], n["facts"]) for n in again.open("t")] == [
        ("n1", "call.passed", SAID),
        ("n2", "call.passed", SAID),
    ]
    again.told("t", "n1")
    again.settle("t")
    assert ([n["id"] for n in log.open("t")], log.threads()) == (["n2"], ["t"])
    again.told("t", "n2")
    again.settle("t")
    assert (log.open("t"), log.threads()) == ([], [])
    assert not log.put("t", "n1", "call.passed", SAID)  # it was told: a run that is gone on with tells nothing twice
    assert log.threads() == []


def test_of_many_that_put_one_notice_one_does(where: Backend) -> None:
    with ThreadPoolExecutor(8) as pool:
        put = list(pool.map(lambda _: NoticeLog(where).put("t", "n1", "call.passed", SAID), range(24)))
    assert put.count(True) == 1
    assert len(NoticeLog(where).open("t")) == 1
    with NoticeLog(where).sending() as first, NoticeLog(where).sending() as second:
        assert (first, second) == (True, False)
    with NoticeLog(where).sending() as third:
        assert third


def test_effects_and_notices_share_a_file_and_do_not_mix(tmp_path: Path) -> None:
    log, ledger = notices(tmp_path), EffectLedger(tmp_path / "threads")
    log.put("t", "k", "call.passed", SAID)
    assert ledger.begin("t", "k", ACTION, "at_most_once") == "fresh"
    assert [entry["k"] for entry in ledger.entries("t")] == ["intent"]
    assert [n["id"] for n in log.open("t")] == ["k"]
    assert verify(tmp_path / "threads")["damaged"] == []


def test_a_sealed_session_seals_what_it_has_to_tell(tmp_path: Path) -> None:
    keys = KeyRing.of(bytes([1]) * 32)
    notices(tmp_path, keys).put("t", "n1", "call.passed", SAID)
    assert "book_room" not in (folder(tmp_path) / "ledger.jsonl").read_text(encoding="utf-8")
    assert [n["facts"] for n in notices(tmp_path, keys).open("t")] == [SAID]
    assert notices(tmp_path, keys).threads() == ["t"]


def test_one_process_sends_at_a_time(tmp_path: Path) -> None:
    with notices(tmp_path).sending() as first, notices(tmp_path).sending() as second:
        assert (first, second) == (True, False)
    with notices(tmp_path).sending() as third:
        assert third


def test_a_thread_that_is_gone_has_nothing_to_tell(tmp_path: Path) -> None:
    log = notices(tmp_path)
    log.put("t", "n1", "call.passed", SAID)
    log.folders.remove("t")
    assert log.threads() == []


def test_erasing_a_conversation_erases_what_it_still_had_to_tell(tmp_path: Path) -> None:
    from checkpoints.upkeep.erasing import erase_thread

    audit = lived(tmp_path)
    notices(tmp_path).put("t", "n1", "call.passed", {"why": ["about Hong"]})
    erase_thread(audit, "t", "admin", "law")
    assert notices(tmp_path).open("t") == []
    assert "Hong" not in (folder(tmp_path) / "ledger.jsonl").read_text(encoding="utf-8")
    assert problems(tmp_path) == []


@pytest.mark.parametrize("left", [b"", b'{"k": "notice"'])
def test_a_mark_without_its_notice_is_taken_away(tmp_path: Path, left: bytes) -> None:
    """What a crash between the mark and the record leaves."""
    log = notices(tmp_path)
    log.put("t", "n1", "call.passed", SAID)
    log.told("t", "n1")
    with (folder(tmp_path) / "ledger.jsonl").open("ab") as file:
        file.write(left)
    assert log.threads() == ["t"]
    log.settle("t")
    assert log.threads() == []
