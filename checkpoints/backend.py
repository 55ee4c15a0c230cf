"""Where records lie, as those see it who write them: logs, small notes, marks and locks, of a thread or of the home.

What a record means (a decision, an effect, a link of the audit chain) is for others to know; whether it becomes a line
of a file or a row of a table is for the two that satisfy this (``files.backend``, ``postgres.backend``; ADR 37).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from checkpoints.files.backend import FileBackend, Looked
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders

Record = dict[str, Any]


class Writer(Protocol):
    """The end of a log, while nobody else writes to it."""

    reset: bool
    """Whether :attr:`records` are all that there are: forget what was known before."""

    @property
    def records(self) -> list[Record]:
        """Those that the log's object had not seen before, oldest first."""
        ...

    def write(self, records: Iterable[Record]) -> object:
        """Append plain JSON. UnknownType for what is none; then, as where the disk or server fails, nothing of it."""
        ...

    def wait(self) -> None:
        """Return when all that was written is durable, or is sure to be so at the end of the block."""
        ...


class Log(Protocol):
    """One thread's records of one kind. Safe to share between threads, and may be many on one place."""

    path: Path
    """What errors call it. Only of sessions as files is it one."""

    def exists(self) -> bool:
        """Whether anything was ever written to it."""
        ...

    def records(self) -> list[Record]:
        """All of them, oldest first.

        Raises:
            DamagedLog: one of them is not what was written.
        """
        ...

    def forget(self) -> None:
        """Say next time of all records that they are new."""
        ...

    def looked(self) -> Looked | None:
        """What a checker sees of it; None where nothing was ever written. Never raises for what is wrong."""
        ...

    def writing(self) -> AbstractContextManager[Writer]:
        """Keep every other writer out. FileNotFoundError where the thread is gone."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Keep every other writer out, writing nothing yet. Reentrant."""
        ...

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put these in the place of all that are there, at once and durable. Call it while :meth:`locked`."""
        ...


class Backend(Protocol):
    """All records of a home. ``thread_id`` None stands for what belongs to no thread."""

    @property
    def folders(self) -> ThreadFolders:
        """Where the files are; UserError where sessions are none."""
        ...

    # threads

    def ensure(self, thread_id: str | None, *, created_at: str = "") -> None:
        """Make room for a thread's records, durable on return; nothing where it is there.

        ``created_at``: when it was made elsewhere, where it comes from there; ISO 8601.
        """
        ...

    def exists(self, thread_id: str) -> bool:
        """Whether there is such a thread."""
        ...

    def created_at(self, thread_id: str) -> str:
        """When it was made, ISO 8601. FileNotFoundError where there is none."""
        ...

    def threads(self, *, kind: str = "", saying: str = "") -> Iterator[str]:
        """The ids of all threads, in one order; with ``kind``: of those of whose records one has this text in it.

        Raises:
            DamagedLog: at the first that cannot be read.
        """
        ...

    def readable(self, wrong: Callable[[Path, str], None]) -> Iterator[str]:
        """The same, for a checker: ``wrong`` is told of each thread whose id cannot be read (where, why)."""
        ...

    def remove(self, thread_id: str) -> None:
        """Take a thread away with all its records, at once; nothing where there is none."""
        ...

    # records

    def log(self, thread_id: str | None, kind: str, *, sync: bool = True) -> Log:
        """A log; ``sync`` False: a power cut, but no killed process, may cost the last records."""
        ...

    def stamp(self, thread_id: str | None, *kinds: str) -> object:
        """Another one after each change of these logs; None where there is none of them."""
        ...

    def press(self, thread_id: str) -> None:
        """Somebody has written to the thread: whoever lists threads looks at it again."""
        ...

    def flush(self, thread_id: str) -> None:
        """Return when the thread's checkpoints are durable, as far as anybody can see them."""
        ...

    # small things

    def note(self, thread_id: str | None, name: str) -> bytes | None:
        """A small thing that is replaced whole; None where there is none."""
        ...

    def replace_note(self, thread_id: str | None, name: str, data: bytes | None) -> None:
        """Put this in its place, or nothing (None); durable at the end of what is done :meth:`together`."""
        ...

    def notes(self, name: str) -> Iterator[tuple[str, bytes]]:
        """What all threads have under this name: (what errors call the thread, content)."""
        ...

    def set_aside(self, thread_id: str | None, kind: str, note: str, suffix: str) -> list[Path]:
        """Keep a log and a note as evidence under other names, and have neither any more; what they are called now."""
        ...

    def mark(self, thread_id: str, name: str, there: bool) -> None:
        """Put a thread on a list, or take it off; durable."""
        ...

    def marked(self, name: str) -> list[str]:
        """The threads on a list, those left out that are gone."""
        ...

    # who may

    def lock(self, name: str, thread_id: str | None = None, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Be the only one in a block of this name; False where somebody is, and ``wait`` is False.

        The thread is made where it is not there. A dead process holds nothing.
        """
        ...

    def together(self, name: str) -> AbstractContextManager[object]:
        """The same for what is short, in a database all of it or nothing."""
        ...

    # signing

    def signers(self) -> dict[str, bytes]:
        """Public keys (PEM) by id that other machines have made known; none where there is one machine."""
        ...

    def make_known(self, key_id: str, pem: bytes) -> None:
        """Tell other machines of a public key."""
        ...


__all__ = ["Backend", "FileBackend", "Log", "Looked", "Record", "Writer", "backend_at"]


def backend_at(
    where: str | os.PathLike[str] | ThreadFolders | Backend, *, keys: KeyRing | None = None, home: Path | None = None
) -> Backend:
    """The backend that is meant: itself, or files of a threads directory, sealed with ``keys``.

    ``home``: where what belongs to no thread lies; above that directory if None.
    """
    if isinstance(where, ThreadFolders):
        return FileBackend(where.root, keys=keys, home=home)
    if isinstance(where, (str, os.PathLike)):
        return FileBackend(where, keys=keys, home=home)
    return where
