"""Which sessions changed since one looked, without looking at each of very many: names, times and stamps of folders.

A process looks at every folder once. After that it looks at those that a program of ours has written to
(``files.stamps``) and, where the directory itself changed, at the names that came or went. What other programs do
inside of a folder is found by a look at all: at once where there are few folders, else behind whoever asks.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from checkpoints.files.stamps import different, pressed, slot_of

SOURCES: Final = ("thread.json", "checkpoints.jsonl", "decisions.jsonl")
RACY_NS: Final = 50_000_000
"""A directory that changed so short a time ago may change again under the same time."""


class Look:
    """What one process remembers of a directory of sessions. Callers serialise."""

    def __init__(self, root: Path) -> None:
        self.root = root
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


def only_grew(now: str, before: str) -> bool:
    """Whether the checkpoints of a session were only appended to between two signatures."""
    new, old = (told.split(" ")[1].split(":") if told.count(" ") == 2 else [] for told in (now, before))
    return len(new) == len(old) == 3 and new[2] == old[2] and int(new[0]) >= int(old[0])


def _stat_of(root: Path) -> tuple[int, int] | None:
    """The directory's inode and time; None if that proves nothing."""
    try:
        found = os.stat(root)
    except OSError:
        return None
    return None if time.time_ns() - found.st_mtime_ns < RACY_NS else (found.st_ino, found.st_mtime_ns)
