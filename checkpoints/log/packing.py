"""When a checkpoint log is packed, and how it takes the old one's place. What packing does to records: ``moving``.

In the background of a write. Most of the work is done without the lock, on bytes that no writer changes any more;
then, under the lock, what was appended meanwhile is added, and the new file is synced and renamed over the old one.
Readers never wait. A crash at any instant leaves the old file or the new one, never less.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from pathlib import Path

from checkpoints.files.folders import open_file, read_at, rename_over, sync_dir, sync_file, write_all
from checkpoints.files.frames import Damage
from checkpoints.files.journal import Journal, gen_of, read_all
from checkpoints.log.moving import Moving, Unusual
from checkpoints.values.refs import Moved
from state import DojangError

WRITE_BYTES = 256 * 1024

PACK_MIN = 96 * 1024
PACK_PART = 24
"""Packed anew when this many bytes, and that part of what is packed, lie unpacked at the end."""


class Packer:
    """Packs one log now and then, one at a time, in a thread of its own."""

    def __init__(self, log: Journal) -> None:
        self.log = log
        self.off = False  # for logs that are only passing
        self.moved: Moved | None = None  # by the last packing
        self._busy = threading.Lock()

    def consider(self, packed: int, end: int) -> None:
        """Begin to pack if it is time; returns at once. Of ``end`` bytes ``packed`` are packed already."""
        if self.off or end - packed < max(PACK_MIN, packed // PACK_PART) or not self._busy.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._run, args=(packed,), name="dojang-pack").start()
        except RuntimeError:  # the interpreter is ending
            self._busy.release()

    def _run(self, packed: int) -> None:
        try:
            self.moved = pack_log(self.log, packed) or self.moved
        finally:
            self._busy.release()

    def wait(self) -> None:
        """Return when nothing is being packed."""
        with self._busy:
            pass


def pack_log(log: Journal, packed: int) -> Moved | None:
    """Pack a log of which ``packed`` bytes are packed: where its bodies are now. None where that was not possible.

    It changed meanwhile, is damaged, or the disk is full: the file is as it was, and its next reader or writer says
    what is wrong with it.
    """
    temp = log.path.with_name(f".{log.path.name}.{secrets.token_hex(4)}.tmp")
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as files:
        try:
            source = open_file(log.path, os.O_RDONLY)
            files.callback(os.close, source)
            target = open_file(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            stack.callback(temp.unlink, missing_ok=True)
            files.callback(os.close, target)
            return _pack(log, packed, source, target, temp, files)
        except (OSError, DojangError, Damage, Unusual):
            return None


def _pack(log: Journal, packed: int, source: int, target: int, temp: Path, files: contextlib.ExitStack) -> Moved | None:
    data = read_all(source)
    out = _Output(target)
    moving = Moving(log, source, out.write)
    moving.begin(data, packed)
    out.flush()
    sync_file(target)  # most of it, before anybody has to wait
    with log.locked():
        same = os.path.samestat(os.fstat(source), os.stat(log.path, follow_symlinks=False))
        if not same or gen_of(read_at(source, 256, 0)) != gen_of(data):
            return None
        os.lseek(source, moving.read, os.SEEK_SET)
        moving.more(read_all(source))
        moving.finish()
        out.flush()
        sync_file(target)
        files.close()  # both: Windows does not rename over a file that somebody has open
        rename_over(temp, log.path)
        sync_dir(log.path.parent)
        for left_over in log.path.parent.glob(f".{log.path.name}.*.tmp"):
            left_over.unlink(missing_ok=True)  # of a packer that was killed; one that lives loses its file and gives up
    return moving.moved()


class _Output:
    """Writes lines many at a time."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._lines: list[bytes] = []
        self._size = 0

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        if self._size >= WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        write_all(self.fd, b"".join(self._lines))
        self._lines.clear()
        self._size = 0
