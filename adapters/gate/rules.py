"""What counts as better: noted when a dataset is frozen, before anything is trained on it, and never changed after.

``gates/rules.jsonl`` is appended and fsynced; of several records of one dataset the first one counts, whoever wrote
the others. Each has the hash of what it says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypedDict

from adapters.durable import sync_dir
from state import JSON, BrokenInvariant, PassingFault, UserError

FILE: Final = "rules.jsonl"


class DamagedRules(BrokenInvariant):
    """A record of the rules is not what was written."""


class RulesNotNoted(PassingFault):
    """The disk refused; no rules were noted."""


@dataclass(frozen=True)
class Rules:
    """When a candidate passes. Shares and differences of shares lie between 0 and 1.

    Over the held-out decisions that say what would have been right (approved or edited), at least ``least`` of them in
    at least ``conversations`` conversations: the interval of the difference of matches lies above 0 at ``confidence``;
    and the candidate is no worse than the champion that was shown the ``nearest`` past edits. What people rejected or
    edited away is not said again more often. No slice of at least ``slice_least`` points falls by more than
    ``slice_fall`` with its whole interval below 0. Of the old domain at most ``old_loss`` is lost.
    """

    least: int = 30
    conversations: int = 10
    confidence: float = 0.95
    nearest: int = 3
    slice_least: int = 15
    slice_fall: float = 0.05
    old_loss: float = 0.02
    seed: int = 0

    def checked(self) -> Rules:
        """Itself; raises UserError that names rule, value and range."""
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"the rule {name} is {value}; it lies between {low:g} and {high:g}")
        return self

    def values(self) -> dict[str, JSON]:
        """As a record has them."""
        return asdict(self)


_RANGES: Final = (
    ("least", 2, 1_000_000), ("conversations", 2, 1_000_000), ("confidence", 0.5, 0.9999), ("nearest", 1, 20),
    ("slice_least", 2, 1_000_000), ("slice_fall", 0, 1), ("old_loss", 0, 1), ("seed", 0, 2**32 - 1),
)  # fmt: skip


class Noted(TypedDict):
    """A record."""

    dataset: str
    at: str  # ISO 8601, UTC
    values: dict[str, JSON]
    digest: str  # of the other three


def note(root: Path, dataset: str, rules: Rules) -> Noted:
    """Note the rules of a dataset, durable on return; those that were noted first for it, which count.

    Raises:
        UserError: a rule is out of its range.
        RulesNotNoted: the disk is full or failing.
    """
    there = noted(root, dataset)
    if there is not None:
        return there
    bare = {
        "dataset": dataset, "at": datetime.now(UTC).isoformat(timespec="seconds"), "values": rules.checked().values(),
    }  # fmt: skip
    line = json.dumps({**bare, "digest": _digest(bare)}, ensure_ascii=False)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(root / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(fd, "ab", buffering=0) as file:
            end = os.fstat(fd).st_size
            try:
                file.write(f"\n{line}\n".encode())  # also after a torn line
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise
        sync_dir(root)
    except OSError as e:
        raise RulesNotNoted(
            f"{root / FILE} cannot be written ({e.strerror}); no rules are noted for dataset {dataset}: free space and "
            "build it again before you train"
        ) from e
    made = noted(root, dataset)
    if made is None:
        raise RulesNotNoted(f"{root / FILE} was not written whole; build dataset {dataset} again before you train")
    return made


def noted(root: Path, dataset: str) -> Noted | None:
    """The rules that were noted first for a dataset; None where none were.

    Raises:
        DamagedRules: they were changed.
    """
    try:
        data = (root / FILE).read_bytes()
    except FileNotFoundError:
        return None
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            told = json.loads(line)
        except ValueError:  # torn: whoever wrote it was not told that it is there
            continue
        if not isinstance(told, dict) or told.get("dataset") != dataset:
            continue
        if told.get("digest") != _digest({key: told.get(key) for key in ("dataset", "at", "values")}):
            raise DamagedRules(
                f"line {number} of {root / FILE} was changed; nothing that was trained on dataset {dataset} can pass: "
                "put the file back from a copy, or build another dataset"
            )
        return Noted(dataset=dataset, at=told["at"], values=told["values"], digest=told["digest"])
    return None


def rules_of(record: Noted) -> Rules:
    """The rules of a record; a rule that it does not know has its default."""
    known = {field.name for field in fields(Rules)}
    return Rules(**{key: value for key, value in record["values"].items() if key in known}).checked()


def _digest(bare: Mapping[str, Any]) -> str:
    said = json.dumps(bare, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = ["FILE", "DamagedRules", "Noted", "Rules", "RulesNotNoted", "note", "noted", "rules_of"]
