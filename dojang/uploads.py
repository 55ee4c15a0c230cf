"""Files that somebody sent: on the disk before they are acknowledged, then taken into the documents by a job.

::

    DOJANG_HOME/uploads/<id>/
    ├── job.json     what it is, who sent it, how far it has got; replaced whole
    └── data         the file, until it is taken in or refused

A document goes in by one transaction, so it is there whole or not at all; a job that a kill cut off is done again at
the next start, and finds by the digest what is there already. One job at a time a process; a lock keeps others off it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import secrets
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypedDict, cast

from checkpoints.files.folders import open_file, replace_file, sync_dir, sync_file, write_all
from checkpoints.files.locks import OsLock
from state import JSON, DojangError, PassingFault, Trust, UserError
from store.readers.files import bytes_of
from store.readers.kinds import format_of
from store.text.language import clean

if TYPE_CHECKING:
    from dojang.workspace import Workspace

log = logging.getLogger(__name__)

KEPT: Final = 500
"""Jobs that are over and still told of."""
CHUNK: Final = 2**20
NAME_MAX: Final = 500
State = Literal["waiting", "working", "done", "failed"]
_ID: Final = re.compile(r"up_[0-9a-f]{16}")
_OVER: Final = ("done", "failed")


class UnknownUpload(UserError):
    """There is no upload with this id."""


class TooMuch(UserError):
    """The file is larger than the settings allow."""


class Upload(TypedDict):
    """One job."""

    id: str
    name: str  # of the document
    by: str
    at: str  # ISO 8601, UTC
    size: int  # bytes
    trust: Trust
    state: State
    work: dict[str, int]  # passages read, embedded and written so far
    fate: str  # added, replaced or unchanged; "" before it is done
    passages: int
    flagged: bool  # it holds text that speaks to the model
    error: str  # why it failed


class Source(Protocol):
    """What a file is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes."""
        ...


class Uploads:
    """The uploads of a home.

    Args:
        workspace: whose documents they become; it stays open as long as jobs run.
        limit_bytes: a larger file is refused.
    """

    def __init__(self, workspace: Workspace, *, limit_bytes: int) -> None:
        self.workspace = workspace
        self.limit_bytes = limit_bytes
        self.root = workspace.settings.home / "uploads"
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __enter__(self) -> Uploads:
        for aside in self.root.glob(".up_*"):  # never acknowledged: the process ended first
            shutil.rmtree(aside, ignore_errors=True)
        for upload in reversed(self.all()):  # one that was half removed is none
            if upload["state"] not in _OVER:
                self._later(partial(self._do, upload["id"]))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the job under way; the others wait for the next start."""
        with self._mutex:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def accept(self, name: str, source: Source, *, trust: Trust, by: str) -> Upload:
        """Take a file in: whole and durable on return; its job is under way.

        Raises:
            UserError: no name for a document, an empty or too large file, or none that can be read.
            PassingFault: the disk refuses; nothing was kept.
        """
        checked_name(name)
        upload_id = f"up_{secrets.token_hex(8)}"
        folder = self.root / upload_id
        aside = self.root / f".{upload_id}"
        try:
            aside.mkdir(mode=0o700, parents=True)
            size = self._copied(source, aside / "data")
            format_of(name, bytes_of(aside / "data", limit_bytes=self.limit_bytes))
            made = Upload(
                id=upload_id, name=name, by=by, at=self.workspace.parts.clock.now().isoformat(), size=size, trust=trust,
                state="waiting", work={}, fate="", passages=0, flagged=False, error="",
            )  # fmt: skip
            replace_file(aside / "job.json", _line(made))
            facts: dict[str, JSON] = {"upload": upload_id, "size": size, "trust": trust}
            self.workspace.parts.audit.note(None, "document.uploaded", by, name, facts)
            aside.rename(folder)
            sync_dir(self.root)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise PassingFault(f"{name} cannot be kept: {error.strerror}; free space and send it again") from error
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self._later(partial(self._do, upload_id))
        return made

    def get(self, upload_id: str) -> Upload:
        """How far an upload has got. Raises UnknownUpload."""
        if not _ID.fullmatch(upload_id):
            raise _unknown(upload_id)
        try:
            return cast(Upload, json.loads((self.root / upload_id / "job.json").read_bytes()))
        except (OSError, ValueError):
            raise _unknown(upload_id) from None

    def all(self) -> list[Upload]:
        """The uploads that are known, newest first."""
        found = []
        for upload_id in self._ids():
            with contextlib.suppress(UnknownUpload):
                found.append(self.get(upload_id))
        return sorted(found, key=lambda one: (one["at"], one["id"]), reverse=True)

    def wait(self) -> None:
        """Return when nothing is under way any more; for whoever has to know."""
        done = threading.Event()
        self._later(done.set)
        done.wait()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _copied(self, source: Source, path: Path) -> int:
        size = 0
        fd = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            while chunk := source.read(CHUNK):
                size += len(chunk)
                if size > self.limit_bytes:
                    raise TooMuch(f"the file has more than {self.limit_bytes:,} bytes, the limit; split it")
                write_all(fd, chunk)
            sync_file(fd)
        finally:
            os.close(fd)
        if not size:
            raise UserError("the file is empty; choose another one")
        return size

    def _ids(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if _ID.fullmatch(path.name))

    def _later(self, job: Callable[[], None]) -> None:
        with self._mutex:
            if self._closed:
                raise PassingFault("the server ends; send it again when it is up")
            self._queue.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="dojang-uploads", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                job()
            except Exception:
                log.exception("an upload stumbled; it is tried again at the next start")

    def _do(self, upload_id: str) -> None:
        if self._closed:
            return
        lock = OsLock(self.root / upload_id / "lock")
        try:
            if not lock.acquire(wait=False):
                return  # another process is at it
        except FileNotFoundError:
            return
        try:
            job = self.get(upload_id)
            if job["state"] not in _OVER:
                self._take_in(job)
        finally:
            lock.release()
        self._sweep()

    def _take_in(self, job: Upload) -> None:
        job["state"], job["work"] = "working", {}
        self._keep(job)

        def on_work(stage: str, passages: int) -> None:
            job["work"][stage] = job["work"].get(stage, 0) + passages
            self._keep(job, sync=False)

        data = self.root / job["id"] / "data"
        try:
            report = self.workspace.parts.store.ingest_bytes(
                job["name"], data.read_bytes(), trust=job["trust"], on_work=on_work
            )
        except PassingFault as fault:  # the database is away: it stays, for the next start
            job["state"], job["error"] = "waiting", str(fault)
            self._keep(job)
            return
        except DojangError as error:
            job["state"], job["error"] = "failed", str(error)
        else:
            fates = {"added": report.added, "replaced": report.replaced, "unchanged": report.unchanged}
            job["fate"] = next(fate for fate, names in fates.items() if names)
            job["state"], job["error"], job["passages"] = "done", "", report.passages
            job["flagged"] = bool(report.flagged)
        self._keep(job)
        data.unlink(missing_ok=True)

    def _keep(self, job: Upload, *, sync: bool = True) -> None:
        replace_file(self.root / job["id"] / "job.json", _line(job), sync=sync)

    def _sweep(self) -> None:
        """Forget the oldest of those that are over, where there are very many."""
        over = [job["id"] for job in self.all() if job["state"] in _OVER]
        for upload_id in over[KEPT:]:
            shutil.rmtree(self.root / upload_id, ignore_errors=True)


def checked_name(name: str) -> str:
    """The name of a document as it is given; raises UserError for one that could not be told, or is a path."""
    if name != clean(name) or not name.strip() or name != name.strip() or not name.isprintable():
        raise UserError("the document needs a name that one can read, like rules.pdf; name the file otherwise")
    if len(name) > NAME_MAX or name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise UserError(
            f"{name[:80]!r} is no name for a document: at most {NAME_MAX} characters, no path out of its folder"
        )
    return name


def _line(job: Upload) -> bytes:
    return json.dumps(job, ensure_ascii=False).encode() + b"\n"


def _unknown(upload_id: str) -> UnknownUpload:
    return UnknownUpload(f"there is no upload {upload_id[:80]!r}; `GET /uploads` lists those that are known")
