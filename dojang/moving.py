"""Moves a workspace's sessions from files into PostgreSQL, or back: who may be at work meanwhile, and with what else.

Sessions go by ``checkpoints.upkeep.relocating``; the runs that the server has accepted, all of them over, go before
them. What stays in the home (tokens, items, adapters, documents' uploads) stays.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from checkpoints.upkeep.relocating import House, Relocated, relocate
from dojang.sessions import open_sessions
from dojang.settings import BadSetting, Settings
from state import Conflict, UserError

if TYPE_CHECKING:
    from checkpoints.postgres.database import Database

Where = Literal["files", "postgres"]
OF_HOUSE = ("audit.jsonl", "audit.head", "standing.jsonl", "paused.json", "paused.threads", "runs.sqlite", "notices")
"""What of a home goes aside with its sessions."""


class Moved(Relocated):
    """What was moved; ``runs`` are those that the server had accepted."""

    runs: int
    to: Where


def move(settings: Settings, to: Where, *, tell: Callable[[str], None] = lambda thread: None) -> Moved:
    """Move everything to ``to``; run it again where it was cut off. See ``relocate``.

    Raises:
        UserError: no database is named, or the sessions are sealed.
        Conflict: a server, a worker or a run is at work, or there are sessions already where they are to go.
        PassingFault: the database does not answer.
    """
    if settings.database_url is None:
        raise BadSetting("setting DOJANG_DATABASE_URL: name the database that the sessions are moved into, or out of")
    if settings.session_keys is not None:
        raise UserError("sealed sessions stay files: what is in PostgreSQL is not sealed with session keys (docs/operations.md)")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_no_server(settings.home))
        files = stack.enter_context(_files(settings))
        rows, database = stack.enter_context(_postgres(settings))
        _check_no_workers(database)
        source, target = (files, rows) if to == "postgres" else (rows, files)
        if to == "postgres":
            _make_keys_known(settings.home, rows)
        runs = _runs(settings.home, database, to)
        done = relocate(source, target, tell=tell)
        return Moved(**done, runs=runs, to=to)


@contextlib.contextmanager
def _no_server(home: Path) -> Iterator[None]:
    """No server has this home, and none takes it meanwhile."""
    from checkpoints.files.locks import OsLock

    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = OsLock(home / "serve.lock")
    if not lock.acquire(wait=False):
        raise Conflict(f"a server has {home}; stop it first, nothing was moved")
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _files(settings: Settings) -> Iterator[House]:
    from checkpoints import FileSaver, run_lock

    home, threads = settings.home, settings.threads
    there = open_sessions(settings.model_copy(update={"sessions": "files"}), moving=True)
    with contextlib.closing(there), FileSaver(threads) as saver:
        yield House(
            name=str(home),
            backend=there.backend,
            saver=saver,
            run_lock=lambda thread: run_lock(threads, thread, owner=f"{settings.user}, moving"),
            aside=lambda suffix: str(_put_aside(home, threads, home / f"moved-{suffix}")),
        )


def _put_aside(home: Path, threads: Path, folder: Path) -> Path:
    """Into one folder of the home, the sessions last: as long as they are in their place, it can be done again."""
    from checkpoints.files.folders import sync_dir

    folder.mkdir(mode=0o700, exist_ok=True)
    for path in [*(home / name for name in OF_HOUSE), threads]:
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, folder / path.name)
    for name in ("index.sqlite", "cited.sqlite"):  # derived of what is gone
        for suffix in ("", "-wal", "-shm", ".lock"):
            (home / f"{name}{suffix}").unlink(missing_ok=True)
    sync_dir(folder)
    sync_dir(home)
    return folder


@contextlib.contextmanager
def _postgres(settings: Settings) -> Iterator[tuple[House, Database]]:
    from checkpoints.postgres.saver import PgSaver

    there = open_sessions(settings.model_copy(update={"sessions": "postgres"}), moving=True)
    with contextlib.closing(there):
        database, locks = there.database, there.locks
        assert database is not None and locks is not None

        def aside(suffix: str) -> str:
            name = f"dojang_moved_{suffix.lower()}"
            with database.transaction() as db:
                db.execute(f"ALTER SCHEMA dojang RENAME TO {name}".encode())
            return name

        house = House(
            name="the database",
            backend=there.backend,
            saver=PgSaver(database, locks),
            run_lock=lambda thread: locks.run_lock(thread, f"{settings.user}, moving"),
            aside=aside,
        )
        yield house, database


def _check_no_workers(database: Database) -> None:
    from dojang.server.work.postgres.rows import PgRows
    from dojang.server.work.postgres.tables import setup

    setup(database)
    rows = PgRows(database)
    try:
        if alive := rows.workers():
            raise Conflict(f"{alive} servers or workers take runs from the database; stop them first, nothing was moved")
    finally:
        rows.close()


def _make_keys_known(home: Path, rows: House) -> None:
    """Whoever checks the chain on another machine has no key of this home."""
    for path in (home / "keys").glob("audit-*.pub"):
        rows.backend.make_known(path.stem.removeprefix("audit-"), path.read_bytes())


def _runs(home: Path, database: Database, to: Where) -> int:
    from dojang.server.work.carrying import carry_runs

    return carry_runs(home / "runs.sqlite", database, to)
