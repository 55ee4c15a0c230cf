"""Deliveries beside the accepted runs: made in the transaction that accepts their run, kept until they are told.

The table is made with that of the runs (``work.database``, ``work.postgres.tables``). So nothing that kills a process
loses one; a kill between the receiver's answer and our note of it sends it again, under the same id. The address and
what is told are sealed where the sessions are.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from checkpoints.records.leases import is_live, this_process
from dojang.server.transactions import Statements, transaction

State = Literal["pending", "delivered", "failed"]
CLAIM_S: Final = 60.0
"""How long whoever took a delivery has it to themselves; longer than an attempt may take."""
Seal = Callable[[Any], str]
Open = Callable[[str], Any]


@dataclass(frozen=True)
class Delivery:
    """One that is to be told now. ``payload``: as it was when the run ended; None: it has to be put together."""

    run_id: str
    delivery: str
    url: str
    payload: dict[str, Any] | None
    attempts: int


def add(db: Statements, run_id: str, sealed_url: str) -> None:
    """A delivery for a run, within the transaction that accepts it."""
    db.execute(
        "INSERT INTO hooks VALUES (?, ?, ?, '', 'pending', 0, 0, '', NULL, '')",
        (run_id, f"msg_{uuid.uuid4().hex}", sealed_url),
    )


DUE: Final = (
    "SELECT h.run_id, delivery, url, payload, h.attempts FROM hooks h LEFT JOIN runs r USING (run_id) "
    "WHERE h.state = 'pending' AND next_at <= ? AND (r.status IS NULL OR r.status NOT IN "
    "('pending', 'running')) ORDER BY next_at LIMIT 1"
)
"""SQL: the next delivery of a run that is over, or is there no more."""


class Outbox(ABC):
    """The table. Safe from many threads and processes."""

    locking: ClassVar[str] = ""
    """SQL: behind a look at rows that are about to be written, where others may write them meanwhile."""

    def __init__(self, *, seal: Seal, unseal: Open) -> None:
        self._seal, self._open = seal, unseal

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Statements]:
        """One transaction."""

    @abstractmethod
    def looking(self) -> AbstractContextManager[Statements]:
        """Statements that only read."""

    def seconds(self) -> float:
        """The time since 1970 by which pauses and claims are judged."""
        return time.time()

    def live(self, holder: str, until: float) -> bool:
        """Whether who has taken a delivery may still be at it."""
        return is_live(json.loads(holder), datetime.fromtimestamp(until, UTC).isoformat(), datetime.now(UTC))

    def wants(self, run_id: str) -> bool:
        """Whether somebody is to be told of this run."""
        with self.looking() as db:
            found = db.execute("SELECT 1 FROM hooks WHERE run_id = ? AND state = 'pending'", (run_id,)).fetchone()
        return found is not None

    def fill(self, run_id: str, payload: dict[str, Any]) -> None:
        """Keep what is to be told, as the run is about to end."""
        with self.writing() as db:
            db.execute(
                "UPDATE hooks SET payload = ? WHERE run_id = ? AND state = 'pending'", (self._seal(payload), run_id)
            )

    def take(self) -> Delivery | None:
        """The next one of a run that is over, or is there no more; nobody else is given it for a while."""
        with self.looking() as db:  # a look that takes no lock: mostly there is nothing
            if not db.execute(
                "SELECT 1 FROM hooks WHERE state = 'pending' AND next_at <= ? LIMIT 1", (self.seconds(),)
            ).fetchone():
                return None
        with self.writing() as db:
            found = db.execute(DUE + self.locking, (self.seconds(),)).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE hooks SET next_at = ?, holder = ?, attempts = attempts + 1 WHERE run_id = ?",
                (self.seconds() + CLAIM_S, json.dumps(this_process()), found[0]),
            )
        run_id, delivery, url, payload, attempts = found
        kept = self._open(payload) if payload else None
        return Delivery(run_id, delivery, self._open(url), kept, attempts + 1)

    def reap(self) -> None:
        """Give free what processes that are dead had taken."""
        with self.looking() as db:
            held = db.execute("SELECT run_id, holder, next_at FROM hooks WHERE holder != ''").fetchall()
        for run_id, holder, until in held:
            if not self.live(holder, until):
                self.again(run_id, "the process that delivered it ended", 0)

    def done(self, run_id: str, state: State, last: str) -> None:
        """It is delivered or given up; what was told is not kept."""
        with self.writing() as db:
            db.execute(
                "UPDATE hooks SET state = ?, last = ?, payload = '', holder = '', done_at = ? WHERE run_id = ?",
                (state, last, self.seconds(), run_id),
            )

    def again(self, run_id: str, last: str, after_s: float) -> None:
        """Try again later."""
        with self.writing() as db:
            db.execute(
                "UPDATE hooks SET last = ?, next_at = ?, holder = '' WHERE run_id = ?",
                (last, self.seconds() + after_s, run_id),
            )

    def of(self, run_id: str) -> dict[str, Any] | None:
        """How far the delivery of a run is; None: nobody is to be told."""
        query = "SELECT delivery, state, attempts, last, done_at FROM hooks WHERE run_id = ?"
        with self.looking() as db:
            found = db.execute(query, (run_id,)).fetchone()
        return dict(zip(("id", "status", "attempts", "last", "done_at"), found, strict=True)) if found else None


class FileOutbox(Outbox):
    """Deliveries in ``runs.sqlite``."""

    def __init__(self, path: Path, *, seal: Seal, unseal: Open) -> None:
        super().__init__(seal=seal, unseal=unseal)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._lock, transaction(self._db):
            yield self._db

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Statements that only read."""
        with self._lock:
            yield self._db
