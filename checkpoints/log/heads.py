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

from checkpoints.files.folders import HEADS, ThreadFolders, open_file, replace_file
from checkpoints.files.frames import ROOT, Damage, frame, parse
from state import DojangError

KIND, VERSION = "heads", 1
LOG = "checkpoints.jsonl"

WRITE_PART = 64
"""The file is written anew when more than that part of the threads changed; fewer are soon derived again."""

Row = list[Any]
"""Size, modification time in nanoseconds and inode of the log; newest checkpoint id; thread id."""


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
        self._known: dict[str, Row] | None = None
        self._unsaved = 0

    def all(self, derive: Callable[[str], Head]) -> list[Head]:
        """The heads of all threads that have a log, in no order; ``derive`` reads that of the folder with a name."""
        with self._mutex:
            before = self._known if self._known is not None else self._read()
            now: dict[str, Row] = {}
            root, stat, unknown = str(self.folders.root), os.stat, [-1, 0, 0, "", ""]
            for name in self.folders.names():
                try:
                    found = stat(f"{root}/{name}/{LOG}", follow_symlinks=False)
                    row = before.get(name, unknown)
                    if row[0] != found.st_size or row[1] != found.st_mtime_ns or row[2] != found.st_ino:
                        head = derive(name)
                        row = [found.st_size, found.st_mtime_ns, found.st_ino, head.newest, head.thread_id]
                        self._unsaved += 1
                except FileNotFoundError:
                    continue  # half-made, without checkpoints, or deleted meanwhile
                now[name] = row
            self._known = now
            if self._unsaved * WRITE_PART > len(now) or before.keys() - now.keys():
                self._write(now)
                self._unsaved = 0
            return [Head(row[3], row[4], name) for name, row in now.items()]

    def _read(self) -> dict[str, Row]:
        if not self.kept:
            return {}
        try:
            fd = open_file(self.folders.root / HEADS, os.O_RDONLY)
        except (FileNotFoundError, DojangError):
            return {}
        with os.fdopen(fd, "rb") as file, contextlib.suppress(Damage, KeyError, TypeError, ValueError, OSError):
            record: dict[str, Any] = parse(file.read()[:-1], 0)
            if (record["k"], record["version"]) == (KIND, VERSION):
                return dict(record["threads"])
        return {}

    def _write(self, now: dict[str, Row]) -> None:
        if not self.kept:
            return
        rows = {name: row for name, row in now.items() if _text(name + row[3] + row[4])}
        line, _ = frame({"k": KIND, "version": VERSION, "threads": rows}, ROOT)
        with contextlib.suppress(DojangError, OSError):  # full, read-only: it is only there to save time
            replace_file(self.folders.root / HEADS, line, sync=False)


def _text(text: str) -> bool:
    """Whether JSON can hold it; what has lone surrogates is derived again."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
