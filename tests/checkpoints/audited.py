"""A home with an audit chain, and ways to tamper with it, for the tests of the chain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints import AlreadyDecided
from checkpoints.audit.chain import hash_of
from checkpoints.audit.check import Finding, verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.files.frames import ROOT, frame, scan
from state import Action, Outcome
from tests.checkpoints.cases import decision

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


def relined(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change a decision log or ledger and frame it anew."""
    lines = [e.record for e in scan(path.read_bytes(), 0, ROOT)]
    change(lines)
    data, crc = b"", ROOT
    for record in lines:
        made, crc = frame(record, crc)
        data += made
    path.write_bytes(data)
