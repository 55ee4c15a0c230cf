"""Files that came with messages: the log ``attachments`` of a session, each content once, sealed like the rest.

The conversation names a file by its SHA-256; here are its bytes. A file is durable before the message that names it is.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from checkpoints.backend import Backend, Log, backend_at
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders

KIND: Final = "attachments"
MEMORY: Final = 32 * 2**20
"""Bytes of files that stay in memory, of the threads that were asked for last."""


@dataclass(frozen=True)
class _Kept:
    """What was read of a thread when its log had this stamp."""

    stamp: object
    asked: frozenset[str]
    files: dict[str, bytes]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.files.values()))


class AttachmentLog:
    """The attached files of all threads of a home. Safe from many threads and processes."""

    def __init__(self, where: ThreadFolders | Backend, *, keys: KeyRing | None = None) -> None:
        self.backend = backend_at(where, keys=keys)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, thread_id: str, data: bytes, *, by: str) -> str:
        """Keep a file that ``by`` has sent, durable on return; its SHA-256. Makes the thread where it must."""
        digest = hashlib.sha256(data).hexdigest()
        self.backend.ensure(thread_id)
        with self._log(thread_id).writing() as writer:
            if not any(record["sha256"] == digest and "data" in record for record in writer.records):
                body = base64.b64encode(data).decode("ascii")
                writer.write([{"k": "file", "sha256": digest, "by": by, "data": body}])
            writer.wait()
        return digest

    def get(self, thread_id: str, digest: str) -> bytes | None:
        """The bytes of a file; None where they are not there, or were erased."""
        return self.some(thread_id, [digest]).get(digest)

    def some(self, thread_id: str, digests: Collection[str]) -> dict[str, bytes]:
        """The bytes of these files, as far as they are there; of a thread that has not changed, without reading it.

        The log is read for all of them at once: to find one file is to read all that ever came with the thread.
        """
        stamp = self.backend.stamp(thread_id, KIND)
        with self._lock:
            kept = self._kept.get(thread_id)
            if kept is not None and kept.stamp == stamp and kept.asked.issuperset(digests):
                self._kept.move_to_end(thread_id)
                return {digest: data for digest, data in kept.files.items() if digest in digests}
        files = {
            record["sha256"]: base64.b64decode(record["data"])
            for record in self._log(thread_id).records()
            if record["sha256"] in digests and "data" in record
        }
        with self._lock:
            self._kept[thread_id] = _Kept(stamp, frozenset(digests), files)
            self._kept.move_to_end(thread_id)
            while sum(one.size for one in self._kept.values()) > MEMORY:
                self._kept.popitem(last=False)
        return files

    def copy(self, source: str, target: str) -> None:
        """Put the files of one thread beside those of another, which is its copy."""
        found: list[dict[str, Any]] = [record for record in self._log(source).records() if "data" in record]
        for record in found:
            self.put(target, base64.b64decode(record["data"]), by=record["by"])

    def _log(self, thread_id: str) -> Log:
        return self.backend.log(thread_id, KIND)


def without_data(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a file that was erased: that there was one, and which."""
    return {key: value for key, value in record.items() if key != "data"}
