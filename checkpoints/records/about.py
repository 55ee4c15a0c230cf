"""What clients have noted about a session: ``about.jsonl`` in its folder, of which the last record counts.

Small plain JSON that programs search threads by (``{"customer": "c-17"}``). Nothing in the house believes it. Where the
sessions are sealed, so is it.
"""

from __future__ import annotations

from typing import Any, Final

from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from checkpoints.files.journal import Journal
from state import JSON

KIND: Final = "about"


class AboutThreads:
    """The notes of all threads of a directory. Safe from many threads and processes."""

    def __init__(self, folders: ThreadFolders, *, keys: KeyRing | None = None) -> None:
        self.folders = folders
        self.keys = keys

    def of(self, thread_id: str) -> dict[str, JSON]:
        """What is noted of a thread; {} where nothing is."""
        return _newest(list(self._journal(thread_id)))

    def merge(self, thread_id: str, noted: dict[str, JSON]) -> dict[str, JSON]:
        """Note these members beside those that are there, over those of the same name; durable on return.

        The thread's folder is made where it is not there.
        """
        self.folders.ensure(thread_id)
        journal = self._journal(thread_id)
        if not noted and not journal.path.exists():
            return {}
        with journal.writing() as writer:
            known = _newest(list(journal))
            merged = {**known, **noted}
            if merged != known:
                writer.write([{"k": KIND, "metadata": merged}])
                writer.wait()
        return merged

    def _journal(self, thread_id: str) -> Journal:
        return Journal(self.folders.path(thread_id) / f"{KIND}.jsonl", kind=KIND, keys=self.keys)


def _newest(records: list[dict[str, Any]]) -> dict[str, JSON]:
    return dict(records[-1]["metadata"]) if records else {}
