"""What is done to accepted runs by hand: words erased, texts sealed anew. While servers use them, too."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from checkpoints.files.crypto import KeyRing
from checkpoints.postgres.database import Database
from checkpoints.upkeep.redacting import ERASED
from dojang.server.transactions import Statements, transaction
from dojang.server.work.database import ENDED, HOOK_SEALED, SEALED, UNDER_WAY, Texts, opened
from dojang.server.work.postgres.rows import PlainTexts
from dojang.server.work.postgres.tables import writing

STEP: Final = 200
_TABLES: Final[tuple[tuple[str, str, tuple[Any, ...], tuple[str, ...]], ...]] = (
    ("runs", "rowid", (0,), SEALED),
    ("events", "run_id, n", ("", 0), ("data",)),
    ("hooks", "run_id", ("",), HOOK_SEALED),
)
"""Table, its key, what is below every key, and the columns with texts."""
_OF_THREAD: Final = f"SELECT run_id FROM runs WHERE {ENDED} AND thread_id = ?"
Note = Callable[[str], None]
"""Called with a thread's id before the words of its runs are taken out."""


class RunsErased(NamedTuple):
    """What was erased of accepted runs, and which of a person's are not over and stay as they are."""

    runs: int
    left: int


Runs = Path | Database
"""Where the runs are: the file ``runs.sqlite``, or the database of the sessions."""


@contextlib.contextmanager
def _runs(where: Runs, keys: KeyRing | None = None) -> Iterator[tuple[Statements, Texts | PlainTexts, str] | None]:
    """(Who takes statements, how texts are read, the column of the values with which a run ended); None for no runs."""
    if isinstance(where, Path):
        if not where.exists():
            yield None
            return
        with contextlib.closing(opened(where)) as db:
            yield db, Texts(keys, where), ""
        return
    with where.reading() as looks:
        there = looks.execute("SELECT to_regclass('dojang_sessions.runs')").fetchone()
    if there == (None,):
        yield None
        return
    with writing(where) as spoken:  # all of it, with what is noted, or nothing
        yield spoken, PlainTexts(), "outcome"


def under_way(where: Runs, thread_id: str) -> bool:
    """Whether a run of this thread is not over."""
    with _runs(where) as found:
        if found is None:
            return False
        query = f"SELECT 1 FROM runs WHERE {UNDER_WAY} AND thread_id = ? LIMIT 1"
        return found[0].execute(query, (thread_id,)).fetchone() is not None


def erase_runs(
    where: Runs,
    keys: KeyRing | None,
    note: Note,
    *,
    threads: Collection[str],
    person: str | None = None,
    but: Collection[str] = (),
) -> RunsErased:
    """Take words out of runs that are over: what was asked, noted and said of a failure, and all kept events.

    Args:
        where: they are; nothing is done where there are none.
        keys: what the file is sealed with.
        note: is told of each thread first.
        threads: whose events repeat the words.
        person: only what this person asked for, in whichever thread; None: all of these threads.
        but: threads that are left alone.
    """
    with _runs(where, keys) as opened_runs:
        if opened_runs is None:
            return RunsErased(0, 0)
        db, texts, outcome = opened_runs
        wanted = f"SELECT run_id, thread_id, body, metadata, error FROM runs WHERE {ENDED}"
        if person is not None:
            found = db.execute(f"{wanted} AND requester = ?", (person,)).fetchall()
        else:
            found = [row for t in threads for row in db.execute(f"{wanted} AND thread_id = ?", (t,)).fetchall()]
        found = [row for row in found if row[1] not in but]
        touched = dict.fromkeys([*threads, *(row[1] for row in found)])
        wordy = {run_id for run_id, _, body, metadata, _ in found if _wordy(texts.shown(body), texts.shown(metadata))}
        for thread in touched:
            if any(row[0] in wordy and row[1] == thread for row in found) or _told(db, thread, outcome):
                note(thread)
                db.execute(f"DELETE FROM events WHERE run_id IN ({_OF_THREAD})", (thread,))
                db.execute(f"UPDATE hooks SET payload = '' WHERE run_id IN ({_OF_THREAD})", (thread,))
                if outcome:
                    db.execute(f"UPDATE runs SET {outcome} = NULL WHERE {ENDED} AND thread_id = ?", (thread,))
        for run_id, _, body, _, error in found:
            if run_id in wordy:
                told = texts.hidden({**texts.shown(error), "message": ERASED}) if error else ""
                given = (texts.hidden(_blank(texts.shown(body))), texts.hidden({}), told, run_id)
                db.execute("UPDATE runs SET body = ?, metadata = ?, error = ? WHERE run_id = ?", given)
        left = 0
        if person is not None:
            query = f"SELECT COUNT(*) FROM runs WHERE {UNDER_WAY} AND requester = ?"
            left = int(db.execute(query, (person,)).fetchone()[0])
        if isinstance(db, sqlite3.Connection):
            _rinse(db)
    return RunsErased(len(wordy), left)


def reseal_runs(path: Path, keys: KeyRing, *, plain: bool = False) -> int:
    """Seal every text with the active key; how many rows that changed. ``plain``: also what was never sealed.

    A text that somebody writes meanwhile is under the active key already; it is not written over.
    """
    if not path.exists():
        return 0
    texts, changed = Texts(keys, path), 0
    with contextlib.closing(opened(path)) as db:
        for table, key, first, columns in _TABLES:
            for column in columns:
                changed += _reseal(db, texts, (table, key, column), first, plain=plain)
        if changed:
            _rinse(db)
    return changed


def _reseal(
    db: sqlite3.Connection, texts: Texts, where: tuple[str, str, str], first: tuple[Any, ...], *, plain: bool
) -> int:
    (table, key, column), changed, after = where, 0, first
    marks = ", ".join("?" for _ in after)
    select = f"SELECT {key}, {column} FROM {table} WHERE ({key}) > ({marks}) ORDER BY {key} LIMIT {STEP}"
    update = f"UPDATE {table} SET {column} = ? WHERE ({key}) = ({marks}) AND {column} = ?"
    while found := db.execute(select, after).fetchall():
        after = found[-1][:-1]
        fresh = [(texts.resealed(row[-1], plain=plain), row) for row in found]
        with transaction(db):
            for text, row in fresh:
                if text != row[-1]:
                    changed += db.execute(update, (text, *row)).rowcount
    return changed


def _told(db: Statements, thread_id: str, outcome: str) -> bool:
    """Whether anything is kept of what runs of a thread, that are over, have told."""
    queries = [f"SELECT 1 FROM events WHERE run_id IN ({_OF_THREAD}) LIMIT 1"]
    if outcome:
        queries.append(f"SELECT 1 FROM runs WHERE {ENDED} AND thread_id = ? AND {outcome} IS NOT NULL LIMIT 1")
    return any(db.execute(query, (thread_id,)).fetchone() is not None for query in queries)


def _wordy(body: dict[str, Any], metadata: dict[str, Any]) -> bool:
    return bool(metadata) or _blank(body) != body


def _blank(body: dict[str, Any]) -> dict[str, Any]:
    message = body.get("message")
    return {**body, "message": {**message, "content": ERASED} if message else None, "filters": None}


def _rinse(db: sqlite3.Connection) -> None:
    """Leave the old texts neither in free pages nor in the log of changes, as far as nobody reads it just now."""
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
