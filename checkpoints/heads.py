"""Which checkpoint is the newest of each thread, so that a list over all threads opens only those that it needs.

Derived: a file's size, time and inode say whether what is known of it still holds, and whatever does not hold is
derived again from the thread's own files. Kept in memory, and in ``.heads`` beside the folders for the next process
(one framed record; missing, damaged or out of date, it costs time and nothing else). Sealed directories have no such
file.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from checkpoints.folders import HEADS, ThreadFolders, open_file, replace_file
from checkpoints.frames import ROOT, Damage, frame, parse
from state import DojangError

KIND, VERSION = "heads", 1
LOG = "checkpoints.jsonl"

WRITE_PART = 64
"""The file is written anew when more than that part of the threads changed; fewer are soon derived again."""

Signature = list[int]
"""Size, modification time in nanoseconds, inode."""


class Head(NamedTuple):
    """What is known of one thread."""

    newest: str  # the greatest checkpoint id of all its namespaces; "" where it has none
    thread_id: str
    folder: str  # its name


class Heads:
    """The heads of one directory. Safe to share between threads; processes may share the file."""

    def __init__(self, folders: ThreadFolders, *, kept: bool) -> None:
        """``kept``: whether there may be a file."""
        self.folders = folders
        self.kept = kept
        self._mutex = threading.Lock()
        self._known: dict[str, tuple[Signature, Head]] | None = None
        self._unsaved = 0

    def all(self, derive: Callable[[str], Head]) -> list[Head]:
        """The heads of all threads that have a log, in no order; ``derive`` reads that of the folder with a name."""
        with self._mutex:
            before = self._known if self._known is not None else self._read()
            now: dict[str, tuple[Signature, Head]] = {}
            root = str(self.folders.root)
            for name in self.folders.names():
                try:
                    found = os.stat(f"{root}/{name}/{LOG}", follow_symlinks=False)
                    signature = [found.st_size, found.st_mtime_ns, found.st_ino]
                    if (known := before.get(name)) is None or known[0] != signature:
                        known = (signature, derive(name))
                        self._unsaved += 1
                except FileNotFoundError:
                    continue  # half-made, without checkpoints, or deleted meanwhile
                now[name] = known
            self._known = now
            if self._unsaved * WRITE_PART > len(now) or before.keys() - now.keys():
                self._write(now)
                self._unsaved = 0
            return [head for _, head in now.values()]

    def _read(self) -> dict[str, tuple[Signature, Head]]:
        if not self.kept:
            return {}
        try:
            fd = open_file(self.folders.root / HEADS, os.O_RDONLY)
        except (FileNotFoundError, DojangError):
            return {}
        with os.fdopen(fd, "rb") as file, contextlib.suppress(Damage, KeyError, TypeError, ValueError, OSError):
            record: dict[str, Any] = parse(file.read()[:-1], 0)
            if (record["k"], record["version"]) == (KIND, VERSION):
                return {row[0]: (row[1], Head(row[2], row[3], row[0])) for row in record["threads"]}
        return {}

    def _write(self, now: dict[str, tuple[Signature, Head]]) -> None:
        if not self.kept:
            return
        rows = [
            [name, signature, head.newest, head.thread_id] for name, (signature, head) in now.items() if _text(head)
        ]
        line, _ = frame({"k": KIND, "version": VERSION, "threads": rows}, ROOT)
        with contextlib.suppress(DojangError, OSError):  # full, read-only: it is only there to save time
            replace_file(self.folders.root / HEADS, line, sync=False)


def _text(head: Head) -> bool:
    """Whether JSON can hold it; ids with lone surrogates are derived again."""
    try:
        "".join(head).encode()
    except UnicodeEncodeError:
        return False
    return True
