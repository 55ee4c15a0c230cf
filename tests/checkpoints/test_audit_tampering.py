"""Whatever is changed, cut off, forged, removed or put back in an audit chain is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from checkpoints.audit.chain import AuditRecord, BrokenAudit, Head, hash_of, sealed_head, sealed_record
from checkpoints.audit.keys import Signer
from checkpoints.audit.trail import AuditedDecisions
from checkpoints.files.frames import ROOT, scan
from tests.checkpoints.audited import folder, log, notes, problems, relined, rewritten
from tests.checkpoints.cases import decision


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


def test_a_decision_that_was_changed_is_found_and_stops_the_thread(home: Path) -> None:
    relined(folder(home) / "decisions.jsonl", lambda lines: lines[1]["decision"].update(reason="아무 이유"))
    assert ["it was changed" in f["what"] for f in problems(home)] == [True]
    with pytest.raises(BrokenAudit, match=r"decisions\.jsonl"):
        log(home).catch_up("t")


def test_a_decision_or_an_outcome_that_is_gone_is_found(home: Path) -> None:
    relined(folder(home) / "decisions.jsonl", lambda lines: lines.__delitem__(-1))
    relined(folder(home) / "ledger.jsonl", lambda lines: lines.__delitem__(-1))
    assert sorted(Path(f["file"]).name for f in problems(home)) == ["decisions.jsonl", "ledger.jsonl"]
