"""Files that came with messages: ``attachments.jsonl`` in the session folder, each content once, sealed like the rest.

The conversation names a file by its SHA-256; here are its bytes. A file is durable before the message that names it is.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.files.journal import Journal

KIND: Final = "attachments"


class AttachmentLog:
    """The attached files of all threads of a directory. Safe from many threads and processes."""

    def __init__(self, folders: ThreadFolders, *, keys: KeyRing | None = None) -> None:
        self.folders = folders
        self.keys = keys

    def put(self, thread_id: str, data: bytes, *, by: str) -> str:
        """Keep a file that ``by`` has sent, durable on return; its SHA-256. Makes the thread's folder where it must."""
        digest = hashlib.sha256(data).hexdigest()
        self.folders.ensure(thread_id)
        journal = self._journal(thread_id)
        with journal.writing() as writer:
            if not any(record["sha256"] == digest and "data" in record for record in list(journal)):
                body = base64.b64encode(data).decode("ascii")
                writer.write([{"k": "file", "sha256": digest, "by": by, "data": body}])
            writer.wait()
        return digest

    def get(self, thread_id: str, digest: str) -> bytes | None:
        """The bytes of a file; None where they are not there, or were erased."""
        for record in list(self._journal(thread_id)):
            if record["sha256"] == digest and "data" in record:
                return base64.b64decode(record["data"])
        return None

    def copy(self, source: str, target: str) -> None:
        """Put the files of one thread beside those of another, which is its copy."""
        found: list[dict[str, Any]] = [record for record in list(self._journal(source)) if "data" in record]
        for record in found:
            self.put(target, base64.b64decode(record["data"]), by=record["by"])

    def _journal(self, thread_id: str) -> Journal:
        return Journal(self.folders.path(thread_id) / f"{KIND}.jsonl", kind=KIND, keys=self.keys)


def without_data(record: dict[str, Any]) -> dict[str, Any]:
    """The record of a file that was erased: that there was one, and which."""
    return {key: value for key, value in record.items() if key != "data"}
