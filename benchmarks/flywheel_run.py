"""What the flywheel's proof is asked for, where it keeps what it did, and how it says so. Run by ``flywheel.py``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", "1000000000")
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "1000000000")

from shift import GUEST, TODAY, Asked, requests

from dojang.settings import Settings

SHIPPED: Final = "shipped"
ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """What was asked for."""

    work: Path
    decisions: tuple[int, ...]
    heldout: int
    old: int
    old_whole: int
    base: Path
    adapter: Path
    seed: int
    recipe: tuple[str, ...]
    jobs: int = 1

    @property
    def home(self) -> Path:
        """Where the sessions, datasets and their keys are."""
        return self.work / "home"

    @property
    def main(self) -> int:
        """The number of decisions that the claims are about."""
        return 200 if 200 in self.decisions else max(self.decisions)


def settings_of(run: Run) -> Settings:
    given: dict[str, Any] = {
        "home": run.home, "embedding": "none", "tools": ["shift_tools"], "today": TODAY, "user": GUEST, "undo_s": 0,
        "model": str(run.base), "adapter": str(run.adapter), "language": "en",
    }  # fmt: skip
    return Settings(**given, _env_file=None)


def held(run: Run) -> list[Asked]:
    """The requests that no adapter learns from."""
    return requests("test", run.heldout, run.seed)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a file that a killed run may have left torn."""
    if not path.exists():
        return []
    told = path.read_text(encoding="utf-8")
    path.write_text(told[: told.rfind("\n") + 1], encoding="utf-8")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def note(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
