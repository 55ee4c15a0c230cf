"""What clients have noted about a session: its log ``about``, of which the last record counts.

Small plain JSON that programs search threads by (``{"customer": "c-17"}``). Nothing of ours believes it. Where the
sessions are sealed, so is it.
"""

from __future__ import annotations

from typing import Any, Final

from checkpoints.backend import Backend, Log, backend_at
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import ThreadFolders
from state import JSON

KIND: Final = "about"


class AboutThreads:
    """The notes of all threads of a home. Safe from many threads and processes."""

    def __init__(self, where: ThreadFolders | Backend, *, keys: KeyRing | None = None) -> None:
        self.backend = backend_at(where, keys=keys)

    def of(self, thread_id: str) -> dict[str, JSON]:
        """What is noted of a thread; {} where nothing is."""
        return _newest(self._log(thread_id).records())

    def merge(self, thread_id: str, noted: dict[str, JSON]) -> dict[str, JSON]:
        """Note these members beside those that are there, over those of the same name; durable on return.

        The thread is made where it is not there.
        """
        self.backend.ensure(thread_id)
        log = self._log(thread_id)
        if not noted and not log.exists():
            return {}
        with log.writing() as writer:
            known = _newest(writer.records)
            merged = {**known, **noted}
            if merged != known:
                writer.write([{"k": KIND, "metadata": merged}])
                writer.wait()
        return merged

    def _log(self, thread_id: str) -> Log:
        return self.backend.log(thread_id, KIND)


def _newest(records: list[dict[str, Any]]) -> dict[str, JSON]:
    return dict(records[-1]["metadata"]) if records else {}
