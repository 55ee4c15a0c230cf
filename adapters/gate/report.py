"""What an evaluation found: written once, named by the hash of its content, read-only, and checked when it is read.

::

    gates/
    ├── rules.jsonl        what counts as better, by dataset
    ├── replies/           what each speaker said to each held-out point
    └── 5d0c….json         a report

A promotion shows a report to a person, so a report that was changed is no report.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

from adapters.durable import sync_dir
from state import JSON, BrokenInvariant, PassingFault, UserError

Verdict = Literal["passed", "failed", "cannot_tell"]
_ID: Final = 16


class UnknownReport(UserError):
    """There is no report with this id."""


class DamagedReport(BrokenInvariant):
    """A report is not the one that it is named after."""


class ReportNotWritten(PassingFault):
    """The disk refused; there is no report."""


class Figure(TypedDict):
    """A metric of two speakers over the same points. None: no point says anything of it, or too few for an interval."""

    candidate: float | None  # mean
    against: float | None
    difference: float | None  # candidate less the other
    low: float | None  # the interval of the difference
    high: float | None
    n: int  # points that say something of both


class Reason(TypedDict):
    """Why a verdict is what it is. A ``note`` changes nothing and is worth knowing."""

    code: str
    kind: Literal["failed", "cannot_tell", "note"]
    facts: dict[str, JSON]


class Findings(TypedDict):
    """A report before it has a name."""

    verdict: Verdict
    reasons: list[Reason]
    candidate: str  # id in the registry
    against: str  # the same; "" for the adapter that goes with the model, or the base alone
    dataset: str
    rules: dict[str, JSON]  # dataset, digest, at ("" where none were noted), and ``values`` by name
    figures: dict[str, Figure]  # by metric
    slices: dict[str, dict[str, Figure]]  # "language:ko", "tool:…", "tier:…" → by metric
    baselines: dict[str, dict[str, Figure]]  # "base", "nearest" → by metric; ``against`` is the baseline there
    at: str  # ISO 8601, UTC


class Report(Findings):
    """What was found, and its name: the first digits of the hash of everything else."""

    id: str


def write_report(root: Path, found: Findings) -> Path:
    """Keep a report, durable on return; its file. ``root`` is the folder ``gates`` of a home.

    Raises:
        ReportNotWritten: the disk is full or failing; nothing was kept.
    """
    told: dict[str, Any] = {**found, "id": _hash(dict(found))[:_ID]}
    place = root / f"{told['id']}.json"
    aside = root / f".report-{secrets.token_hex(6)}"
    data = json.dumps(told, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, place)
        sync_dir(root)
    except OSError as e:
        aside.unlink(missing_ok=True)
        raise ReportNotWritten(
            f"the report cannot be written to {root} ({e.strerror}); free space and evaluate again: what was asked "
            "already is kept"
        ) from e
    return place


def read_report(root: Path, name: str) -> Report:
    """A report by its id or the beginning of one, every byte of it what was written.

    Raises:
        UnknownReport: no report, or more than one, begins so.
        DamagedReport: it was changed.
    """
    found = [path for path in reports(root) if name and path.stem.startswith(name)]
    if len(found) != 1:
        known = ", ".join(path.stem for path in reports(root)) or "none"
        raise UnknownReport(
            f"{len(found)} reports begin with {name!r} (known: {known}); `dojang adapters evaluate --against champion` "
            "makes one"
        )
    try:
        told = json.loads(found[0].read_bytes())
        whole = told["id"] == found[0].stem == _hash(told)[:_ID] and set(told) == set(Report.__annotations__)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole, told = False, {}
    if not whole:
        raise DamagedReport(
            f"{found[0]} was changed: it is not the report that it is named after; nothing is promoted by it, evaluate "
            "again"
        )
    report: Report = told
    return report


def reports(root: Path) -> list[Path]:
    """The files of all reports, by id."""
    return sorted(path for path in root.glob("*.json") if not path.name.startswith("."))


def _hash(told: dict[str, Any]) -> str:
    bare = {key: value for key, value in told.items() if key != "id"}
    said = json.dumps(bare, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = [
    "DamagedReport", "Figure", "Findings", "Reason", "Report", "ReportNotWritten", "UnknownReport", "Verdict",
    "read_report", "reports", "write_report",
]  # fmt: skip
