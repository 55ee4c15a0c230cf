"""A disk that keeps only what was waited for: what a power cut would leave, at its worst, at any instant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FDS = Path("/proc/self/fd")


class Disk:
    """Remembers each file as it was when it was last synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.durable: dict[str, bytes] = {}
        self.waits: list[str] = []  # names of the files and folders, one a call
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._sync)

    def _sync(self, fd: int) -> None:
        path = Path(os.readlink(FDS / str(fd)))
        self.waits.append(path.name)
        if path.is_file():
            self.durable[str(path)] = path.read_bytes()

    def cut(self, root: Path, into: Path) -> Path:
        """A copy of a folder as it would come back: names that are there now, with what was synced of each."""
        for path in root.rglob("*"):
            if path.is_file() and (data := self.durable.get(str(path))) is not None:
                target = into / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        return into
