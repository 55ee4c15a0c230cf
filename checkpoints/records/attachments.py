"""Files that came with messages: the log ``attachments`` of a session, each content once, sealed like the rest.

The conversation names a file by its SHA-256; here are its bytes. A file is durable before the message that names it is.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from checkpoints.backend import Backend, Log, backend_at
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders

KIND: Final = "attachments"


class AttachmentLog:
    """The attached files of all threads of a home. Safe from many threads and processes."""

    def __init__(self, where: ThreadFolders | Backend, *, keys: KeyRing | None = None) -> None:
        self.backend = backend_at(where, keys=keys)

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
        for record in self._log(thread_id).records():
            if record["sha256"] == digest and "data" in record:
                return base64.b64decode(record["data"])
        return None

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
