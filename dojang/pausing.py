"""The switch that stops every run of a home between two steps, and lets all go on as they were (ADR 26).

A small file, or a row of the database that holds the sessions, that every process looks at: who pressed it, when, why.
Knows nothing of graphs or threads' contents.
"""

from __future__ import annotations

import json
import os
import secrets
from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from state import Conflict, PassingFault, UserError

if TYPE_CHECKING:
    from checkpoints.backend import Backend

LONGEST: Final = 500
"""Characters of a reason."""


@dataclass(frozen=True)
class Pause:
    """Who stopped all runs, when (ISO 8601, UTC) and why."""

    by: str
    at: str
    why: str


class Halted(PassingFault):
    """All runs are paused; the thread stands where it was and goes on when they do."""

    def __init__(self, pause: Pause) -> None:
        super().__init__(
            f"all runs are paused by {pause.by} since {pause.at}: {pause.why}; `dojang runs go-on` lets them go on"
        )
        self.pause = pause


class Pressing:
    """What can be done with the switch, wherever it is."""

    name: str
    """What people are told cannot be read."""

    @abstractmethod
    def _read(self) -> bytes | None: ...

    @abstractmethod
    def _write(self, pause: bytes | None) -> None: ...

    @abstractmethod
    def _locked(self) -> AbstractContextManager[object]: ...

    def state(self) -> Pause | None:
        """The pause, if there is one. One that cannot be read is a pause, too: somebody wanted it."""
        said = self._read()
        if said is None:
            return None
        try:
            found = json.loads(said)
            return Pause(str(found["by"]), str(found["at"]), str(found["why"]))
        except (ValueError, KeyError, TypeError):
            return Pause("?", "?", f"{self.name} cannot be read")

    def check(self) -> None:
        """Raise Halted where all runs are paused."""
        if (pause := self.state()) is not None:
            raise Halted(pause)

    def press(self, by: str, why: str, now: datetime) -> Pause:
        """Stop all runs. UserError without a reason, Conflict where they are stopped already."""
        why = " ".join(why.split())
        if not why:
            raise UserError("say why all runs are to stop: whoever sees it has to know")
        if len(why) > LONGEST:
            raise UserError(f"the reason has {len(why)} characters; write at most {LONGEST}")
        with self._locked():
            if (pause := self.state()) is not None:
                raise Conflict(f"all runs are paused already, by {pause.by} since {pause.at}: {pause.why}")
            pause = Pause(by, now.isoformat(), why)
            self._write(json.dumps(asdict(pause), ensure_ascii=False).encode())
            return pause

    def let_go(self) -> None:
        """Let runs go on."""
        with self._locked():
            self._write(None)

    def take_over(self, other: Pressing) -> None:
        """Be as another switch is, its threads included. Safe to do again."""
        with self._locked():
            self._write(other._read())
        mine = set(self.noted())
        for thread_id in other.noted():
            if thread_id not in mine:
                self.note(thread_id)

    @abstractmethod
    def note(self, thread_id: str) -> None:
        """A thread that was stopped, and that nobody else takes up again."""

    @abstractmethod
    def noted(self) -> list[str]:
        """Those threads, whether or not the pause lasts."""

    @abstractmethod
    def stopped(self) -> list[str]:
        """The threads that were noted; [] while the pause lasts. Whoever is given them goes on with them."""


class Switch(Pressing):
    """The files in ``home``; safe from many threads and processes."""

    def __init__(self, home: Path) -> None:
        self.path = home / "paused.json"
        self.name = self.path.name
        self._threads = home / "paused.threads"
        self._lock = FileLock(home / "paused.lock")

    def _read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, pause: bytes | None) -> None:
        if pause is None:
            self.path.unlink(missing_ok=True)
            return
        fresh = self.path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
            file.write(pause)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)

    def note(self, thread_id: str) -> None:
        """A thread that was stopped, and that nobody else takes up again."""
        with self._locked(), self._threads.open("a", encoding="utf-8") as file:
            file.write(json.dumps(thread_id) + "\n")

    def noted(self) -> list[str]:
        """In the order in which they were stopped."""
        try:
            lines = self._threads.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return list(dict.fromkeys(json.loads(line) for line in lines))

    def stopped(self) -> list[str]:
        """The threads that were noted; [] while the pause lasts. Whoever is given them goes on with them."""
        if not self._threads.exists() or self.path.exists():
            return []
        with self._locked():
            found = self.noted()
            self._threads.unlink(missing_ok=True)
        return found

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._lock


class SharedSwitch(Pressing):
    """Notes of the home, beside its sessions, for all its machines."""

    name = "paused"

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def _read(self) -> bytes | None:
        return self._backend.note(None, self.name)

    def _write(self, pause: bytes | None) -> None:
        self._backend.replace_note(None, self.name, pause)

    def note(self, thread_id: str) -> None:
        """A row of its own."""
        self._backend.mark(thread_id, self.name, True)

    def noted(self) -> list[str]:
        """In no order."""
        return self._backend.marked(self.name)

    def stopped(self) -> list[str]:
        """In no order; of two machines that ask, one is given each."""
        if self._read() is not None:
            return []
        with self._locked():
            found = self.noted()
            for thread_id in found:
                self._backend.mark(thread_id, self.name, False)
        return found

    def _locked(self) -> AbstractContextManager[object]:
        return self._backend.together(self.name)


def switch_of(home: Path, backend: Backend) -> Pressing:
    """The switch of a workspace: files of its home, or where the sessions lie if those are elsewhere."""
    from checkpoints.files.backend import FileBackend

    return Switch(home) if isinstance(backend, FileBackend) else SharedSwitch(backend)
