"""Records as files: journals in each thread's folder, small files beside them. Satisfies ``checkpoints.backend``."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from checkpoints.errors import DamagedLog, DiskFault, NewerFormat
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import (
    LOG,
    ThreadFolders,
    open_file,
    replace_file,
    sync_dir,
)
from checkpoints.files.frames import ROOT, Damage, Record, scan
from checkpoints.files.journal import Journal, check_header, flush_file
from checkpoints.files.locks import OsLock
from checkpoints.files.mending import rewrite
from checkpoints.files.stamps import Stamp
from state import DojangError

PLAIN: Final = frozenset({"audit"})
"""Kinds that hold no content and are never sealed."""


class Looked(NamedTuple):
    """What a checker sees of a log: its records up to the first that is not as it was written."""

    records: list[Record]
    torn: int = 0  # bytes after the last record, of an append that a crash cut short
    damage: str = ""  # what is wrong after the records
    unfit: bool = False  # it is no log of this kind at all


class FileLog(Journal):
    """A journal, as those see it who do not know that it is one."""

    def records(self) -> list[Record]:
        """All of them, oldest first; DamagedLog."""
        return [entry.record for entry in self.read()[1:]]

    def looked(self) -> Looked | None:
        """What a checker sees of the file; None where there is none."""
        data = read_file(self.path)
        if data is None:
            return None
        found, end = Looked([]), 0
        try:
            for entry in scan(data, 0, ROOT):
                end = entry.end
                if entry.offset == 0:
                    check_header(self.path, entry.record, self.kind)
                else:
                    found.records.append(entry.record)
            return found._replace(torn=len(data) - end)
        except Damage as e:
            damage = f"byte {e.offset}: {e.what}: it was changed"
            return found._replace(damage=damage)
        except (DamagedLog, NewerFormat) as e:
            return found._replace(damage=str(e), unfit=True)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put these in the place of all that are there. Call it while locked."""
        rewrite(self, records)


class FileBackend:
    """The folders of a threads directory, and the home above it. Thread-safe, cheap; nothing is made before it must be.

    Args:
        directory: the threads directory.
        keys: what the logs are sealed with.
        home: where what belongs to no thread lies; the folder above ``directory`` if None.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, keys: KeyRing | None = None, home: Path | None = None
    ) -> None:
        self.folders = ThreadFolders(directory, keys=keys)
        self.home = home or self.folders.root.parent

    # threads

    def ensure(self, thread_id: str | None, *, created_at: str = "") -> None:
        """Make the thread's folder, or the home."""
        if thread_id is not None:
            self.folders.ensure(thread_id, created_at=created_at)
            return
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise DiskFault(f"cannot create {self.home}: {e.strerror}; nothing was noted") from e

    def exists(self, thread_id: str) -> bool:
        """Whether its ``thread.json`` is there."""
        return (self.folders.path(thread_id) / "thread.json").exists()

    def created_at(self, thread_id: str) -> str:
        """What its ``thread.json`` says, or when that was written."""
        path = self.folders.path(thread_id) / "thread.json"
        about = json.loads(path.read_bytes())
        return str(about.get("created_at") or datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat())

    def threads(self, *, kind: str = "", saying: str = "") -> Iterator[str]:
        """By the names of their folders."""
        needle = saying.encode()
        for thread_id, folder in self.folders.threads():
            if not kind or _has(folder / f"{kind}.jsonl", needle):
                yield thread_id

    def readable(self, wrong: Callable[[Path, str], None]) -> Iterator[str]:
        """By the names of their folders."""
        for folder in self.folders.folders():
            try:
                thread_id = self.folders.thread_id(folder)
            except FileNotFoundError:
                continue  # deleted meanwhile
            except DojangError as e:
                wrong(folder / "thread.json", str(e))
                continue
            yield thread_id

    def remove(self, thread_id: str) -> None:
        """Delete the thread's whole folder."""
        self.folders.remove(thread_id)

    # records

    def log(self, thread_id: str | None, kind: str, *, sync: bool = True) -> FileLog:
        """The journal ``<kind>.jsonl``."""
        keys = None if kind in PLAIN else self.folders.keys
        return FileLog(self._place(thread_id) / f"{kind}.jsonl", kind=kind, keys=keys, sync=sync)

    def stamp(self, thread_id: str | None, *kinds: str) -> object:
        """Sizes, times and numbers of the files."""
        place = self._place(thread_id)
        found = tuple(_stamp(place / f"{kind}.jsonl") for kind in kinds)
        return found if any(found) else None

    def press(self, thread_id: str) -> None:
        """See ``stamps``."""
        Stamp(self.folders.path(thread_id)).press()

    def flush(self, thread_id: str) -> None:
        """A checkpoint can be seen a moment before it is on the disk."""
        flush_file(self.folders.path(thread_id) / LOG)

    # small things

    def note(self, thread_id: str | None, name: str) -> bytes | None:
        """A small file's bytes, never through a link."""
        return read_file(self._place(thread_id) / name)

    def replace_note(self, thread_id: str | None, name: str, data: bytes | None) -> None:
        """Durable on return."""
        path = self._place(thread_id) / name
        if data is not None:
            replace_file(path, data)
            return
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            sync_dir(path.parent)

    def notes(self, name: str) -> Iterator[tuple[str, bytes]]:
        """By the names of the folders."""
        for folder in self.folders.folders():
            data = read_file(folder / name)
            if data is not None:
                yield folder.name, data

    def set_aside(self, thread_id: str | None, kind: str, note: str, suffix: str) -> list[Path]:
        """Rename the two files."""
        place, kept = self._place(thread_id), []
        for name in (f"{kind}.jsonl", note):
            with contextlib.suppress(FileNotFoundError):
                target = place / (name + suffix)
                os.replace(place / name, target)
                kept.append(target)
        sync_dir(place)
        return kept

    def mark(self, thread_id: str, name: str, there: bool) -> None:
        """An empty file in the folder ``name`` of the home, so that looking for them opens no session."""
        marks = self.folders.root.parent / name
        path = marks / self.folders.path(thread_id).name
        if there:
            marks.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, b"")
            return
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            sync_dir(marks)

    def marked(self, name: str) -> list[str]:
        """By the names of their folders."""
        marks = self.folders.root.parent / name
        if not marks.is_dir():
            return []
        found = []
        for folder in sorted(os.listdir(marks)):
            with contextlib.suppress(FileNotFoundError):  # the thread is gone
                found.append(self.folders.thread_id(self.folders.root / folder))
        return found

    # who may

    @contextmanager
    def lock(self, name: str, thread_id: str | None = None, *, wait: bool = True) -> Iterator[bool]:
        """``<name>.lock``."""
        self.ensure(thread_id)
        lock = OsLock(self._place(thread_id) / f"{name}.lock")
        held = lock.acquire(wait=wait)
        try:
            yield held
        finally:
            if held:
                lock.release()

    def together(self, name: str) -> contextlib.AbstractContextManager[object]:
        """The same: each file is replaced at once, but one after the other."""
        return self.lock(name)

    # signing

    def signers(self) -> dict[str, bytes]:
        """None: the folder of keys has them all."""
        return {}

    def make_known(self, key_id: str, pem: bytes) -> None:
        """Put it into the folder of keys, where it is not there."""
        path = self.home / "keys" / f"audit-{key_id}.pub"
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, pem)

    def _place(self, thread_id: str | None) -> Path:
        return self.home if thread_id is None else self.folders.path(thread_id)


def read_file(path: Path) -> bytes | None:
    """A small file's bytes, never through a link; None where there is none."""
    try:
        fd = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _has(path: Path, needle: bytes) -> bool:
    try:
        return needle in path.read_bytes()
    except FileNotFoundError:
        return False
