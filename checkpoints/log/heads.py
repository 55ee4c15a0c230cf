"""Which checkpoint is the newest of each thread, so that a list over all threads opens only those that it needs.

Derived, and believed no longer than it can be: a log's size, time and inode say whether what is known of it still
holds, and what does not hold is derived again from the thread's own files. Every log is looked at when a process lists
for the first time, when a folder came or went, and when the last look at all was ``LOOK_EVERY_S`` ago. In between
only those are that a program of ours has written to (``stamps``): what another program does inside of a folder is seen
by the next look at all.

Kept in memory, and in ``.heads`` beside the folders for the next process (one framed record; missing, damaged or out
of date, it costs time and nothing else). Sealed directories have no such file.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from checkpoints.files.folders import HEADS, LOG, ThreadFolders, open_file, replace_file
from checkpoints.files.frames import ROOT, Damage, frame, parse
from checkpoints.files.stamps import different, pressed, slot_of
from checkpoints.values.codec import is_text
from state import DojangError

KIND, VERSION = "heads", 2
WRITE_PART = 64
"""The file is written anew when more than that part of the threads changed; fewer are soon derived again."""

LOOK_EVERY_S = 1.0
"""Every log is looked at that often, if anybody lists."""

RACY_NS = 50_000_000
"""A directory that changed so short a time ago may change again under the same time."""

Proof = tuple[int, int, int]
"""Size, modification time in nanoseconds and inode of a log."""


class Head(NamedTuple):
    """What is known of one thread."""

    newest: str  # the greatest checkpoint id of all its namespaces; "" where it has none
    thread_id: str
    folder: str  # its name
    oldest: str = ""  # the smallest checkpoint id
    proof: Proof | None = None  # of what the log was then; None: look at it


def proof_of(found: os.stat_result) -> Proof:
    """A log's proof."""
    return found.st_size, found.st_mtime_ns, found.st_ino


class Heads:
    """The heads of one directory. Safe to share between threads; processes may share the file."""

    def __init__(self, folders: ThreadFolders, *, kept: bool) -> None:
        """``kept``: whether there may be a file."""
        self.folders = folders
        self.kept = kept
        self._mutex = threading.Lock()
        self._known: dict[str, Head] | None = None
        self._sorted: list[Head] | None = None
        self._names: list[str] = []  # of all folders, also of those that have no log yet
        self._slots: dict[int, list[str]] | None = None
        self._stamps = b""
        self._root: tuple[int, int] | None = None
        self._looked = 0.0
        self._unsaved = 0

    def all(self, derive: Callable[[str], Head]) -> list[Head]:
        """The heads of all threads that have a log, oldest first; ``derive`` reads that of the folder with a name.

        The list is not to be changed.
        """
        with self._mutex:
            now, stamps, root = time.monotonic(), pressed(self.folders.root), self._root_now()
            sure = different(stamps, self._stamps) if stamps is not None and self._stamps else set[int]()
            within = now - self._looked < LOOK_EVERY_S and root is not None and root == self._root
            if within and self._known is not None and stamps is not None and self._stamps:
                self._look_at(self._known, [name for slot in sure for name in self._in(slot)], sure, derive)
            else:
                self._look_at_all(sure, derive)
                self._looked = now
            self._stamps, self._root = stamps or b"", root
            assert self._known is not None
            if self._unsaved * WRITE_PART > len(self._known):
                self._write(self._known)
            if self._sorted is None:
                self._sorted = sorted(self._known.values())
            return self._sorted

    def _root_now(self) -> tuple[int, int] | None:
        """The directory's inode and time; None if that proves nothing."""
        try:
            found = os.stat(self.folders.root)
        except OSError:
            return None
        return None if time.time_ns() - found.st_mtime_ns < RACY_NS else (found.st_ino, found.st_mtime_ns)

    def _in(self, slot: int) -> list[str]:
        """The folders that share a slot."""
        if self._slots is None:
            self._slots = defaultdict(list)
            for name in self._names:
                self._slots[slot_of(name)].append(name)
        return self._slots.get(slot, [])

    def _look_at_all(self, sure: set[int], derive: Callable[[str], Head]) -> None:
        before = self._known if self._known is not None else self._read()
        names = self.folders.names()
        now = {name: head for name in names if (head := before.get(name)) is not None}
        self._look_at(now, names, sure, derive)
        self._known, self._names, self._slots = now, names, None
        if before.keys() - now.keys():
            self._sorted = None
            self._write(now)  # the file repeats their ids

    def _look_at(self, known: dict[str, Head], names: list[str], sure: set[int], derive: Callable[[str], Head]) -> None:
        """Put right what is known of these; ``sure`` are the slots of what was written to, whatever it looks like."""
        root, stat = str(self.folders.root), os.stat
        for name in names:
            try:
                found = stat(f"{root}/{name}/{LOG}", follow_symlinks=False)
                head = known.get(name)
                proof = proof_of(found)
                if head is None or head.proof != proof or (sure and slot_of(name) in sure):
                    known[name] = derive(name)._replace(proof=proof)
                    self._unsaved += 1
                    self._sorted = None
            except FileNotFoundError:  # half-made, without checkpoints, or deleted meanwhile
                if known.pop(name, None) is not None:
                    self._sorted = None

    def _read(self) -> dict[str, Head]:
        if not self.kept:
            return {}
        try:
            fd = open_file(self.folders.root / HEADS, os.O_RDONLY)
        except (FileNotFoundError, DojangError):
            return {}
        with os.fdopen(fd, "rb") as file, contextlib.suppress(Damage, KeyError, TypeError, ValueError, OSError):
            record: dict[str, Any] = parse(file.read()[:-1], 0)
            if (record["k"], record["version"]) == (KIND, VERSION):
                return {
                    name: Head(newest, thread_id, name, oldest, (size, mtime, inode))
                    for name, (size, mtime, inode, newest, thread_id, oldest) in record["threads"].items()
                }
        return {}

    def _write(self, now: dict[str, Head]) -> None:
        self._unsaved = 0
        if not self.kept:
            return
        rows = {
            name: [*head.proof, head.newest, head.thread_id, head.oldest]
            for name, head in now.items()
            if head.proof is not None and is_text(name + head.newest + head.thread_id + head.oldest)
        }
        line, _ = frame({"k": KIND, "version": VERSION, "threads": rows}, ROOT)
        with contextlib.suppress(DojangError, OSError):  # full, read-only: it is only there to save time
            replace_file(self.folders.root / HEADS, line, sync=False)
