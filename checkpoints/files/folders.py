"""Where a thread's files are, and the few file operations that durability needs. Knows nothing of their content.

A thread id is never a raw path: the folder is a short readable slug plus a hash of the id, and ``thread.json`` in it
holds the id itself. Files are 0600, directories 0700; links are not followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints.errors import DamagedLog, DiskFault, NewerFormat, NotAThreadFolder

if TYPE_CHECKING:
    from checkpoints.files.crypto import KeyRing

FORMAT = 1
"""Version of everything that this package writes into a thread's folder (docs/checkpoint-format.md)."""

LOG = "checkpoints.jsonl"
"""A thread's checkpoints, in its folder."""

HEADS = ".heads"
"""What is derived of all threads (``heads``), beside their folders."""

PATHS_MAX = 1_024
"""Folders of threads whose names are remembered: one is made of its thread's id by a hash."""

SAFE_OPEN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def folder_name(thread_id: str) -> str:
    """The directory name of a thread: at most 32 readable characters, a dash, 32 hexadecimal digits."""
    digest = hashlib.sha256(thread_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    slug = re.sub(r"[^A-Za-z0-9_-]+", "_", thread_id[:32]).strip("_-") or "thread"
    return f"{slug}-{digest}"


def open_file(path: Path, flags: int) -> int:
    """``os.open`` with mode 0600, close-on-exec, never through a link in the last component."""
    try:
        return os.open(path, flags | SAFE_OPEN, 0o600)
    except FileNotFoundError:
        raise
    except OSError as e:
        if path.is_symlink():
            raise NotAThreadFolder(f"{path} is a symbolic link, which is never followed; remove it") from e
        raise DiskFault(f"cannot open {path}: {e.strerror}; check permissions and the disk, then try again") from e


def sync_file(fd: int) -> None:
    """Return when the file's data are on the disk (F_FULLFSYNC on macOS, where fsync does not wait for the drive)."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_dir(path: Path) -> None:
    """Make a created, renamed or removed name in ``path`` durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes from ``offset``. Moves the file position where there is no pread (Windows)."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


def read_into(fd: int, buffer: memoryview, offset: int) -> int:
    """``read_at`` into memory that is there already; how many bytes came."""
    if hasattr(os, "preadv"):
        return os.preadv(fd, [buffer], offset)
    data = read_at(fd, len(buffer), offset)
    buffer[: len(data)] = data
    return len(data)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte or raise OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def replace_file(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Atomically make ``data`` the content of ``path``; a reader sees the old or the new whole.

    Durable on return, unless ``sync`` is False: then a power cut, but no killed process, may leave an empty file.
    """
    temp = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        fd = open_file(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(fd, data)
            if sync:
                sync_file(fd)
        finally:
            os.close(fd)
        rename_over(temp, path)
        if sync:
            sync_dir(path.parent)
    except FileNotFoundError:
        raise  # the folder was deleted meanwhile: the caller knows what that means
    except OSError as e:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise DiskFault(f"cannot write {path}: {e.strerror}; nothing was changed; free space and try again") from e


def rename_over(source: Path, target: Path) -> None:
    """``os.replace``; on Windows it waits a little for readers that have the target open."""
    for attempt in range(50):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or attempt == 49:
                raise
            time.sleep(0.01)


class ThreadFolders:
    """The threads directory: one folder a thread."""

    def __init__(self, directory: str | os.PathLike[str], *, keys: KeyRing | None = None, sync: bool = True) -> None:
        self.root = Path(directory).absolute()
        self.sync = sync
        self.keys = keys  # what the logs in the folders are sealed with
        self._paths: dict[str, Path] = {}

    def path(self, thread_id: str) -> Path:
        """The folder of a thread, whether or not it exists."""
        known = self._paths.get(thread_id)
        if known is None:
            if len(self._paths) >= PATHS_MAX:
                self._paths.clear()
            known = self._paths[thread_id] = self.root / folder_name(thread_id)
        return known

    def ensure(self, thread_id: str, *, created_at: str = "") -> Path:
        """Create the folder and its ``thread.json`` if needed, durable on return if ``sync``. Safe when raced."""
        folder = self.path(thread_id)
        if folder.is_symlink():
            raise NotAThreadFolder(f"{folder} is a symbolic link, which is never followed; remove it")
        if (folder / "thread.json").exists():
            return folder
        try:
            if not self.root.exists():
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_dir(self.root.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as e:
            raise DiskFault(f"cannot create {folder}: {e.strerror}; check permissions and the disk") from e
        about = {"format": FORMAT, "thread_id": thread_id, "created_at": created_at or datetime.now(UTC).isoformat()}
        replace_file(folder / "thread.json", json.dumps(about).encode() + b"\n", sync=self.sync)
        if self.sync:
            sync_dir(self.root)
        return folder

    def thread_id(self, folder: Path) -> str:
        """The thread id that a folder holds; DamagedLog if ``thread.json`` cannot be read."""
        path = folder / "thread.json"
        with open(open_file(path, os.O_RDONLY), "rb", buffering=0) as file:
            data = file.read()
        try:
            about = json.loads(data)
            thread_id, version = about["thread_id"], about["format"]
        except (ValueError, KeyError, TypeError) as e:
            raise DamagedLog(path, 0, "it does not hold a thread id") from e
        if not isinstance(thread_id, str) or not isinstance(version, int):
            raise DamagedLog(path, 0, "it does not hold a thread id")
        if version > FORMAT:
            raise NewerFormat(f"{path} has format {version}, this program reads up to {FORMAT}; update it")
        if folder_name(thread_id) != folder.name:
            name = folder_name(thread_id)
            what = (
                f"its thread {thread_id!r} belongs into a folder named {name}; if this one was renamed, rename it back"
            )
            raise DamagedLog(path, 0, what)
        return thread_id

    def folders(self) -> list[Path]:
        """All thread folders, sorted by name; half-made and hidden ones are left out."""
        return [folder for folder in self._directories() if (folder / "thread.json").exists()]

    def _directories(self) -> Iterator[Path]:
        if not self.root.is_dir():
            return
        yield from (self.root / name for name in sorted(self.names()))

    def names(self) -> list[str]:
        """The names of all folders that may be a thread's, in no order."""
        try:
            with os.scandir(self.root) as entries:
                return [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def threads(self) -> Iterator[tuple[str, Path]]:
        """(thread id, folder) of every thread; DamagedLog at the first unreadable ``thread.json``."""
        for folder in self._directories():
            with contextlib.suppress(FileNotFoundError):  # half-made, or deleted meanwhile
                yield self.thread_id(folder), folder

    def remove(self, thread_id: str) -> None:
        """Delete a thread's whole folder. Atomic: it is renamed away first."""
        folder = self.path(thread_id)
        trash = self.root / f".deleted-{secrets.token_hex(8)}"
        try:
            rename_over(folder, trash)
        except FileNotFoundError:
            return
        except OSError as e:
            raise DiskFault(f"cannot delete {folder}: {e.strerror}; close what uses it and try again") from e
        with contextlib.suppress(OSError):
            (self.root / HEADS).unlink()  # it repeats the thread's id
        sync_dir(self.root)
        shutil.rmtree(trash, ignore_errors=True)
