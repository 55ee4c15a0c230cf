"""A report is whole, read-only and unchanged, or it is none."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from adapters.gate.report import (
    DamagedReport,
    Findings,
    ReportNotWritten,
    UnknownReport,
    read_report,
    reports,
    write_report,
)
from state import BrokenInvariant, PassingFault, UserError


def found(**others: Any) -> Findings:
    figure = {"candidate": 0.9, "against": 0.5, "difference": 0.4, "low": 0.2, "high": 0.6, "n": 40}
    told: Any = {
        "verdict": "failed", "reasons": [{"code": "leak", "kind": "failed", "facts": {"points": 3}}],
        "candidate": "aa", "against": "", "dataset": "dd", "rules": {"dataset": "dd"},
        "figures": {"match": figure}, "slices": {"language:ko": {"match": figure}}, "baselines": {},
        "at": "2026-11-25T22:00:00+00:00", **others,
    }  # fmt: skip
    made: Findings = told
    return made


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_report(tmp_path / "gates", found())
    assert (path.stat().st_mode & 0o777, len(path.stem)) == (0o400, 16)
    told = read_report(path.parent, path.stem[:6])
    assert {key: value for key, value in told.items() if key != "id"} == found()
    assert write_report(path.parent, found()) == path
    assert write_report(path.parent, found(verdict="passed", reasons=[])) != path
    assert len(reports(path.parent)) == 2
    for name in ("zz", ""):
        with pytest.raises(UnknownReport, match="0 reports begin with"):
            read_report(path.parent, name)
    assert issubclass(UnknownReport, UserError)


@pytest.mark.parametrize("how", ["verdict", "facts", "figure", "cut", "more", "renamed"])
def test_a_report_that_was_changed_is_refused(how: str, tmp_path: Path) -> None:
    path = write_report(tmp_path, found())
    path.chmod(0o600)
    told = json.loads(path.read_text(encoding="utf-8"))
    match how:
        case "verdict":
            told["verdict"] = "passed"
        case "facts":
            told["reasons"] = []
        case "figure":
            told["figures"]["match"]["low"] = 0.3
        case "more":
            told["note"] = "fine"
    path.write_text(json.dumps(told)[: 40 if how == "cut" else None], encoding="utf-8")
    if how == "renamed":
        path = path.rename(path.with_stem("0" * 16))
    with pytest.raises(DamagedReport, match="evaluate again"):
        read_report(tmp_path, path.stem)
    assert issubclass(DamagedReport, BrokenInvariant)


@pytest.mark.parametrize("nth", [1, 2])
def test_a_full_disk_leaves_no_half_report(nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(range(1, 9))
    whole = os.fsync

    def full(fd: int) -> None:
        if next(left) == nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(fd)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportNotWritten, match="free space") as refused:
        write_report(tmp_path, found())
    assert isinstance(refused.value, PassingFault)
    monkeypatch.undo()
    path = write_report(tmp_path, found())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert read_report(tmp_path, path.stem)["candidate"] == "aa"
