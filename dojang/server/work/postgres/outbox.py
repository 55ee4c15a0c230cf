"""Deliveries of webhooks in PostgreSQL, beside the runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import ClassVar

from checkpoints.postgres.database import Database
from checkpoints.records.leases import is_live
from dojang.server.hooks.outbox import Open, Outbox, Seal
from dojang.server.transactions import Statements
from dojang.server.work.postgres.tables import looking, writing


class PgOutbox(Outbox):
    """The table. ``clock``: the database's, in seconds since 1970."""

    locking: ClassVar[str] = " FOR UPDATE OF h SKIP LOCKED"

    def __init__(self, database: Database, *, seal: Seal, unseal: Open, clock: Callable[[], float]) -> None:
        super().__init__(seal=seal, unseal=unseal)
        self.database, self.clock = database, clock

    def close(self) -> None:
        """Nothing: the connections are the database's owner's."""

    def writing(self) -> AbstractContextManager[Statements]:
        """One transaction."""
        return writing(self.database)

    def looking(self) -> AbstractContextManager[Statements]:
        """Statements that only read."""
        return looking(self.database)

    def seconds(self) -> float:
        """The database's clock."""
        return self.clock()

    def live(self, holder: str, until: float) -> bool:
        """Whether who has taken a delivery may still be at it."""
        end = datetime.fromtimestamp(until, UTC)
        now = datetime.fromtimestamp(self.seconds(), UTC)
        return now < end and is_live(json.loads(holder), end.isoformat(), now)
