"""Which answers cited a passage: looked up across all sessions, in an SQLite file derived from them.

Answers carry their citations in the session files, which are the truth; delete ``cited.sqlite`` and the next question
makes it again. It holds ids of threads, messages and passages, and no text, so it is not sealed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.base import CheckpointTuple

from checkpoints.looking import Looking
from state import DojangError

SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (folder TEXT PRIMARY KEY, signature TEXT NOT NULL, error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cited (
    passage TEXT NOT NULL, folder TEXT NOT NULL, thread_id TEXT NOT NULL, message TEXT NOT NULL, n INTEGER NOT NULL,
    start_at INTEGER NOT NULL, end_at INTEGER NOT NULL, PRIMARY KEY (passage, folder, message, n)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cited_by_folder ON cited (folder);
"""


class CitedBy(TypedDict):
    """One citation in one answer."""

    passage: str
    thread_id: str
    message: str  # id of the answer's message
    n: int  # the [n] in its text
    start: int  # offsets in the document, as it was then
    end: int


class CitedIndex:
    """The file at ``path`` over the sessions that ``look`` sees.

    ``newest`` reads the newest checkpoint of a thread. Safe from many processes.
    """

    def __init__(self, path: Path, look: Looking, newest: Callable[[str], CheckpointTuple | None]) -> None:
        self._path = path
        self._look = look
        self._newest = newest

    def of(self, passages: Sequence[str]) -> list[CitedBy]:
        """All citations of these passages, by thread and message. Brings the file up to date first."""
        try:
            return self._of(passages)
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):  # derived: a broken file is made anew
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            return self._of(passages)

    def unreadable(self) -> dict[str, str]:
        """Folders that could not be read, and why: what they cite is not known."""
        with self._open() as db:
            return dict(db.execute("SELECT folder, error FROM folders WHERE error <> '' ORDER BY folder"))

    def _of(self, passages: Sequence[str]) -> list[CitedBy]:
        with self._open() as db:
            self._refresh(db)
            found: list[CitedBy] = []
            for passage in dict.fromkeys(passages):
                rows = db.execute(
                    "SELECT passage, thread_id, message, n, start_at, end_at FROM cited WHERE passage = ? "
                    "ORDER BY thread_id, message, n",
                    (passage,),
                )
                found += [CitedBy(**dict(zip(CitedBy.__annotations__, row, strict=True))) for row in rows]  # type: ignore[typeddict-item]
            return found

    def _refresh(self, db: sqlite3.Connection) -> None:
        known = dict(db.execute("SELECT folder, signature FROM folders"))
        for name, signature in sorted(self._look.fresh().all().items()):  # a change while it is read is seen next time
            if known.pop(name, None) != signature:
                self._derive(db, name, signature)
        with db:
            for name in known:
                db.execute("DELETE FROM cited WHERE folder = ?", (name,))
                db.execute("DELETE FROM folders WHERE folder = ?", (name,))

    def _derive(self, db: sqlite3.Connection, name: str, signature: str) -> None:
        rows: list[tuple[Any, ...]] = []
        error = ""
        try:
            thread_id = self._look.thread_id(name)
            newest = self._newest(thread_id)
            messages = newest.checkpoint["channel_values"].get("messages") or [] if newest is not None else []
            rows = [(name, thread_id, *row) for message in messages for row in _citations(message)]
        except (DojangError, OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
            error = str(failure) or type(failure).__name__
        with db:
            db.execute("DELETE FROM cited WHERE folder = ?", (name,))
            db.executemany(
                "INSERT OR REPLACE INTO cited (folder, thread_id, message, passage, n, start_at, end_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            db.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", (name, signature, error))

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = not self._path.exists()
        with contextlib.closing(sqlite3.connect(self._path, timeout=30.0)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # derived: what a power cut spoils is made again
            db.executescript(SCHEMA)
            if fresh:
                self._path.chmod(0o600)
            yield db


def _citations(message: Any) -> Iterator[tuple[str, str, int, int, int]]:
    """Message, passage, number, start, end of each citation of a document that an answer carries."""
    metadata = getattr(message, "response_metadata", None) or {}
    for citation in metadata.get("citations") or []:
        if citation.get("document"):
            yield str(message.id), citation["passage"], citation["n"], citation["start"], citation["end"]
