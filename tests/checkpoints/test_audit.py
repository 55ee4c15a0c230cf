"""The audit chain: every change is found, a crash is not taken for one, and nobody waits long for either."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

import checkpoints.audit.trail
import checkpoints.files.backend
from checkpoints import DecisionLog, DiskFault, EffectLedger
from checkpoints.audit.chain import BrokenAudit, Note
from checkpoints.audit.check import verify_audit
from checkpoints.audit.keys import BadKey, Keys
from checkpoints.audit.trail import AuditedLedger, AuditLog
from state import Outcome, Review
from tests.checkpoints.audited import ACTION, folder, log, notes, outcome, problems
from tests.checkpoints.cases import decision, review
from tests.processes import Forked


def test_what_happened_is_in_the_chain_and_contents_are_not(made: Path) -> None:
    report = verify_audit(made)
    assert (report["problems"], report["findings"]) == (0, [])
    records = log(made).records("t")
    assert [(r["event"], r["actor"]) for r in records] == [
        ("review.shown", "김하나"),
        ("decision.recorded", "김하나"),
        ("decision.refused", "이두리"),
        ("effect.intended", "dojang"),
        ("effect.ended", "dojang"),
    ]
    assert records[2]["facts"]["lost_to"] == "김하나"
    assert records[4]["facts"]["status"] == "done"
    assert [r["event"] for r in log(made).records(None)] == ["key.made", "thread.began", "thread.anchored"]
    data = (folder(made) / "audit.jsonl").read_text(encoding="utf-8")
    assert "김하나" in data
    assert "확인함" not in data
    assert "만실" not in data
    assert len(records[1]["content_sha256"]) == 64


def test_files_are_for_their_owner_alone(made: Path) -> None:
    for path in (*made.glob("keys/*"), *made.glob("audit.*"), *folder(made).glob("audit.*")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((made / "keys").stat().st_mode) == 0o700


def test_what_a_crash_left_out_is_reported_and_caught_up_with_once(home: Path) -> None:
    """The decision and the outcome are on the disk, their records are not: as after kill -9 in between."""
    DecisionLog(home / "threads").record("t", decision("r2", by="이두리", reason="괜찮음"))
    ledger = EffectLedger(home / "threads")
    ledger.begin("t", "k2", ACTION, "at_most_once")
    ledger.finish("t", "k2", Outcome(**{**outcome("in_doubt"), "key": "k2"}))
    assert len(problems(home)) == 3
    assert all("dojang resume t" in f["what"] for f in problems(home))
    audit = log(home)
    assert (audit.catch_up("t"), audit.catch_up("t"), log(home).catch_up("t")) == (3, 0, 0)
    ledger.finish("t", "k2", Outcome(**{**outcome(), "key": "k2"}))  # a person settled it
    assert (audit.catch_up("t"), log(home).catch_up("t")) == (1, 0)
    assert problems(home) == []


def test_what_is_the_one_now_is_noted_when_it_changes_whoever_noted_what_in_between(tmp_path: Path) -> None:
    audit, other = log(tmp_path), log(tmp_path)
    seen = "policy.seen"
    assert [audit.changed(seen, "김하나", v, {}) for v in ("v1", "v1", "v1", "v2", "v2")] == [1, 0, 0, 1, 0]
    assert [other.changed(seen, "김하나", version, {}) for version in ("v2", "v1")] == [0, 1]
    assert [audit.changed(seen, "김하나", version, {}) for version in ("v2", "v2")] == [1, 0]
    other.note(None, "gate.run", "김하나", "a-1")
    assert [audit.changed(seen, "김하나", version, {}) for version in ("v2", "v2")] == [0, 0]
    assert [r["subject"] for r in audit.records(None) if r["event"] == seen] == ["v1", "v2", "v1", "v2"]
    assert problems(tmp_path) == []


@pytest.mark.parametrize("file", ["audit.head", "audit.jsonl"])
def test_what_was_noted_before_does_not_hide_a_broken_chain(file: str, tmp_path: Path) -> None:
    audit = log(tmp_path)
    for _ in range(3):
        audit.changed("policy.seen", "김하나", "v1", {})
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[: -20 if file == "audit.head" else -1_200])
    with pytest.raises(BrokenAudit):
        audit.changed("policy.seen", "김하나", "v1", {})


def test_a_review_is_opened_once(tmp_path: Path) -> None:
    audit = log(tmp_path)
    more = {"digest": "d", "policy_version": "v1", "created_at": "2026-01-01", "action": ACTION, "tier": 2}
    opened = cast(Review, {**review("rv_1", "t"), **more})
    assert [audit.opened([opened]), audit.opened([opened]), log(tmp_path).opened([opened])] == [1, 0, 0]
    facts = audit.records("t")[0]["facts"]
    assert (facts["kind"], facts["tool"], facts["tier"]) == ("tool", ACTION["tool"], 2)
    assert audit.note(None, "policy.seen", "dojang", "v1", once=True)
    assert not log(tmp_path).note(None, "policy.seen", "dojang", "v1", once=True)
    assert problems(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import checkpoints.audit.chain as chain
import checkpoints.files.backend as files
from checkpoints.audit.trail import AuditLog
home, step = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def dying(real, name):
    def wrapped(*args, **kw):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kw)
    return wrapped
files.replace_file = dying(files.replace_file, "head")
chain.Chain._records = dying(chain.Chain._records, "records")
audit = AuditLog(home / "threads", home / "keys")
for i in range(3):
    audit.note("t", "review.shown", "김하나", f"r{i}")
"""


def child(script: str, *words: object) -> Forked:
    return Forked(words=[*map(str, words)], code=script)


def test_killed_at_every_instant_the_chain_is_right_and_goes_on(tmp_path: Path) -> None:
    lagged = 0
    for step in range(1, 40):
        home = tmp_path / str(step)
        with child(KILLED, home, step) as killed:
            code = killed.wait(60)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert problems(home) == [], step
        lagged += any("behind" in n for n in notes(home))
        log(home).note("t", "review.shown", "이두리", "r9")
        assert (problems(home), notes(home)) == ([], []), step
        assert log(home).records("t")[-1]["actor"] == "이두리"
    else:
        raise AssertionError("it never ended")
    assert step > 8
    assert lagged >= 4  # killed between record and head


def test_a_torn_append_is_not_tampering(home: Path) -> None:
    path = folder(home) / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"crc":"12345678","prev":"0000')
    assert problems(home) == []
    assert "cut short" in notes(home)[0]
    log(home).note("t", "review.shown", "김하나", "r")
    assert (problems(home), notes(home), path.read_bytes()[: len(whole)]) == ([], [], whole)


EIGHT = """
import sys
from pathlib import Path
from checkpoints.audit.trail import AuditLog
home, name = Path(sys.argv[1]), sys.argv[2]
audit = AuditLog(home / "threads", home / "keys")
sys.stdin.read()
for i in range(12):
    audit.note("t", "review.shown", name, f"r{i}")
    audit.note(None, "policy.seen", name, "v1", once=True)
    audit.note("t", "review.opened", name, f"r{i}", once=True)
"""


def test_eight_processes_make_one_key_and_one_chain(tmp_path: Path) -> None:
    racers = [Forked(words=[str(tmp_path), f"손{n}"], code=EIGHT, stdin=True) for n in range(8)]
    for racer in racers:
        racer.stdin.close()
    for racer in racers:
        racer.communicate(120)
    assert [racer.returncode for racer in racers] == [0] * 8
    assert (problems(tmp_path), notes(tmp_path)) == ([], [])
    events = [r["event"] for r in log(tmp_path).records("t")]
    assert (events.count("review.shown"), events.count("review.opened")) == (96, 12)
    assert [r["event"] for r in log(tmp_path).records(None)].count("policy.seen") == 1
    assert len(list(tmp_path.glob("keys/*.key"))) == 1


@pytest.mark.parametrize("what", ["key", "disk"])
def test_without_the_record_nothing_begins(home: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    ledger = AuditedLedger(home / "threads", log(home))
    with monkeypatch.context() as broken:
        if what == "key":
            kept = next(home.glob("keys/*.key")).rename(home / "kept")
        else:

            def full(*_args: object) -> None:
                raise DiskFault("full")

            broken.setattr(checkpoints.files.backend, "replace_file", full)
        with pytest.raises(BadKey if what == "key" else DiskFault):
            ledger.begin("t", "k2", ACTION, "at_most_once")
        if what == "key":
            kept.rename(home / "keys" / f"audit-{Keys(home / 'keys')._current()}.key")
    assert ledger.begin("t", "k2", ACTION, "at_most_once") == "open"  # begun, and certainly not run by us
    assert problems(home) == []


def test_a_head_is_written_only_when_its_record_is_on_the_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder(home) / "audit.head").read_bytes()

    def failing(_fd: int) -> None:
        raise OSError(5, "I/O error")

    audit = log(home)
    with monkeypatch.context() as broken:
        broken.setattr("checkpoints.files.journal.sync_file", failing)
        with pytest.raises(DiskFault):
            audit.note("t", "review.shown", "김하나", "r")
    assert (folder(home) / "audit.head").read_bytes() == before
    audit.note("t", "review.shown", "김하나", "r")
    assert (problems(home), notes(home)) == ([], [])


def test_a_broken_chain_can_be_begun_anew_and_that_is_never_forgotten(home: Path) -> None:
    (folder(home) / "audit.head").unlink()
    kept = log(home).reopen("t", "관리자", "디스크 고장")
    assert [path.name.split(".broken-")[0] for path in kept] == ["audit.jsonl"]
    assert problems(home) == []
    assert any("관리자" in n and "디스크 고장" in n for n in notes(home))
    assert [r["event"] for r in log(home).records("t")] == ["decision.recorded", "effect.intended", "effect.ended"]
    (home / "audit.head").unlink()
    log(home).reopen(None, "관리자", "또 고장")
    log(home).note("t", "review.shown", "김하나", "r")
    assert problems(home) == []
    assert any("또 고장" in n for n in notes(home))


def test_after_a_rotation_the_old_public_key_still_checks(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "keys", tmp_path / "given", ignore=shutil.ignore_patterns("*.key", "audit.current"))
    audit = log(home)
    first = audit.keys.signer().key_id
    second = audit.rotate_key("관리자")
    audit.note("t", "review.shown", "김하나", "r")
    log(home).note("t", "review.shown", "이두리", "r")
    assert [r["key_id"] for r in audit.records("t")] == [first] * 5 + [second] * 2
    assert problems(home) == []
    assert verify_audit(home, thorough=True)["problems"] == 0
    assert problems(home, keys=tmp_path / "given") == []  # the old key vouches for the new one
    shutil.rmtree(tmp_path / "given")
    assert any("not among the public keys" in f["what"] for f in problems(home, keys=tmp_path / "given"))


def test_a_lost_key_can_be_replaced(home: Path) -> None:
    next(home.glob("keys/*.key")).unlink()
    with pytest.raises(BadKey, match="rotate-key"):
        log(home).note("t", "review.shown", "김하나", "r")
    log(home).rotate_key("관리자")
    log(home).note("t", "review.shown", "김하나", "r")
    assert problems(home) == []


def test_a_session_moved_to_another_home_needs_its_public_key(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    log(other).note("셋", "review.shown", "김하나", "r")
    shutil.copytree(folder(home), folder(other))
    assert any("not among the public keys" in f["what"] for f in problems(other))
    with pytest.raises(BrokenAudit, match="public keys"):
        log(other).note("t", "review.shown", "김하나", "r")
    shutil.copy(next(home.glob("keys/*.pub")), other / "keys")
    assert (problems(other), len(notes(other))) == ([], 1)
    log(other).note("t", "review.shown", "김하나", "r")
    assert (problems(other), notes(other)) == ([], [])


def test_the_time_is_the_clocks(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "threads", tmp_path / "keys", clock=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    audit.note("t", "review.shown", "김하나", "r")
    assert audit.records("t")[0]["at"] == "2026-11-22T00:00:00+00:00"


def test_ten_thousand_records_are_checked_within_two_seconds(tmp_path: Path) -> None:
    audit = log(tmp_path)
    audit.note("t", "review.shown", "김하나", "r")
    shown = [
        Note("review.shown", "김하나", f"rv_{i}", {"channel": "console", "digest": "a" * 64}) for i in range(10_000)
    ]
    audit._chain("t").extend(lambda _chain: shown)
    began = time.process_time()
    report = verify_audit(tmp_path)
    assert (report["records"], report["problems"]) == (10_003, 0)
    assert time.process_time() - began < 2


def test_an_empty_home_is_right(tmp_path: Path) -> None:
    assert verify_audit(tmp_path)["findings"] == []
    assert os.listdir(tmp_path) == []
