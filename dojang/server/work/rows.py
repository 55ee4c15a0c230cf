"""Accepted runs in ``DOJANG_HOME/runs.sqlite``: of one home, on one machine."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkpoints.files.crypto import KeyRing
from checkpoints.records.leases import this_process
from dojang.server.hooks.outbox import FileOutbox
from dojang.server.transactions import Statements, transaction
from dojang.server.work.base import NEXT, ROW, Rows
from dojang.server.work.database import Texts, opened
from dojang.server.work.row import ACTIVE, QueueFull, Row, RunStatus, Strategy, UnknownRun

__all__ = ["ACTIVE", "QueueFull", "Row", "RunRows", "RunStatus", "Strategy", "UnknownRun"]
_NEXT = NEXT.format(which="")
_THIS = NEXT.format(which="AND run_id = ?")


class RunRows(Rows):
    """The file's table."""

    def __init__(self, path: Path, *, keys: KeyRing | None = None) -> None:
        """``keys`` seal what people and the model said, where the sessions are sealed."""
        self.path = path
        self.texts = Texts(keys, path)
        self._lock = threading.RLock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = opened(path)
        self._fast = opened(path, "NORMAL")  # events: a power cut may lose the last ones, a killed process none
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
            self._fast.close()

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, on the disk at its end; or, not ``durable``, with the next one that is.

        A killed process loses neither. A power cut may lose the last ones that are not durable, and never one of them
        without those after it: a run is then taken up again by its thread, which says how far it got.
        """
        db = self._db if durable else self._fast
        with self._lock, transaction(db):
            yield db

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Statements that only read."""
        with self._lock:
            yield self._db

    def outbox(self) -> FileOutbox:
        """What is to be told when runs are over; the caller's to close."""
        return FileOutbox(self.path, seal=self.texts.hidden, unseal=self.texts.shown)

    def seconds(self) -> float:
        """The machine's clock."""
        return time.time()

    def take(self, run_id: str | None = None) -> Row | None:
        """The next run for this process, the oldest of its thread and alone on it; None where there is none."""
        query, given = (_NEXT, ()) if run_id is None else (_THIS, (run_id,))
        with self._lock:  # a look costs no transaction: most find nothing
            if self._fast.execute(query, (time.time(), *given)).fetchone() is None:
                return None
        with self.writing(durable=False) as db:
            found = db.execute(query, (time.time(), *given)).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE runs SET status = 'running', holder = ?, lease_until = ?, attempt = attempt + 1, updated_at = ?"
                " WHERE run_id = ?",
                (json.dumps(this_process()), self.until(), self.now(), found[0]),
            )
            return self.row(db.execute(f"{ROW} WHERE run_id = ?", found).fetchone())

    def newest(self) -> int:
        """The number of the run that was accepted last, ever; 0 where none was."""
        with self._lock:
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
        return int(found[0]) if found else 0

    def alone(self, db: Statements) -> None:
        """Nothing: whoever writes to the file is alone."""

    def changed(self, db: Statements, thread_id: str) -> None:
        """Nothing: the workers of this process are told by who accepts, and look for themselves."""

    def keep_event(self, run_id: str, n: int, event: str, data: bytes) -> None:
        """Keep an event of a resumable stream."""
        with self._lock:
            self._fast.execute(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)",
                (run_id, n, event, self.texts.hidden(data.decode())),
            )

    def shown_event(self, data: Any) -> bytes:
        """An event's JSON: a text in JSON of its own, so that it can be sealed."""
        return str(self.texts.shown(data)).encode()
