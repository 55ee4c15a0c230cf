"""What somebody outside is still to be told: an outbox in each session's ledger. Sends nothing.

A notice is written, fsynced, before what it tells of can be forgotten, and marked when it was taken; a crash in between
sends it again, under the same id. Which sessions have one open is kept in a folder of empty files beside the threads,
so that looking for them opens no session.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypedDict

from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders, replace_file, sync_dir
from checkpoints.files.journal import Journal
from checkpoints.files.locks import OsLock
from state import JSON


class OpenNotice(TypedDict):
    """A notice that nobody has taken yet."""

    id: str
    event: str
    at: str
    facts: dict[str, JSON]


class NoticeLog:
    """``notice`` and ``told`` records in each thread's ``ledger.jsonl``; ``notices/`` beside the threads directory."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keys: KeyRing | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.folders = ThreadFolders(directory, keys=keys)
        self.marks = self.folders.root.parent / "notices"
        self.clock = clock or (lambda: datetime.now(UTC))

    def put(self, thread_id: str, notice_id: str, event: str, facts: Mapping[str, JSON]) -> bool:
        """Add a notice, durable on return; False where it was put before, told or not."""
        self.folders.ensure(thread_id)
        with self._journal(thread_id).writing() as writer:
            if any(record.get("id") == notice_id for record in _notices(writer.news)):
                return False
            self.marks.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.marks / self.folders.path(thread_id).name, b"")
            at = self.clock().isoformat()
            writer.write([{"k": "notice", "id": notice_id, "event": event, "at": at, "facts": dict(facts)}])
            writer.wait()
        return True

    def open(self, thread_id: str) -> list[OpenNotice]:
        """The notices that nobody has taken yet, oldest first."""
        return _open(self._journal(thread_id).read())

    def told(self, thread_id: str, notice_id: str) -> None:
        """Mark a notice as taken, durable on return."""
        with self._journal(thread_id).writing() as writer:
            writer.write([{"k": "told", "id": notice_id, "at": self.clock().isoformat()}])
            writer.wait()

    def threads(self) -> list[str]:
        """The threads that may have open notices."""
        if not self.marks.is_dir():
            return []
        found = []
        for name in sorted(os.listdir(self.marks)):
            with contextlib.suppress(FileNotFoundError):  # the thread is gone, and with it what it had to tell
                found.append(self.folders.thread_id(self.folders.root / name))
        return found

    def settle(self, thread_id: str) -> None:
        """Take a thread from :meth:`threads` if nothing of it is open."""
        with self._journal(thread_id).writing() as writer, contextlib.suppress(FileNotFoundError):
            if not _open(writer.news):
                (self.marks / self.folders.path(thread_id).name).unlink()
                sync_dir(self.marks)

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Whether this process is the one that sends now; another one does where it is False."""
        self.marks.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = OsLock(self.marks.with_name("notices.lock"))
        held = lock.acquire(wait=False)
        try:
            yield held
        finally:
            if held:
                lock.release()

    def _journal(self, thread_id: str) -> Journal:
        return Journal(self.folders.path(thread_id) / "ledger.jsonl", kind="ledger", keys=self.folders.keys)


def _notices(entries: Any) -> Iterator[dict[str, Any]]:
    return (entry.record for entry in entries if entry.record["k"] in ("notice", "told"))


def _open(entries: Any) -> list[OpenNotice]:
    found: dict[str, OpenNotice] = {}
    for record in _notices(entries):
        if record["k"] == "told" or "erased" in record:
            found.pop(record["id"], None)
        else:
            found[record["id"]] = OpenNotice(
                id=record["id"], event=record["event"], at=record["at"], facts=record["facts"]
            )
    return list(found.values())
