"""The promotions log: which adapter each alias named since when, by whom and why. Appended, fsynced, never rewritten.

One JSON object a line; ``sha256`` is of the record and of the ``sha256`` before it, so that a line that was changed,
removed or put in between is noticed. What is behind the last newline is an append that was cut short: nobody was told.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

from adapters.durable import remedy, sync_dir
from state import BrokenInvariant, PassingFault

_ROOT: Final = "0" * 64


class DamagedPromotions(BrokenInvariant):
    """A line of the promotions log is not what was written."""


class NotPromoted(PassingFault):
    """The disk refused; every alias names what it named before."""


class Promotion(TypedDict):
    """One record."""

    n: int  # from 1
    at: str  # ISO 8601, UTC
    by: str
    reason: str
    set: dict[str, str | None]  # alias → adapter; None: it names nothing any more
    key: NotRequired[str]  # of the effect that promoted: the same key again finds this record
    report: NotRequired[str]  # on which it was promoted
    rollback: NotRequired[bool]  # back to what was champion before
    sha256: str


class PromotionLog:
    """``promotions.jsonl``. Whoever appends holds the registry's lock; whoever reads needs none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Promotion]:
        """All records, oldest first; raises DamagedPromotions, naming the line."""
        return self._read()[0]

    def aliases(self) -> dict[str, str]:
        """What each alias names by the log."""
        named: dict[str, str] = {}
        for record in self.read():
            for alias, adapter in record["set"].items():
                named.pop(alias, None)
                named |= {alias: adapter} if adapter is not None else {}
        return named

    def append(self, told: Mapping[str, Any]) -> Promotion:
        """Add a record, durable on return.

        Raises:
            NotPromoted: the disk is full or failing; the record is not in the log.
        """
        records, end = self._read()
        last = records[-1]["sha256"] if records else _ROOT
        bare = {"n": len(records) + 1, **told}
        record: Any = {**bare, "sha256": _hash(last, bare)}
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        fresh = not self.path.exists()
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._write(fd, line, end)
            finally:
                os.close(fd)
            if fresh:
                sync_dir(self.path.parent)
        except OSError as e:
            raise NotPromoted(f"{self.path} cannot be written ({e.strerror}); nothing was changed: {remedy(e)}") from e
        made: Promotion = record
        return made

    def _write(self, fd: int, line: bytes, end: int) -> None:
        try:
            os.ftruncate(fd, end)  # a torn tail
            os.lseek(fd, end, os.SEEK_SET)
            view = memoryview(line)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, end)
            raise

    def _read(self) -> tuple[list[Promotion], int]:
        """The records, and where the last whole line ends."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return [], 0
        end = data.rfind(b"\n") + 1
        records: list[Promotion] = []
        last = _ROOT
        for number, line in enumerate(data[:end].splitlines(), 1):
            try:
                record: Any = json.loads(line)
                bare = {key: value for key, value in record.items() if key != "sha256"}
                whole = record["sha256"] == _hash(last, bare) and record["n"] == number
            except (ValueError, KeyError, TypeError, AttributeError):
                whole = False
            if not whole:
                raise DamagedPromotions(
                    f"line {number} of {self.path} was changed, or one before it is gone; nothing is served from this "
                    "registry until the file is put back from a copy"
                )
            records.append(record)
            last = record["sha256"]
        return records, end


def _hash(last: str, bare: Mapping[str, Any]) -> str:
    said = json.dumps([last, bare], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = ["DamagedPromotions", "NotPromoted", "Promotion", "PromotionLog"]
