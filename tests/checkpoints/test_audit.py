"""The audit chain: every change is found, a crash is not taken for one, and nobody waits long for either."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import checkpoints.audit
import checkpoints.chain
from checkpoints import AlreadyDecided, DecisionLog, DiskFault, EffectLedger
from checkpoints.audit import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.audit_check import Finding, verify_audit
from checkpoints.chain import AuditRecord, BrokenAudit, Head, Note, hash_of, sealed_head, sealed_record
from checkpoints.frames import ROOT, frame, scan
from checkpoints.keys import BadKey, Keys, Signer
from state import Action, Outcome, Review
from tests.checkpoints.cases import decision, review

ACTION = Action(tool="book", schema_version="1", args={"방": 2}, effect_class="write", reversible=True)


def outcome(status: Any = "done", error: str = "") -> Outcome:
    return Outcome(key="k", tool="book", status=status, result="예약", error=error, at="2026-01-01")


def log(home: Path) -> AuditLog:
    return AuditLog(home / "threads", home / "keys")


def folder(home: Path, thread_id: str = "t") -> Path:
    return log(home).folders.path(thread_id)


def problems(home: Path, **more: Any) -> list[Finding]:
    return [f for f in verify_audit(home, **more)["findings"] if f["level"] == "problem"]


def notes(home: Path) -> list[str]:
    return [f["what"] for f in verify_audit(home)["findings"] if f["level"] == "note"]


def lived(home: Path) -> AuditLog:
    """A home in which 김하나 saw and decided, 이두리 was late, and a tool ran."""
    audit = log(home)
    decisions, ledger = AuditedDecisions(home / "threads", audit), AuditedLedger(home / "threads", audit)
    audit.note("t", "review.shown", "김하나", "r", {"channel": "console"})
    decisions.record("t", decision("r", reason="손님이 확인함"))
    with pytest.raises(AlreadyDecided):
        decisions.record("t", decision("r", by="이두리", type="reject", reason="만실"))
    ledger.begin("t", "k", ACTION, "at_most_once")
    ledger.finish("t", "k", outcome())
    return audit


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    lived(home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


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


# every byte, every record


def _bytes_of(made: Path) -> Iterator[tuple[str, int]]:
    relative = folder(made).relative_to(made)
    public = next(made.glob("keys/*.pub")).relative_to(made)
    for name in (relative / "audit.jsonl", relative / "audit.head", Path("audit.jsonl"), Path("audit.head"), public):
        yield str(name), (made / name).stat().st_size


def test_a_change_of_any_byte_is_found(tmp_path: Path) -> None:
    home = tmp_path
    AuditedDecisions(home / "threads", log(home)).record("t", decision("r", reason="손님이 확인함"))
    for name, size in list(_bytes_of(home)):
        path = home / name
        data = bytearray(path.read_bytes())
        for at in range(size):
            for bit in (
                {1 << (at % 8), 0x20} if name.endswith(("head", "pub")) else {1 << (at % 8)}
            ):  # 0x20: a letter's case
                data[at] ^= bit
                path.write_bytes(data)
                data[at] ^= bit
                found = problems(home)
                assert found, f"byte {at} of {name}, bit {bit}"
        path.write_bytes(data)
        assert problems(home) == []


def test_a_cut_at_any_byte_is_found(home: Path, made: Path) -> None:
    for name, size in _bytes_of(made):
        path = home / name
        data = path.read_bytes()
        for at in range(0, size, 1 if "head" in name or "pub" in name else 7):
            path.write_bytes(data[:at])
            assert problems(home), f"cut at {at} of {name}"
        path.write_bytes(data)


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], None], *, rehash: bool = False) -> None:
    """Change the lines of a chain and frame them anew, as somebody who knows the format but has no key would."""
    head, *lines = [e.record for e in scan(path.read_bytes(), 0, ROOT)]
    change(lines)
    if rehash:
        prev = lines[0]["record"]["prev"]
        for seq, line in enumerate(lines, 1):
            line["record"] |= {"seq": seq, "prev": prev}
            prev = line["hash"] = hash_of(line["record"])
    data, crc = b"", ROOT
    for record in (head, *lines):
        made, crc = frame(record, crc)
        data += made
    path.write_bytes(data)


def _edit(lines: list[dict[str, Any]], at: int) -> None:
    lines[at]["record"]["actor"] = "박세리"


def _sign_with_another(lines: list[dict[str, Any]], at: int) -> None:
    lines[at]["record"]["signature"] = Signer(Ed25519PrivateKey.generate()).sign(b"")


CHANGES: dict[str, Callable[[list[dict[str, Any]], int], None]] = {
    "removed": lambda lines, at: lines.__delitem__(at),
    "doubled": lambda lines, at: lines.insert(at, orjson.loads(orjson.dumps(lines[at]))),
    "swapped": lambda lines, at: lines.insert(at - 1, lines.pop(at)),
    "edited": _edit,
    "signed by another": _sign_with_another,
    "cut off here": lambda lines, at: lines.__delitem__(slice(at, None)),
}


@pytest.mark.parametrize("rehash", [False, True], ids=["as it is", "with new hashes"])
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("which", ["thread", "home"])
def test_a_change_of_any_record_is_found(home: Path, which: str, kind: str, rehash: bool) -> None:
    path = (folder(home) if which == "thread" else home) / "audit.jsonl"
    whole = path.read_bytes()
    for at in range(whole.count(b"\n") - 1):
        if kind == "swapped" and at == 0:
            continue
        if kind == "cut off here" and at == 0 and rehash:
            continue  # nothing is left to hash
        rewritten(path, lambda lines: CHANGES[kind](lines, at), rehash=rehash)  # noqa: B023
        found = problems(home)
        assert found, (kind, at)
        assert str(path.parent) in found[0]["file"]
        assert found[0]["record"] or rehash
        path.write_bytes(whole)
    assert problems(home) == []


@pytest.mark.parametrize("rehash", [False, True])
def test_a_record_of_another_chain_is_found(home: Path, rehash: bool) -> None:
    log(home).note("또", "review.shown", "김하나", "r")
    foreign = (folder(home, "또") / "audit.jsonl").read_bytes()
    line = next(e.record for e in scan(foreign, 0, ROOT) if e.record["k"] == "note")
    rewritten(folder(home) / "audit.jsonl", lambda lines: lines.append(line), rehash=rehash)
    assert "chain of 또" in problems(home)[0]["what"]


def test_a_forged_head_is_found(home: Path) -> None:
    """The attacker cuts the chain and signs a head for what is left, with a key of his own."""
    path = folder(home) / "audit.jsonl"
    rewritten(path, lambda lines: lines.__delitem__(-1))
    records = log(home).records("t")
    forger = Signer(Ed25519PrivateKey.generate())
    head = orjson.loads((folder(home) / "audit.head").read_bytes()) | {"seq": 4, "hash": hash_of(records[-1])}
    for key_id, what in ((head["key_id"], "signature is wrong"), (forger.key_id, "not among the public keys")):
        head["key_id"] = key_id
        head["signature"] = forger.sign(sealed_head(cast(Head, head)))
        (folder(home) / "audit.head").write_bytes(rfc8785.dumps(head) + b"\n")
        assert any(what in f["what"] for f in problems(home)), what


def test_a_forged_record_after_the_head_is_found(home: Path) -> None:
    """A head may lag, so what comes after it stands by its own signature."""
    forger = Signer(Ed25519PrivateKey.generate())

    def add(lines: list[dict[str, Any]]) -> None:
        record = cast(AuditRecord, {**lines[-1]["record"], "seq": len(lines) + 1, "prev": lines[-1]["hash"]})
        record["signature"] = forger.sign(sealed_record(record))
        lines.append({"k": "note", "record": dict(record), "hash": hash_of(record)})

    rewritten(folder(home) / "audit.jsonl", add)
    assert (problems(home)[0]["record"], "forged" in problems(home)[0]["what"]) == (6, True)
    audit = log(home)
    for _ in range(2):
        with pytest.raises(BrokenAudit, match="record 6"):  # or the next head would cover it
            audit.note("t", "review.shown", "김하나", "r")
    rewritten(folder(home) / "audit.jsonl", lambda lines: lines.__delitem__(5))
    warm = log(home)
    warm.note("t", "review.shown", "김하나", "r")
    rewritten(folder(home) / "audit.jsonl", add)
    with pytest.raises(BrokenAudit, match="record 7"):
        warm.note("t", "review.shown", "김하나", "r")


@pytest.mark.parametrize("names", [["audit.jsonl"], ["audit.head"], ["audit.jsonl", "audit.head"]])
@pytest.mark.parametrize("which", ["thread", "home"])
def test_a_deleted_file_is_found_and_nothing_is_written_over_it(home: Path, which: str, names: list[str]) -> None:
    for name in names:
        ((folder(home) if which == "thread" else home) / name).unlink()
    assert any("gone" in f["what"] for f in problems(home))
    with pytest.raises(BrokenAudit, match="gone"):
        log(home).note("t" if which == "thread" else None, "review.shown", "김하나", "r")
    assert any("gone" in f["what"] for f in problems(home))


def test_a_thread_deleted_by_hand_is_found_and_one_with_a_record_is_not(home: Path) -> None:
    log(home).note("둘째", "review.shown", "김하나", "r")
    audit = log(home)
    audit.deleted("둘째", "관리자")
    shutil.rmtree(folder(home, "둘째"))
    assert problems(home) == []
    audit.note("둘째", "review.shown", "김하나", "r")  # a new thread of the same name
    assert (problems(home), notes(home)) == ([], [])
    shutil.rmtree(folder(home))
    assert [(f["thread_id"], "deleted without" in f["what"]) for f in problems(home)] == [("t", True)]


def test_an_older_copy_of_a_thread_put_back_is_found(home: Path, tmp_path: Path) -> None:
    """Its signatures and its head are right: only the home chain saw more."""
    shutil.copytree(folder(home), tmp_path / "old")
    AuditedDecisions(home / "threads", log(home)).record("t", decision("r2", reason="취소"))
    shutil.rmtree(folder(home))
    shutil.copytree(tmp_path / "old", folder(home))
    found = problems(home)
    assert len(found) == 1
    assert "older copy" in found[0]["what"]


# the logs beside the chain


def relined(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change a decision log or ledger and frame it anew."""
    lines = [e.record for e in scan(path.read_bytes(), 0, ROOT)]
    change(lines)
    data, crc = b"", ROOT
    for record in lines:
        made, crc = frame(record, crc)
        data += made
    path.write_bytes(data)


def test_a_decision_that_was_changed_is_found_and_stops_the_thread(home: Path) -> None:
    relined(folder(home) / "decisions.jsonl", lambda lines: lines[1]["decision"].update(reason="아무 이유"))
    assert ["it was changed" in f["what"] for f in problems(home)] == [True]
    with pytest.raises(BrokenAudit, match=r"decisions\.jsonl"):
        log(home).catch_up("t")


def test_a_decision_or_an_outcome_that_is_gone_is_found(home: Path) -> None:
    relined(folder(home) / "decisions.jsonl", lambda lines: lines.__delitem__(-1))
    relined(folder(home) / "ledger.jsonl", lambda lines: lines.__delitem__(-1))
    assert sorted(Path(f["file"]).name for f in problems(home)) == ["decisions.jsonl", "ledger.jsonl"]


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


def test_a_review_is_opened_once(tmp_path: Path) -> None:
    audit = log(tmp_path)
    more = {"digest": "d", "policy_version": "v1", "created_at": "2026-01-01"}
    opened = cast(Review, {**review("rv_1", "t"), **more})
    assert [audit.opened([opened]), audit.opened([opened]), log(tmp_path).opened([opened])] == [1, 0, 0]
    assert audit.note(None, "policy.seen", "dojang", "v1", once=True)
    assert not log(tmp_path).note(None, "policy.seen", "dojang", "v1", once=True)
    assert problems(tmp_path) == []


# crashes

KILLED = """
import os, signal, sys
from pathlib import Path
import checkpoints.chain as chain
from checkpoints.audit import AuditLog
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
chain.replace_file = dying(chain.replace_file, "head")
chain.Chain._records = dying(chain.Chain._records, "records")
audit = AuditLog(home / "threads", home / "keys")
for i in range(3):
    audit.note("t", "review.shown", "김하나", f"r{i}")
"""


def child(script: str, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, words)], cwd=Path(__file__).parents[2])


def test_killed_at_every_instant_the_chain_is_right_and_goes_on(tmp_path: Path) -> None:
    lagged = 0
    for step in range(1, 40):
        home = tmp_path / str(step)
        code = child(KILLED, home, step).wait(60)
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
from checkpoints.audit import AuditLog
home, name = Path(sys.argv[1]), sys.argv[2]
audit = AuditLog(home / "threads", home / "keys")
sys.stdin.read()
for i in range(12):
    audit.note("t", "review.shown", name, f"r{i}")
    audit.note(None, "policy.seen", name, "v1", once=True)
    audit.note("t", "review.opened", name, f"r{i}", once=True)
"""


def test_eight_processes_make_one_key_and_one_chain(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", EIGHT, str(tmp_path), f"손{n}"], cwd=Path(__file__).parents[2], stdin=subprocess.PIPE
        )
        for n in range(8)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
    assert [racer.wait(120) for racer in racers] == [0] * 8
    assert (problems(tmp_path), notes(tmp_path)) == ([], [])
    events = [r["event"] for r in log(tmp_path).records("t")]
    assert (events.count("review.shown"), events.count("review.opened")) == (96, 12)
    assert [r["event"] for r in log(tmp_path).records(None)].count("policy.seen") == 1
    assert len(list(tmp_path.glob("keys/*.key"))) == 1


# failing closed


@pytest.mark.parametrize("what", ["key", "disk"])
def test_without_the_record_nothing_begins(home: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    ledger = AuditedLedger(home / "threads", log(home))
    with monkeypatch.context() as broken:
        if what == "key":
            kept = next(home.glob("keys/*.key")).rename(home / "kept")
        else:

            def full(*_args: object) -> None:
                raise DiskFault("full")

            broken.setattr(checkpoints.chain, "replace_file", full)
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
        broken.setattr("checkpoints.journal.sync_file", failing)
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


# keys


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
