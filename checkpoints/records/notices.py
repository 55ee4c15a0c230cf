"""What somebody outside is still to be told: an outbox in each session's ledger. Sends nothing.

A notice is written, durable, before what it tells of can be forgotten, and marked when it was taken; a crash in between
sends it again, under the same id. Which sessions have one open is on a list of its own, so that looking for them opens
no session.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from checkpoints.backend import Backend, Log, backend_at
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from state import JSON

LIST: Final = "notices"
"""The list of threads that may have open notices, and the lock of whoever sends them."""


class OpenNotice(TypedDict):
    """A notice that nobody has taken yet."""

    id: str
    event: str
    at: str
    facts: dict[str, JSON]


class NoticeLog:
    """``notice`` and ``told`` records in each thread's log ``ledger``, and the list ``notices``."""

    def __init__(
        self,
        where: str | os.PathLike[str] | Backend,
        *,
        keys: KeyRing | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.backend = backend_at(where, keys=keys)
        self.clock = clock or (lambda: datetime.now(UTC))

    @property
    def folders(self) -> ThreadFolders:
        """Where the files are; UserError where sessions are none."""
        return self.backend.folders

    def put(self, thread_id: str, notice_id: str, event: str, facts: Mapping[str, JSON]) -> bool:
        """Add a notice, durable on return; False where it was put before, told or not."""
        self.backend.ensure(thread_id)
        with self._log(thread_id).writing() as writer:
            if any(record.get("id") == notice_id for record in _notices(writer.records)):
                return False
            self.backend.mark(thread_id, LIST, True)
            at = self.clock().isoformat()
            writer.write([{"k": "notice", "id": notice_id, "event": event, "at": at, "facts": dict(facts)}])
            writer.wait()
        return True

    def open(self, thread_id: str) -> list[OpenNotice]:
        """The notices that nobody has taken yet, oldest first."""
        return _open(self._log(thread_id).records())

    def told(self, thread_id: str, notice_id: str) -> None:
        """Mark a notice as taken, durable on return."""
        with self._log(thread_id).writing() as writer:
            writer.write([{"k": "told", "id": notice_id, "at": self.clock().isoformat()}])
            writer.wait()

    def threads(self) -> list[str]:
        """The threads that may have open notices."""
        return self.backend.marked(LIST)

    def settle(self, thread_id: str) -> None:
        """Take a thread from :meth:`threads` if nothing of it is open."""
        with self._log(thread_id).writing() as writer:
            if not _open(writer.records):
                self.backend.mark(thread_id, LIST, False)

    def sending(self) -> AbstractContextManager[bool]:
        """Whether this process is the one that sends now; another one does where it is False."""
        return self.backend.lock(LIST, wait=False)

    def _log(self, thread_id: str) -> Log:
        return self.backend.log(thread_id, "ledger")


def _notices(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (record for record in records if record["k"] in ("notice", "told"))


def _open(records: Iterable[dict[str, Any]]) -> list[OpenNotice]:
    found: dict[str, OpenNotice] = {}
    for record in _notices(records):
        if record["k"] == "told" or "erased" in record:
            found.pop(record["id"], None)
        else:
            found[record["id"]] = OpenNotice(
                id=record["id"], event=record["event"], at=record["at"], facts=record["facts"]
            )
    return list(found.values())
