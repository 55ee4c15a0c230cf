"""Advisory locks on files that the operating system releases when their holder dies, ``kill -9`` included.

Each :class:`FileLock` has an open file of its own, so two of them in one process exclude each other too. Closing,
never ``LOCK_UN``, gives a lock back: a forked child that inherited the file keeps it until it ends as well.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType

from state import PassingFault, UserError

if sys.platform != "win32":
    import fcntl

POLL_S = 0.02


class FileLock:
    """One hold on a lock file: shared (many at once) or exclusive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free now."""
        return self._lock(shared=shared, block=False)

    def acquire(self, *, shared: bool = False, timeout_s: float | None = None) -> None:
        """Wait for the lock; PassingFault after ``timeout_s`` (None: wait for ever)."""
        if timeout_s is None:
            self._lock(shared=shared, block=True)
            return
        deadline = time.monotonic() + timeout_s
        while not self.try_acquire(shared=shared):
            if time.monotonic() > deadline:
                raise PassingFault(f"lock {self.path} was held by another process for {timeout_s:g} s: try again")
            time.sleep(POLL_S)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> FileLock:
        self.acquire(timeout_s=120)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock(self, *, shared: bool, block: bool) -> bool:
        if sys.platform == "win32":
            raise UserError(
                "the embedded PostgreSQL needs POSIX locks: set DOJANG_DATABASE_URL to a server of your own"
            )
        assert self._fd is None, f"{self.path} is locked twice through one object"
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if block else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True
