"""Records as rows of PostgreSQL. Satisfies ``checkpoints.backend``; the files' one is ``checkpoints.files.backend``."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from checkpoints.errors import DamagedRecords, NewerFormat
from checkpoints.files.folders import FORMAT, ThreadFolders, folder_name
from checkpoints.postgres.database import Connection, Database, away
from checkpoints.postgres.rows import HOME, PLACE, RowLog, Unit
from state import UserError

SPARE: Final = 2
"""Connections that are kept for the next lock."""
MARK: Final = "mark:"
"""Begins the names of notes that are marks on a list."""


class OnlyAsFiles(UserError):
    """Something that is done to session files, where there are none."""

    def __init__(self) -> None:
        super().__init__(
            "the sessions lie in PostgreSQL, and this is for sessions as files; the tools of the database do it there "
            "(docs/operations.md)"
        )


class PostgresBackend:
    """All records of a home in one database. Thread-safe.

    What is done within :meth:`together`, or while a log is held, is one transaction: it stands with all that it holds,
    or not at all.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._now: ContextVar[Unit | None] = ContextVar("dojang_unit", default=None)
        self._mutex = threading.Lock()
        self._spare: list[Connection] = []
        self._closed = False

    @property
    def folders(self) -> ThreadFolders:
        """There are none."""
        raise OnlyAsFiles

    def close(self) -> None:
        """Close what is kept for the next lock."""
        with self._mutex:
            self._closed = True
            spare, self._spare = self._spare, []
        for db in spare:
            db.close()

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """The transaction that the caller is in, else one of its own."""
        unit = self._now.get()
        if unit is not None:
            try:
                yield unit
            except BaseException:
                unit.failed = True
                raise
            return
        with self.database.transaction() as db:
            unit = Unit(db)
            token = self._now.set(unit)
            try:
                yield unit
            finally:
                self._now.reset(token)
            assert not unit.failed, "a part of a transaction has failed, and nobody was told"

    # threads

    def ensure(self, thread_id: str | None, *, created_at: str = "") -> None:
        """Its row in ``threads``."""
        if thread_id is None or self.exists(thread_id):
            return
        made = (folder_name(thread_id), thread_id, FORMAT, created_at or datetime.now(UTC).isoformat())
        with self.unit() as unit:
            unit.db.execute(
                "INSERT INTO threads (folder, thread_id, format, created_at) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                made,
            )

    def exists(self, thread_id: str) -> bool:
        """Whether it has a row in ``threads``."""
        with self.database.reading() as db:
            asked = "SELECT FROM threads WHERE folder = %s"
            return db.execute(asked, (folder_name(thread_id),)).fetchone() is not None

    def created_at(self, thread_id: str) -> str:
        """What its row says. FileNotFoundError."""
        with self.database.reading() as db:
            asked = "SELECT created_at FROM threads WHERE folder = %s"
            found = db.execute(asked, (folder_name(thread_id),)).fetchone()
        if found is None:
            raise FileNotFoundError(f"the thread in {PLACE / folder_name(thread_id)} is gone")
        return str(found[0])

    def threads(self, *, kind: str = "", saying: str = "") -> Iterator[str]:
        """By what their folders would be called."""

        def refuse(path: Path, what: str) -> None:
            raise DamagedRecords(path, 0, what)

        yield from self._threads(refuse, kind, saying)

    def readable(self, wrong: Callable[[Path, str], None]) -> Iterator[str]:
        """The same."""
        yield from self._threads(wrong, "", "")

    def _threads(self, wrong: Callable[[Path, str], None], kind: str, saying: str) -> Iterator[str]:
        asked = """
            SELECT folder, thread_id, format FROM threads t
            WHERE %(kind)s = '' OR EXISTS (
                SELECT FROM records r
                WHERE r.folder = t.folder AND r.kind = %(kind)s AND strpos(r.record, %(saying)s) > 0
            )
            ORDER BY folder COLLATE "C"
        """
        with self.database.reading() as db:
            rows = db.execute(asked, {"kind": kind, "saying": saying}).fetchall()
        for folder, thread_id, version in rows:
            if folder_name(thread_id) != folder:
                damage = f"it says that it is of thread {thread_id!r}: it was changed"
                wrong(PLACE / folder, damage)
            elif version > FORMAT:
                path = PLACE / folder
                raise NewerFormat(f"{path} has format {version}, this program reads up to {FORMAT}; update it")
            else:
                yield thread_id

    def remove(self, thread_id: str) -> None:
        """Its rows in all our tables; who writes to one of its logs is waited for."""
        folder = folder_name(thread_id)
        with self.unit() as unit:
            asked = "SELECT kind FROM logs WHERE folder = %s ORDER BY kind FOR UPDATE"
            unit.db.execute(asked, (folder,))
            unit.db.execute("DELETE FROM threads WHERE folder = %s", (folder,))
            unit.db.execute("DELETE FROM records WHERE folder = %s", (folder,))
            unit.db.execute("DELETE FROM logs WHERE folder = %s", (folder,))
            unit.db.execute("DELETE FROM notes WHERE folder = %s", (folder,))
            unit.held = {place: held for place, held in unit.held.items() if place[0] != folder}

    # records

    def log(self, thread_id: str | None, kind: str, *, sync: bool = True) -> RowLog:
        """Its rows in ``records``; a commit is always waited for."""
        return RowLog(_folder(thread_id), kind, self.unit, self.database.reading)

    def stamp(self, thread_id: str | None, *kinds: str) -> object:
        """Which writing of each log, and how many records."""
        asked = "SELECT kind, gen, last FROM logs WHERE folder = %s AND kind = ANY(%s) ORDER BY kind"
        with self.database.reading() as db:
            return tuple(db.execute(asked, (_folder(thread_id), list(kinds))).fetchall()) or None

    def press(self, thread_id: str) -> None:
        """Nothing: triggers set ``threads.changed``."""

    def flush(self, thread_id: str) -> None:
        """Nothing: what was committed before is durable with whatever is committed and waited for after it."""

    # small things

    def note(self, thread_id: str | None, name: str) -> bytes | None:
        """Its row in ``notes``."""
        with self.database.reading() as db:
            asked = "SELECT content FROM notes WHERE folder = %s AND name = %s"
            found = db.execute(asked, (_folder(thread_id), name)).fetchone()
            return None if found is None else bytes(found[0])

    def replace_note(self, thread_id: str | None, name: str, data: bytes | None) -> None:
        """In the caller's transaction, where there is one."""
        with self.unit() as unit:
            if data is None:
                gone = "DELETE FROM notes WHERE folder = %s AND name = %s"
                unit.db.execute(gone, (_folder(thread_id), name))
                return
            put = (
                "INSERT INTO notes (folder, name, content) VALUES (%s, %s, %s) "
                "ON CONFLICT (folder, name) DO UPDATE SET content = EXCLUDED.content"
            )
            unit.db.execute(put, (_folder(thread_id), name, data))

    def notes(self, name: str) -> Iterator[tuple[str, bytes]]:
        """By what their folders would be called."""
        asked = "SELECT folder, content FROM notes WHERE folder <> '' AND name = %s ORDER BY folder COLLATE \"C\""
        with self.database.reading() as db:
            rows = db.execute(asked, (name,)).fetchall()
        yield from ((folder, bytes(content)) for folder, content in rows)

    def set_aside(self, thread_id: str | None, kind: str, note: str, suffix: str) -> list[Path]:
        """Rows under other names."""
        folder = _folder(thread_id)
        place = PLACE / (folder or HOME)
        with self.unit() as unit:
            named = {"folder": folder, "old": kind, "new": kind + suffix}
            for table in (b"records", b"logs"):
                unit.db.execute(
                    b"UPDATE dojang_sessions."
                    + table
                    + b" SET kind = %(new)s WHERE folder = %(folder)s AND kind = %(old)s",
                    named,
                )
            unit.db.execute(
                "UPDATE notes SET name = %s WHERE folder = %s AND name = %s",
                (note + suffix, folder, note),
            )
            unit.held.pop((folder, kind), None)
        return [place / f"{kind}.jsonl{suffix}", place / (note + suffix)]

    def mark(self, thread_id: str, name: str, there: bool) -> None:
        """An empty note."""
        self.replace_note(thread_id, MARK + name, b"" if there else None)

    def marked(self, name: str) -> list[str]:
        """By what their folders would be called."""
        asked = 'SELECT thread_id FROM notes JOIN threads USING (folder) WHERE name = %s ORDER BY folder COLLATE "C"'
        with self.database.reading() as db:
            return [thread_id for (thread_id,) in db.execute(asked, (MARK + name,))]

    # who may

    @contextmanager
    def lock(self, name: str, thread_id: str | None = None, *, wait: bool = True) -> Iterator[bool]:
        """An advisory lock on a connection of its own, so that transactions can begin and end meanwhile."""
        self.ensure(thread_id)
        key = _key(name, _folder(thread_id))
        db = self._connection()
        held = False
        try:
            if wait:
                db.execute("SELECT pg_advisory_lock(%s)", (key,))
                held = True
            else:
                found = db.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
                held = found is not None and bool(found[0])
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            db.close()
            raise away(error) from None
        except BaseException:
            db.close()
            raise
        try:
            yield held
        finally:
            with suppress(psycopg.Error):  # then the server has given it back
                if held:
                    db.execute("SELECT pg_advisory_unlock(%s)", (key,))
            self._keep(db)

    @contextmanager
    def together(self, name: str) -> Iterator[Unit]:
        """One transaction under an advisory lock."""
        with self.unit() as unit:
            unit.db.execute("SELECT pg_advisory_xact_lock(%s)", (_key(name, ""),))
            yield unit

    def _connection(self) -> Connection:
        while True:
            with self._mutex:
                db = self._spare.pop() if self._spare else None
            if db is None:
                return self.database.connection()
            try:
                db.execute("")
            except psycopg.Error:
                db.close()
            else:
                return db

    def _keep(self, db: Connection) -> None:
        with self._mutex:
            if not db.closed and not self._closed and len(self._spare) < SPARE:
                self._spare.append(db)
                return
        db.close()

    # signing

    def signers(self) -> dict[str, bytes]:
        """The table of that name."""
        with self.database.reading() as db:
            rows = db.execute("SELECT key_id, public_key FROM signers").fetchall()
        return {key_id: pem.encode() for key_id, pem in rows}

    def make_known(self, key_id: str, pem: bytes) -> None:
        """In the caller's transaction, where there is one."""
        with self.unit() as unit:
            unit.db.execute(
                "INSERT INTO signers (key_id, public_key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (key_id, pem.decode("ascii")),
            )


def _folder(thread_id: str | None) -> str:
    return "" if thread_id is None else folder_name(thread_id)


def _key(name: str, folder: str) -> int:
    """The number of an advisory lock: 64 bits of a hash, signed."""
    return int.from_bytes(hashlib.sha256(f"dojang {name} {folder}".encode()).digest()[:8], signed=True)
