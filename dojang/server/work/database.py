"""The file ``DOJANG_HOME/runs.sqlite``: its tables through all versions, how it is opened, how its texts are sealed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Final

from checkpoints.files.crypto import Forged, KeyRing, Place, is_sealed
from dojang.server.transactions import transaction
from state import BrokenInvariant, UserError

ENDED: Final = "status NOT IN ('pending', 'running')"
"""SQL: nothing more will happen. Written as in the index ``ended``, or SQLite does not take it."""
UNDER_WAY: Final = "status IN ('pending', 'running')"
"""SQL: accepted, and not over. Written as in the index ``under_way``."""
FAILED: Final = "status IN ('error', 'timeout')"
"""SQL: ended badly. Written as in the index ``failed``."""
MIGRATIONS: Final = (
    """
    CREATE TABLE runs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL UNIQUE, thread_id TEXT NOT NULL,
        requester TEXT NOT NULL, status TEXT NOT NULL, strategy TEXT NOT NULL, body TEXT NOT NULL,
        metadata TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, not_before REAL NOT NULL,
        holder TEXT NOT NULL, lease_until TEXT NOT NULL, attempt INTEGER NOT NULL, stop TEXT NOT NULL,
        error TEXT NOT NULL
    );
    CREATE INDEX by_status ON runs (status, seq);
    CREATE INDEX by_thread ON runs (thread_id, seq);
    CREATE TABLE events (
        run_id TEXT NOT NULL, n INTEGER NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run_id, n)
    ) WITHOUT ROWID;
    """,
    f"""
    DROP INDEX by_status;
    CREATE INDEX under_way ON runs (thread_id, seq) WHERE {UNDER_WAY};
    CREATE INDEX queued ON runs (seq, not_before) WHERE {UNDER_WAY};
    CREATE INDEX failed ON runs (thread_id, seq) WHERE {FAILED};
    CREATE INDEX ended ON runs (updated_at, seq) WHERE {ENDED};
    """,
    """
    CREATE TABLE hooks (
        run_id TEXT PRIMARY KEY, delivery TEXT NOT NULL, url TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL,
        attempts INTEGER NOT NULL, next_at REAL NOT NULL, last TEXT NOT NULL, done_at REAL, holder TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX hooks_due ON hooks (state, next_at);
    """,
)
"""An append-only list: file version n has had the first n of them. No statement has a semicolon within."""
VERSION: Final = len(MIGRATIONS)
SEALED: Final = ("body", "metadata", "error")
"""Columns of a run that are JSON, and sealed where the sessions are; of an event it is ``data``."""
HOOK_SEALED: Final = ("url", "payload")
"""The same of a webhook."""
_PLACE: Final = Place("", "run", "", 0, "")


def opened(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection that may be shared between threads, to a file of today's version, made where there is none.

    What is deleted is overwritten, and free pages can be given back in small steps (``tidying``).

    Raises:
        UserError: the file is of a newer version.
    """
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # of a new file; it counts before anything else is written
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        db.execute("PRAGMA secure_delete=ON")
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version == VERSION:
        return
    with transaction(db):
        version = int(db.execute("PRAGMA user_version").fetchone()[0])  # another process may have been first
        if version > VERSION:
            raise UserError(f"{path} has format {version}, this program reads up to {VERSION}; update it")
        for migration in MIGRATIONS[version:]:
            for statement in migration.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version={VERSION}")


class Texts:
    """JSON as the file has it: sealed with ``keys``, plain without."""

    def __init__(self, keys: KeyRing | None, path: Path) -> None:
        self.keys = keys
        self.path = path

    def hidden(self, value: Any) -> str:
        """JSON for the file."""
        if self.keys is not None:
            value = self.keys.seal({"k": "run", "value": value}, _PLACE)
        return json.dumps(value)

    def shown(self, text: str) -> Any:
        """What the file's text says; None for "".

        Raises:
            UserError: the sessions are sealed, and it is not.
            BrokenInvariant: it does not open.
        """
        if not text:
            return None
        value = json.loads(text)
        if self.keys is None:
            return value
        if not (isinstance(value, dict) and is_sealed(value)):
            raise UserError(f"{self.path} is not sealed; `dojang checkpoints encrypt` seals what is there")
        try:
            return self.keys.open(value, _PLACE)["value"]
        except Forged:
            raise BrokenInvariant(f"{self.path}: a row was changed; restore the file from a backup") from None

    def resealed(self, text: str, *, plain: bool) -> str:
        """The text under the active key; unchanged where it is already. ``plain``: take what was never sealed, too."""
        if not text or self.keys is None:
            return text
        value = json.loads(text)
        if plain and not (isinstance(value, dict) and is_sealed(value)):
            return self.hidden(value)
        shown = self.shown(text)
        return text if value["key"] == self.keys.active else self.hidden(shown)
