"""Which sessions changed since one looked, without looking at each of very many: names, times and stamps of folders.

A process looks at every folder once. After that it looks at those that a program of ours has written to
(``files.stamps``) and, where the directory itself changed, at the names that came or went. What other programs do
inside of a folder is found by a look at all: at once where there are few folders, else behind whoever asks.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from checkpoints.files.folders import ThreadFolders
from checkpoints.files.stamps import different, pressed, slot_of

SOURCES: Final = ("thread.json", "checkpoints.jsonl", "decisions.jsonl")
RACY_NS: Final = 50_000_000
"""A directory that changed so short a time ago may change again under the same time."""


class Looking(Protocol):
    """What one process remembers of all sessions since it looked last. Callers serialise.

    A session is called by its folder (``files.folders.folder_name``), also where there is none.
    """

    names: set[str] | None
    """Those that there are; None: nobody has looked yet, or all are to be looked at again."""
    looked: float
    """When whoever uses it has looked at all, as ``time.monotonic`` counts."""

    @property
    def exact(self) -> bool:
        """Whether :meth:`few` misses nothing, so that nobody has to look at all again now and then."""
        ...

    def all(self) -> Mapping[str, str]:
        """The signature of every session. Ask :meth:`done` when they are dealt with."""
        ...

    def few(self) -> tuple[set[str], set[str]] | None:
        """Those that may have changed or come, and those that are gone; None where all have to be looked at."""
        ...

    def done(self) -> None:
        """What was looked at last is dealt with."""
        ...

    def signature(self, name: str) -> str:
        """Another one after each change of what lists show of a session; "" where there is none."""
        ...

    def only_grew(self, now: str, before: str) -> bool:
        """Whether a session was only added to between two signatures."""
        ...

    def later(self, told: str) -> bool:
        """Whether a signature is of a change since this was made."""
        ...

    def thread_id(self, name: str) -> str:
        """Whose folder it is. FileNotFoundError where there is none; DamagedLog."""
        ...

    def place(self, name: str) -> str:
        """What errors call a session."""
        ...

    def fresh(self) -> Looking:
        """One over the same sessions that remembers nothing."""
        ...


class Look:
    """Looking at a directory."""

    exact: Final = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders = ThreadFolders(root)
        self._begun_ns = time.time_ns()
        self.names: set[str] | None = None  # None: nobody has looked yet
        self.looked = 0.0
        self._slots: dict[int, list[str]] = {}
        self._stamps = b""
        self._stat: tuple[int, int] | None = None
        self._next: tuple[bytes, tuple[int, int] | None, set[str] | None] = (b"", None, None)

    def all(self) -> dict[str, str]:
        """The signature of every session, by folder. Ask :meth:`done` when they are dealt with."""
        self._next = (pressed(self.root) or b"", _stat_of(self.root), None)  # before looking: later changes differ
        found = {name: told for name in names_in(self.root) if (told := signature(self.root, name))}
        self._next = (*self._next[:2], set(found))
        return found

    def few(self) -> tuple[set[str], set[str]] | None:
        """Folders that may have changed or come, and those that are gone; None where all have to be looked at."""
        stamps, stat = pressed(self.root), _stat_of(self.root)
        if self.names is None or not self._stamps or stamps is None:
            return None
        changed = {name for slot in different(stamps, self._stamps) for name in self._slots.get(slot, ())}
        names, gone = self.names, set[str]()
        if stat is None or stat != self._stat:
            now = set(names_in(self.root))
            changed |= now - names
            gone = names - now
            names = now
        self._next = (stamps, stat, names)
        return changed, gone

    def done(self) -> None:
        """What was looked at last is dealt with."""
        self._stamps, self._stat, names = self._next
        if names is not None and names is not self.names:
            self.names, self._slots = names, defaultdict(list)
            for name in names:
                self._slots[slot_of(name)].append(name)

    def signature(self, name: str) -> str:
        """See :func:`signature`."""
        return signature(self.root, name)

    def only_grew(self, now: str, before: str) -> bool:
        """Whether the checkpoints were only appended to."""
        new, old = (told.split(" ")[1].split(":") if told.count(" ") == 2 else [] for told in (now, before))
        return len(new) == len(old) == 3 and new[2] == old[2] and int(new[0]) >= int(old[0])

    def later(self, told: str) -> bool:
        """By the newest time of its files."""
        times = (int(part.split(":")[1]) for part in told.split(" ") if ":" in part)
        return max(times, default=0) >= self._begun_ns

    def thread_id(self, name: str) -> str:
        """What its ``thread.json`` says."""
        return self._folders.thread_id(self.root / name)

    def place(self, name: str) -> str:
        """Its path."""
        return str(self.root / name)

    def fresh(self) -> Look:
        """Another one."""
        return Look(self.root)


def names_in(root: Path) -> list[str]:
    """The names of all that may be sessions, in no order."""
    try:
        return [name for name in os.listdir(root) if not name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def signature(root: Path, name: str) -> str:
    """Size, time and inode of what a session's row is made from; "" where there is no session."""
    parts = []
    for source in SOURCES:
        try:
            found = os.stat(f"{root}/{name}/{source}")
            parts.append(f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}")
        except (FileNotFoundError, NotADirectoryError):
            if source == SOURCES[0]:
                return ""
            parts.append("-")
    return " ".join(parts)


def _stat_of(root: Path) -> tuple[int, int] | None:
    """The directory's inode and time; None if that proves nothing."""
    try:
        found = os.stat(root)
    except OSError:
        return None
    return None if time.time_ns() - found.st_mtime_ns < RACY_NS else (found.st_ino, found.st_mtime_ns)
