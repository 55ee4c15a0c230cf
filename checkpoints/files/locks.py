"""Locks between processes and threads that the operating system drops when their holder dies.

``flock`` where there is one (Linux, macOS), ``msvcrt.locking`` on Windows. Readers never take one of these.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from checkpoints.errors import ThreadBusy
from checkpoints.files.folders import ThreadFolders, open_file, write_all

_held: set[int] = set()
"""File descriptors of locks, so that a forked child can drop its copies of them."""


def _close(fd: int) -> None:
    _held.discard(fd)
    os.close(fd)


def _drop_in_child() -> None:
    for fd in _held:
        os.close(fd)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_in_child)

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows locks are mandatory: lock a byte that nobody reads

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_lock(fd: int) -> None:
        while not _try_lock(fd):
            time.sleep(0.002)

    def _unlock(fd: int) -> None:
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _wait_lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


class OsLock:
    """An exclusive lock on a lock file; also excludes other threads of this process. Not reentrant.

    A lock file may vanish with its folder while somebody waits for it, so the name is checked again after locking.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = -1
        self._kept = -1  # open, and locked by nobody through it
        self._keeps = False

    def acquire(self, *, wait: bool = True) -> bool:
        """True when the lock is held; False only with ``wait=False``. FileNotFoundError if the folder is gone."""
        while True:
            fd, self._kept = self._kept, -1
            if fd not in _held:  # none, or a forked child has dropped its copy
                fd = open_file(self.path, os.O_RDWR | os.O_CREAT)
                _held.add(fd)
            try:
                if wait:
                    _wait_lock(fd)
                elif not _try_lock(fd):
                    _close(fd)
                    return False
                if self._still_there(fd):
                    self.fd = fd
                    return True
            except BaseException:
                _close(fd)
                raise
            _close(fd)

    def release(self) -> None:
        """Give the lock back."""
        fd, self.fd = self.fd, -1
        if fd in _held:  # a forked child has dropped it already
            _unlock(fd)
            if self._keeps:
                self._kept = fd
            else:
                _close(fd)

    def keep(self) -> None:
        """Leave the file open between one time and the next, until :meth:`drop`. For who takes it again and again."""
        self._keeps = True

    def drop(self) -> None:
        """Close what was left open."""
        self._keeps = False
        fd, self._kept = self._kept, -1
        if fd in _held:
            _close(fd)

    def _still_there(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self.path, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def __enter__(self) -> OsLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        self.release()


@contextmanager
def run_lock(directory: str | os.PathLike[str], thread_id: str, owner: str) -> Iterator[None]:
    """Hold a thread for one run; ThreadBusy at once, naming the holder, if another run has it.

    The operating system releases it when the process dies, kill -9 included. Not reentrant.
    """
    path = ThreadFolders(directory).ensure(thread_id) / "run.lock"
    lock = OsLock(path)
    if not lock.acquire(wait=False):
        raise _busy(path, thread_id)
    try:
        os.ftruncate(lock.fd, 0)
        os.lseek(lock.fd, 0, os.SEEK_SET)
        holder = {"pid": os.getpid(), "owner": owner, "since": datetime.now(UTC).isoformat()}
        write_all(lock.fd, json.dumps(holder).encode())
        yield
    finally:
        lock.release()


def _busy(path: Path, thread_id: str) -> ThreadBusy:
    """Who holds it: best effort, the holder may be just about to write its name."""
    try:
        holder = json.loads(path.read_bytes())
        return ThreadBusy(thread_id, owner=holder["owner"], pid=holder["pid"], since=holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return ThreadBusy(thread_id, owner="", pid=0, since="")
