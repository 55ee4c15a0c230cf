"""Moves a workspace's sessions from files into PostgreSQL, or back: who may be at work meanwhile, and with what else.

Sessions go by ``checkpoints.upkeep.relocating``; the runs that the server has accepted, all of them over, go with
them, and so do tokens, items and snoozes. What stays in the home (adapters, uploads, cards of checks, keys) stays.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from checkpoints.upkeep.relocating import Relocated, Side, relocate
from dojang.noted import lines_of
from dojang.pausing import switch_of
from dojang.server.taking_over import FILES, carry_beside, check_names
from dojang.server.work.carrying import carry_runs, check_over
from dojang.sessions import Sessions, home_of, open_sessions
from dojang.settings import BadSetting, Settings
from state import Conflict, UserError

if TYPE_CHECKING:
    from checkpoints.postgres.database import Database

Where = Literal["files", "postgres"]
OF_HOME = (
    "audit.jsonl",
    "audit.head",
    "standing.jsonl",
    "paused.json",
    "paused.threads",
    "runs.sqlite",
    "notices",
    *FILES,
)
"""What of a home goes aside with its sessions."""


class Moved(Relocated):
    """What was moved; ``runs`` are those that the server had accepted, where they went in this call."""

    runs: int
    to: Where


def move(settings: Settings, to: Where, *, tell: Callable[[str], None] = lambda thread: None) -> Moved:
    """Move everything to ``to``; run it again where it was cut off. See ``relocate``.

    Raises:
        UserError: no database is named, or the sessions are sealed.
        Conflict: a server, a worker or a run is at work, there are sessions already where they are to go, or somebody
            there has the name of somebody else here.
        PassingFault: the database does not answer.
    """
    if settings.database_url is None:
        raise BadSetting("setting DOJANG_DATABASE_URL: name the database that the sessions are moved into, or out of")
    if settings.session_keys is not None:
        raise UserError(
            "sealed sessions stay files: what is in PostgreSQL is not sealed with session keys (docs/operations.md)"
        )
    with contextlib.ExitStack() as stack:
        stack.enter_context(_no_server(settings.home))
        files, of_files = stack.enter_context(_files(settings))
        rows, of_rows = stack.enter_context(_postgres(settings))
        database, beside = database_of(of_rows), of_rows.beside
        assert beside is not None
        _check_no_workers(database)
        into_rows = to == "postgres"
        accepted, carried = settings.home / "runs.sqlite", 0
        source, target = (of_files, of_rows) if into_rows else (of_rows, of_files)

        def may() -> None:
            check_over(accepted, database, to)
            check_names(settings.home, beside, into_rows=into_rows)

        def also() -> None:  # not before it is sure that nobody else's are there, nor once the source is put aside
            nonlocal carried
            carried = carry_runs(accepted, database, to)
            _carry_standing(settings.home, source, target)
            _carry_switch(settings.home, source, target)
            carry_beside(settings.home, beside, into_rows=into_rows)
            if into_rows:
                _make_keys_known(settings.home, rows)

        done = relocate(*((files, rows) if into_rows else (rows, files)), tell=tell, may=may, also=also)
        return Moved(**done, runs=carried, to=to)


def _carry_standing(home: Path, source: Sessions, target: Sessions) -> None:
    """What was approved in advance: the lines that are not there yet."""
    theirs, ours = lines_of(home, source.backend), lines_of(home, target.backend)
    have, there = list(theirs.read()), len(list(ours.read()))
    if len(have) > there:
        with ours.locked():
            for line in have[there:]:
                ours.append(line)


def _carry_switch(home: Path, source: Sessions, target: Sessions) -> None:
    """Where all runs are paused they stay so, and the threads that wait for the end of it are not forgotten."""
    theirs, ours = switch_of(home, source.backend), switch_of(home, target.backend)
    ours.take_over(theirs)


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
def _files(settings: Settings) -> Iterator[tuple[Side, Sessions]]:
    home = settings.home
    there = open_sessions(settings.model_copy(update={"sessions": "files"}), moving=True)
    with contextlib.closing(there):
        aside = lambda suffix: str(_put_aside(home, settings.threads, home / f"moved-{suffix}"))  # noqa: E731
        yield Side(str(home), home_of(settings, there), aside), there


def _put_aside(home: Path, threads: Path, folder: Path) -> Path:
    """Into one folder of the home, the sessions first: as long as they are in their place, all is copied again."""
    from checkpoints.files.folders import sync_dir

    folder.mkdir(mode=0o700, exist_ok=True)
    for path in [threads, *(home / name for name in OF_HOME)]:
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, folder / path.name)
    for name in ("index.sqlite", "cited.sqlite"):  # derived of what is gone
        for suffix in ("", "-wal", "-shm", ".lock"):
            (home / f"{name}{suffix}").unlink(missing_ok=True)
    sync_dir(folder)
    sync_dir(home)
    return folder


@contextlib.contextmanager
def _postgres(settings: Settings) -> Iterator[tuple[Side, Sessions]]:
    there = open_sessions(settings.model_copy(update={"sessions": "postgres"}), moving=True)
    with contextlib.closing(there):

        def aside(suffix: str) -> str:
            name = f"dojang_sessions_{suffix.lower()}"
            with database_of(there).transaction() as db:
                db.execute(f"ALTER SCHEMA dojang_sessions RENAME TO {name}".encode())
            return name

        yield Side("the database", home_of(settings, there), aside), there


def database_of(there: Sessions) -> Database:
    """The database of sessions that lie in one."""
    assert there.database is not None
    return there.database


def _check_no_workers(database: Database) -> None:
    from dojang.server.work.postgres.rows import PgRows
    from dojang.server.work.postgres.tables import setup

    setup(database)
    rows = PgRows(database)
    try:
        if alive := rows.workers():
            raise Conflict(
                f"{alive} servers or workers take runs from the database; stop them first, nothing was moved"
            )
    finally:
        rows.close()


def _make_keys_known(home: Path, rows: Side) -> None:
    """Whoever checks the chain on another machine has no key of this home."""
    for path in (home / "keys").glob("audit-*.pub"):
        rows.backend.make_known(path.stem.removeprefix("audit-"), path.read_bytes())
