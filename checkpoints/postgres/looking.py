"""Which sessions in PostgreSQL changed since one looked. Misses none, however late its transaction commits.

``threads.changed`` is the transaction that wrote to a session last (``changes``). Transactions do not commit in the
order of their numbers, so a number alone is no mark to go on from. What is remembered of a look is the server's whole
snapshot: which transactions it could see. The next look asks for sessions of which the last change was not among them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from checkpoints.errors import NewerFormat
from checkpoints.files.folders import FORMAT, folder_name
from checkpoints.postgres.database import Database
from state import BrokenInvariant

FORGET_S: Final = 12 * 3600
"""After so long without a look all are looked at: the server keeps the names of deleted ones for a day."""

MOST: Final = 5_000
"""Where so many have changed, all are looked at."""

SERVER: Final = (
    "(SELECT c.system_identifier || '/' || p.timeline_id FROM pg_control_system() c, pg_control_checkpoint() p)"
)
"""Transaction numbers mean something on one server, and until it is put back to an earlier state."""
ALL: Final = f"""
    SELECT now.*, t.folder, t.thread_id, t.rewritten::text, t.changed::text
    FROM (SELECT {SERVER}, pg_current_snapshot()::text) AS now LEFT JOIN threads t ON true
"""
FEW: Final = f"""
    SELECT {SERVER}, pg_current_snapshot()::text,
        ARRAY(SELECT folder FROM threads WHERE changed >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
            AND NOT pg_visible_in_snapshot(changed, %(seen)s::pg_snapshot) ORDER BY changed LIMIT %(most)s),
        ARRAY(SELECT folder FROM gone g WHERE changed >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
            AND NOT pg_visible_in_snapshot(changed, %(seen)s::pg_snapshot)
            AND NOT EXISTS (SELECT FROM threads t WHERE t.folder = g.folder) ORDER BY changed LIMIT %(most)s)
"""
"""The order and the limit make the server take the index: it cannot guess how few there are."""
ONE: Final = f"SELECT {SERVER}, rewritten::text, changed::text FROM threads WHERE folder = %s"


class PgLook:
    """Looking at a database; satisfies ``checkpoints.looking.Looking``. Sees what is committed, whoever asks."""

    exact: Final = True

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names: set[str] | None = None
        self.looked = 0.0
        self._server, self._seen, self._at = "", "", 0.0
        self._next: tuple[str, str, float] = ("", "", 0.0)
        self._names: tuple[set[str] | None, set[str], set[str]] = (None, set(), set())  # all; or come, gone
        with database.apart() as db:
            begun = db.execute(f"SELECT {SERVER}, pg_current_snapshot()::text").fetchone()
        assert begun is not None
        self._begun_on, snapshot = begun
        xmin, xmax, running = snapshot.split(":")
        self._begun = int(xmin), int(xmax), {int(one) for one in running.split(",") if one}

    def all(self) -> dict[str, str]:
        """The signature of every session, in one question."""
        at = time.monotonic()
        with self.database.apart() as db:
            rows = db.execute(ALL).fetchall()
        server, snapshot = rows[0][:2]
        found = {folder: _signature(server, *told) for _, _, folder, _, *told in rows if folder is not None}
        self._next, self._names = (server, snapshot, at), (set(found), set(), set())
        return found

    def few(self) -> tuple[set[str], set[str]] | None:
        """Those of which the last change was not to be seen when all that was :meth:`done` was looked at."""
        at = time.monotonic()
        if self.names is None or at - self._at > FORGET_S:
            return None
        with self.database.apart() as db:
            row = db.execute(FEW, {"seen": self._seen, "most": MOST}).fetchone()
        assert row is not None
        server, snapshot, changed, gone = row
        if server != self._server or MOST in (len(changed), len(gone)):
            return None
        self._next, self._names = (server, snapshot, at), (None, set(changed), set(gone))
        return set(changed), set(gone)

    def done(self) -> None:
        """What was looked at last is dealt with."""
        self._server, self._seen, self._at = self._next
        every, come, gone = self._names
        if every is not None:
            self.names = every
        elif self.names is not None:  # not made anew: there may be very many
            self.names |= come
            self.names -= gone

    def signature(self, name: str) -> str:
        """Its last transactions, and of which server."""
        row = self._ask(ONE, name)
        return "" if row is None else _signature(*row)

    def only_grew(self, now: str, before: str) -> bool:
        """Whether nothing was taken away or replaced between."""
        return now.rpartition(" ")[0] == before.rpartition(" ")[0] != ""

    def later(self, told: str) -> bool:
        """Whether the last transaction was not to be seen when this was made."""
        server, _, changed = told.split(" ")
        xmin, xmax, running = self._begun
        return server != self._begun_on or int(changed) >= xmax or (int(changed) >= xmin and int(changed) in running)

    def thread_id(self, name: str) -> str:
        """What its row says."""
        row = self._ask("SELECT thread_id, format FROM threads WHERE folder = %s", name)
        if row is None:
            raise FileNotFoundError(f"there is no session {name}")
        thread_id, version = row
        if version > FORMAT:
            raise NewerFormat(f"{self.place(name)} has format {version}, this program reads up to {FORMAT}; update it")
        if folder_name(thread_id) != name:
            expected = folder_name(thread_id)
            raise BrokenInvariant(f"{self.place(name)} says that it is of thread {thread_id!r}: that is {expected}")
        return str(thread_id)

    def place(self, name: str) -> str:
        """The row."""
        return f"the row {name} of threads"

    def fresh(self) -> PgLook:
        """Another one."""
        return PgLook(self.database)

    def _ask(self, query: Any, name: str) -> tuple[Any, ...] | None:
        with self.database.apart() as db:
            return db.execute(query, (name,)).fetchone()


def _signature(server: str, rewritten: str, changed: str) -> str:
    return f"{server} {rewritten} {changed}"
