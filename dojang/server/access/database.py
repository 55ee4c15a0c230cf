"""The file of tokens, persons and sessions: ``DOJANG_HOME/tokens.sqlite``, for its owner alone, each change durable."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dojang.server.transactions import transaction
from state import BrokenInvariant, PassingFault

WAIT_S: Final = 10.0
_MIGRATIONS: Final = (
    """
CREATE TABLE tokens (
    prefix TEXT PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, roles TEXT NOT NULL, created_at TEXT NOT NULL,
    created_by TEXT NOT NULL, expires_at TEXT NOT NULL, used_at TEXT NOT NULL, revoked_at TEXT NOT NULL,
    revoked_by TEXT NOT NULL
);
CREATE TABLE sessions (hash BLOB PRIMARY KEY, prefix TEXT NOT NULL REFERENCES tokens, expires_at TEXT NOT NULL);
""",
    """
CREATE TABLE identities (
    issuer TEXT NOT NULL, sub TEXT NOT NULL, name TEXT NOT NULL, person TEXT NOT NULL UNIQUE, seen_at TEXT NOT NULL,
    PRIMARY KEY (issuer, sub)
);
CREATE TABLE attempts (
    hash BLOB PRIMARY KEY, browser BLOB NOT NULL, nonce TEXT NOT NULL, verifier TEXT NOT NULL, wanted TEXT NOT NULL,
    redirect_uri TEXT NOT NULL, expires_at TEXT NOT NULL
);
CREATE TABLE logins (
    hash BLOB PRIMARY KEY, issuer TEXT NOT NULL, sub TEXT NOT NULL, groups TEXT NOT NULL, sealed BLOB NOT NULL,
    checked_at TEXT NOT NULL, check_at TEXT NOT NULL, expires_at TEXT NOT NULL,
    FOREIGN KEY (issuer, sub) REFERENCES identities
);
""",
)
"""What each version of the file added to the one before. Only ever appended to."""


class BrokenTokens(BrokenInvariant):
    """The file cannot be read as what it is; nobody is let in on it."""


class Database:
    """The file. Nothing is made before something is first written; safe from many threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def there(self) -> bool:
        """Whether there is a file at all."""
        return self.path.exists()

    def readable(self) -> bool:
        """Whether there are tables in it."""
        if not self.there():
            return False
        with self.reading() as db:
            return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tokens'").fetchone() is not None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries; only where the file is there."""
        with self._told(), contextlib.closing(self._open()) as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and on the disk afterwards, or nothing of it, where the block raises."""
        with self._told():
            self._make()
            with contextlib.closing(self._open()) as db, transaction(db):
                _migrate(db)
                yield db

    def _make(self) -> None:
        if self.path.exists():
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        if os.name == "posix":
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = EXTRA")  # a commit is on the disk, the removal of its journal too
            db.execute("PRAGMA foreign_keys = ON")
            if db.execute("PRAGMA user_version").fetchone()[0] > len(_MIGRATIONS):
                raise BrokenTokens(f"{self.path} was written by a newer Dojang; update this one")
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise PassingFault(f"{self.path} cannot be used ({error}); nobody is let in, try again") from error
        except sqlite3.DatabaseError as error:
            raise BrokenTokens(
                f"{self.path} is damaged ({error}); nobody is let in: put back a copy, or move it away and make new "
                "tokens with `dojang tokens create`"
            ) from error
        except OSError as error:
            raise PassingFault(f"{self.path} cannot be made ({error.strerror}); free the disk and try again") from error


def _migrate(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == len(_MIGRATIONS):
        return
    for schema in _MIGRATIONS[version:]:
        for statement in schema.split(";")[:-1]:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
