"""Sessions without a workspace, in a test's own database or where the tests' sessions lie, wired as dojang does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from checkpoints import FileSaver, KeyRing
from checkpoints.backend import Backend, FileBackend
from checkpoints.files.folders import folder_name
from checkpoints.postgres.backend import PostgresBackend
from checkpoints.postgres.database import Database, configure
from checkpoints.postgres.locks import RunLocks
from checkpoints.postgres.saver import PgSaver
from store.database import Connection, Connections, connect
from tests.databases import SESSIONS, before_it_goes, database_of


def database_at(dsn: str, *, limit: int = 16) -> tuple[Database, Connections]:
    """The database and its pool, to be closed; the tables are there."""
    pool = Connections(dsn, configure, limit=limit)

    def own() -> Connection:
        made = connect(dsn, autocommit=True)
        configure(made)
        return made

    database = Database(pool, own)
    database.setup()
    return database, pool


@contextmanager
def backend_in(dsn: str, *, limit: int = 16) -> Iterator[PostgresBackend]:
    """All records of a home in this database, over so many connections."""
    database, pool = database_at(dsn, limit=limit)
    backend = PostgresBackend(database)
    try:
        yield backend
    finally:
        backend.close()
        pool.close()


@dataclass(frozen=True)
class Kept:
    """The records and the checkpoints of a home."""

    backend: Backend
    saver: FileSaver | PgSaver


def kept_in(home: Path, *, keys: KeyRing | None = None, sessions: str = SESSIONS) -> Kept:
    """What a home has, to be closed by nobody; sealed with ``keys`` where it has files."""
    if sessions == "files":
        return Kept(FileBackend(home / "threads", keys=keys), FileSaver(home / "threads", keys=keys))
    assert keys is None, "only files are sealed"
    database, pool = database_at(database_of(home))
    backend, locks = PostgresBackend(database), RunLocks(database)
    for closes in (pool.close, backend.close, locks.close):
        before_it_goes(closes)
    return Kept(backend, PgSaver(database, locks))


def damaged_by_hand(kept: Backend, thread_id: str | None, kind: str) -> None:
    """Change a record of a log to what none of ours would have written."""
    if isinstance(kept, PostgresBackend):
        with kept.database.transaction() as db:
            where = {"folder": _folder(thread_id), "kind": kind}
            cut = db.execute(
                "UPDATE records SET record = left(record, -1) WHERE folder = %(folder)s AND kind = %(kind)s "
                "AND n = (SELECT last FROM logs WHERE folder = %(folder)s AND kind = %(kind)s)",
                where,
            )
            assert cut.rowcount == 1, where
        return
    path = kept.log(thread_id, kind).path
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x15]) + whole[middle + 1 :])


def changed_by_hand(kept: Backend, thread_id: str | None, kind: str, old: str, new: str) -> None:
    """Put other words into a log, as somebody would who wants it to have been otherwise."""
    if isinstance(kept, PostgresBackend):
        with kept.database.transaction() as db:
            asked = "UPDATE records SET record = replace(record, %s, %s) WHERE folder = %s AND kind = %s"
            assert db.execute(asked, (old, new, _folder(thread_id), kind)).rowcount
        return
    path = kept.log(thread_id, kind).path
    whole = path.read_bytes()
    assert old.encode() in whole
    path.write_bytes(whole.replace(old.encode(), new.encode()))


def checkpoints_damaged_by_hand(kept: Backend, thread_id: str) -> Callable[[], object]:
    """Spoil what a thread's checkpoints hold; gives what brings it back."""
    if isinstance(kept, PostgresBackend):
        spoil = (
            "UPDATE checkpoint_blobs SET blob = set_byte(blob, 0, get_byte(blob, 0) # 21) "
            "WHERE thread_id = %s AND length(blob) > 0"
        )

        def turn() -> None:
            with kept.database.transaction() as db:
                assert db.execute(spoil, (thread_id,)).rowcount

        turn()
        return turn
    path = kept.log(thread_id, "checkpoints").path
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    return lambda: path.write_bytes(whole)


def rows_of(dsn: str) -> dict[str, list[str]]:
    """All that sessions hold in a database, by table, but for the audit and who holds what since when."""
    without: Final = {"threads": ["changed", "holder"]}
    tables: Final = ("threads", "logs", "records", "notes", "checkpoints", "checkpoint_blobs", "checkpoint_writes")
    found = {}
    with psycopg.connect(dsn) as db:
        made = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'dojang_sessions'").fetchall()
        for name in {name for (name,) in made} & set(tables):
            asked = sql.SQL("SELECT (to_jsonb(t) - %s::text[])::text FROM dojang_sessions.{} t ORDER BY 1")
            rows = db.execute(asked.format(sql.Identifier(name)), (without.get(name, []),)).fetchall()
            found[name] = [row for (row,) in rows if not re.search('"(kind|name)": "audit', row)]
    return {name: rows for name, rows in found.items() if rows}


def kept_of(kept: Backend, thread_id: str) -> dict[str, bytes]:
    """What a session consists of: the bytes of its files, or of its rows, by their names without a suffix."""
    if not isinstance(kept, PostgresBackend):
        return {path.stem: path.read_bytes() for path in kept.folders.path(thread_id).iterdir()}
    found: dict[str, bytes] = {}
    with kept.database.reading() as db:
        for name in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            asked = sql.SQL("SELECT * FROM {} WHERE thread_id = %s").format(sql.Identifier(name))
            for row in db.execute(asked, (thread_id,)):
                found[name] = found.get(name, b"") + b"".join(
                    value if isinstance(value, bytes) else str(value).encode() for value in row
                )
        for name, text in db.execute("SELECT kind, record FROM records WHERE folder = %s", (_folder(thread_id),)):
            found[name] = found.get(name, b"") + text.encode()
        for name, data in db.execute("SELECT name, content FROM notes WHERE folder = %s", (_folder(thread_id),)):
            found[name] = found.get(name, b"") + data
    return found


def _folder(thread_id: str | None) -> str:
    return "" if thread_id is None else folder_name(thread_id)


def taken_by_hand(kept: Backend, thread_id: str, kind: str) -> None:
    """Take a whole log away, as if there had never been one."""
    if isinstance(kept, PostgresBackend):
        with kept.database.transaction() as db:
            for table in ("records", "logs"):
                asked = sql.SQL("DELETE FROM {} WHERE folder = %s AND kind = %s").format(sql.Identifier(table))
                assert db.execute(asked, (folder_name(thread_id), kind)).rowcount
        return
    kept.log(thread_id, kind).path.unlink()
