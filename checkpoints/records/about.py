"""What clients have noted about a session: ``about.json`` in its folder, one JSON object, replaced whole.

Small plain JSON that programs search threads by (``{"customer": "c-17"}``). Nothing in the house believes it. Where the
sessions are sealed, so is it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from checkpoints.errors import DamagedLog
from checkpoints.files.crypto import KeyRing, Place
from checkpoints.files.folders import FORMAT, ThreadFolders, replace_file
from checkpoints.files.locks import OsLock
from state import JSON

NAME: Final = "about.json"


class AboutThreads:
    """The notes of all threads of a directory. Safe from many threads and processes."""

    def __init__(self, folders: ThreadFolders, *, keys: KeyRing | None = None) -> None:
        self.folders = folders
        self.keys = keys

    def of(self, thread_id: str) -> dict[str, JSON]:
        """What is noted of a thread; {} where nothing is. DamagedLog where the file cannot be read."""
        return self._read(self.folders.path(thread_id))

    def merge(self, thread_id: str, noted: dict[str, JSON]) -> dict[str, JSON]:
        """Note these members beside those that are there, over those of the same name; durable on return.

        The thread's folder is made where it is not there.
        """
        folder = self.folders.ensure(thread_id)
        with OsLock(folder / "about.lock"):
            merged = {**self._read(folder), **noted}
            about: dict[str, Any] = {"k": "about", "format": FORMAT, "metadata": merged}
            if self.keys is not None:
                about = {**self.keys.seal(about, _place(folder)), "format": FORMAT}
            replace_file(folder / NAME, json.dumps(about, ensure_ascii=False).encode() + b"\n")
        return merged

    def _read(self, folder: Path) -> dict[str, JSON]:
        path = folder / NAME
        try:
            about = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as e:
            raise DamagedLog(path, 0, "it is no JSON object") from e
        sealed = isinstance(about, dict) and "box" in about
        if not isinstance(about, dict) or sealed != (self.keys is not None):
            raise DamagedLog(path, 0, "it is not what this directory's setting (sealed or plain) says")
        if self.keys is not None:
            about = self.keys.open(about, _place(folder))
        noted = about.get("metadata")
        if not isinstance(noted, dict):
            raise DamagedLog(path, 0, "it holds no metadata")
        return noted


def _place(folder: Path) -> Place:
    return Place(folder.name, "about", "", 0, "")
