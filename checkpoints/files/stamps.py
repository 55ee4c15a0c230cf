"""Which threads' logs were written since one looked, without looking at each.

``.stamps`` beside the folders has 4,096 slots of eight bytes; a folder's is named by the last three digits of its hash.
Whoever has written to a log puts random bytes into its slot. Who remembers what the slots held looks again at the
threads of those that differ. A hint only, among programs that are ours: it is not synced, may be deleted, and says
nothing of what other programs do to the files. It is made by the first who asks; where nobody does, nobody pays.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from checkpoints.files.folders import SAFE_OPEN, read_at, rename_over, sync_dir

STAMPS = ".stamps"
DIGITS = 3
SLOTS, WIDTH = 16**DIGITS, 8


def slot_of(name: str) -> int:
    """The slot of a thread's folder."""
    try:
        return int(name[-DIGITS:], 16)
    except ValueError:  # no folder of ours
        return 0


class Stamp:
    """The slot of one thread."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder.parent / STAMPS)
        self._at = WIDTH * slot_of(folder.name)
        self._off = folder.name.startswith(".")  # work in progress, not a thread

    def press(self) -> None:
        """The thread's log was written. Call it when that can be seen, and before it is acknowledged."""
        if self._off:
            return
        with contextlib.suppress(OSError):  # nobody asks yet; or full, read-only: who looks finds it a little later
            fd = os.open(self._path, os.O_WRONLY | SAFE_OPEN)
            try:
                os.lseek(fd, self._at, os.SEEK_SET)
                os.write(fd, secrets.token_bytes(WIDTH))
            finally:
                os.close(fd)


def replace_log(fresh: Path, path: Path) -> None:
    """A session's log that was written anew takes the old one's place: whole, seen by whoever lists, durable on return.

    Raises:
        OSError: the disk refused.
    """
    rename_over(fresh, path)
    Stamp(path.parent).press()
    sync_dir(path.parent)


def pressed(root: Path) -> bytes | None:
    """What all slots hold; None where there can be none."""
    path = root / STAMPS
    try:
        try:
            fd = os.open(path, os.O_RDONLY | SAFE_OPEN)
        except FileNotFoundError:
            fd = os.open(path, os.O_RDONLY | os.O_CREAT | SAFE_OPEN, 0o600)
    except OSError:
        return None
    try:
        return read_at(fd, SLOTS * WIDTH, 0).ljust(SLOTS * WIDTH, b"\0")
    except OSError:
        return None
    finally:
        os.close(fd)


def different(now: bytes, before: bytes) -> set[int]:
    """The slots that do not hold what they held."""
    if now == before:
        return set()
    pairs = zip(memoryview(now).cast("Q"), memoryview(before).cast("Q"), strict=True)
    return {slot for slot, (a, b) in enumerate(pairs) if a != b}
