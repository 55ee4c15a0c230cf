"""What is searched across threads, in SQLite: the thread list and the inbox. Derived; the folders are the truth.

Delete the file, and the next ``refresh`` makes the same one again. What a thread's title, status and open reviews are
is the business of the injected ``summarise``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from langgraph.checkpoint.base import CheckpointTuple

from checkpoints.files.crypto import Forged, KeyRing, Place
from checkpoints.files.folders import FORMAT, folder_name
from checkpoints.files.locks import OsLock
from checkpoints.records.decisions import DecisionLog
from checkpoints.saver import FileSaver
from state import BrokenInvariant, Decision, DojangError, Kind, Review, Spent, person_of

Status = Literal["idle", "interrupted", "error"]


class Summary(TypedDict):
    """What ``summarise`` tells of a thread."""

    title: str
    status: Status
    updated_at: str  # ISO 8601, UTC
    reviews: list[Review]  # the open ones
    spent: NotRequired[list[Spent]]  # tokens, by speaker
    adapter: NotRequired[str]  # that the thread keeps
    owner: NotRequired[str]  # who asked first in it


class ThreadRow(TypedDict):
    """A line of the thread list."""

    thread_id: str
    title: str
    status: Status
    updated_at: str
    open_reviews: int
    error: str  # why the thread cannot be read; "" else
    spent: list[Spent]  # tokens and cost so far, by speaker
    adapter: str  # that the thread keeps; "": what goes with the model
    owner: str  # who asked first in it; "": nobody yet, or an old record does not say


Summarise = Callable[[CheckpointTuple, dict[str, Decision]], Summary]

_SCHEMA = """
CREATE TABLE threads (
    folder TEXT PRIMARY KEY, thread_id TEXT NOT NULL, title TEXT NOT NULL, status TEXT NOT NULL,
    updated_at TEXT NOT NULL, open_reviews INTEGER NOT NULL, error TEXT NOT NULL, spent TEXT NOT NULL,
    adapter TEXT NOT NULL, owner TEXT NOT NULL, signature TEXT NOT NULL
);
CREATE INDEX by_time ON threads (updated_at DESC, folder);
CREATE TABLE reviews (
    review_id TEXT NOT NULL, folder TEXT NOT NULL, open INTEGER NOT NULL, kind TEXT NOT NULL, due_at TEXT NOT NULL,
    tier INTEGER NOT NULL, created_at TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (review_id, folder)
) WITHOUT ROWID;
CREATE INDEX by_folder ON reviews (folder);
CREATE INDEX by_due ON reviews (open, due_at, review_id);
CREATE INDEX by_kind ON reviews (open, kind, due_at, review_id);
CREATE INDEX by_tier ON reviews (open, kind, tier, created_at);
"""
_VERSION: Final = 10 * FORMAT + 4  # of these tables: with another one they are made anew
_INDEX = Place("", "index", "", 0, "")
_SOURCES = ("thread.json", "checkpoints.jsonl", "decisions.jsonl")


class ThreadIndex:
    """The index file at ``path`` over the threads in ``directory``. Safe from many threads and processes."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        directory: str | os.PathLike[str],
        summarise: Summarise,
        *,
        keys: KeyRing | None = None,
    ) -> None:
        """``keys`` open the sessions, and seal what the index repeats of their content: titles and reviews."""
        self.path = Path(path).absolute()
        self.keys = keys
        self.saver = FileSaver(directory, keys=keys)
        self.decisions = DecisionLog(directory, keys=keys)
        self.folders = self.saver.sessions.folders
        self.summarise = summarise

    # asking

    def threads(self, limit: int = 50, offset: int = 0, *, owner: str | None = None) -> list[ThreadRow]:
        """Threads, last changed first; with ``owner``, those of this person only."""
        names = ("thread_id", "title", "status", "updated_at", "open_reviews", "error", "spent", "adapter", "owner")
        where, whose = ("", ()) if owner is None else ("WHERE person(owner) = ? ", (person_of(owner),))
        query = f"SELECT {', '.join(names)} FROM threads {where}ORDER BY updated_at DESC, folder LIMIT ? OFFSET ?"
        rows = self._ask(query, (*whose, limit, offset))
        found = [cast(ThreadRow, dict(zip(names, row, strict=True))) for row in rows]
        for row in found:
            row["title"], row["owner"] = self._shown(row["title"]), self._shown(row["owner"])
            row["spent"] = json.loads(cast(str, row["spent"]))
        return found

    def reviews(self, kind: Kind | None = None, limit: int = 50, offset: int = 0) -> list[Review]:
        """Open reviews, soonest due first."""
        where = "open = 1" + (" AND kind = ?" if kind else "")
        query = f"SELECT body FROM reviews WHERE {where} ORDER BY due_at, review_id LIMIT ? OFFSET ?"
        rows = self._ask(query, (*((kind,) if kind else ()), limit, offset))
        return [cast(Review, json.loads(self._shown(row[0]))) for row in rows]

    def locate(self, review_id: str) -> str | None:
        """The thread of a review, open or decided."""
        query = "SELECT thread_id FROM reviews JOIN threads USING (folder) WHERE review_id = ? ORDER BY open DESC"
        rows = self._ask(query, (review_id,))
        return str(rows[0][0]) if rows else None

    def owner(self, thread_id: str) -> str:
        """Who asked first in a thread; "" where nobody did, or there is none."""
        rows = self._ask("SELECT owner FROM threads WHERE thread_id = ?", (thread_id,))
        return self._shown(rows[0][0]) if rows else ""

    def counts(self) -> dict[str, int]:
        """How many threads there are and how many reviews are open: {"threads": n, "open_reviews": n}."""
        query = "SELECT (SELECT COUNT(*) FROM threads), (SELECT COUNT(*) FROM reviews WHERE open = 1)"
        threads, reviews = self._ask(query, ())[0]
        return {"threads": int(threads), "open_reviews": int(reviews)}

    def standing(self) -> list[tuple[Kind, int, int, str]]:
        """(kind, tier, how many, when the oldest was opened) of the open reviews."""
        query = "SELECT kind, tier, COUNT(*), MIN(created_at) FROM reviews WHERE open = 1 GROUP BY kind, tier"
        return [(kind, int(tier), int(number), str(oldest)) for kind, tier, number, oldest in self._ask(query, ())]

    # keeping

    def refresh(self, thread_id: str | None = None) -> None:
        """Bring the index up to date: re-derive threads whose files changed, drop those that vanished.

        With ``thread_id`` only that thread is looked at. A thread that cannot be read becomes a row with status
        "error"; a corrupt index file is made anew.
        """
        try:
            self._refresh(thread_id)
        except sqlite3.DatabaseError:
            self._discard()
            self._refresh(None)

    def _refresh(self, thread_id: str | None) -> None:
        with self._connected() as db:
            if thread_id is None:
                found = self.folders.folders()
                known = dict(db.execute("SELECT folder, signature FROM threads"))
            else:
                name = folder_name(thread_id)
                found = [f for f in [self.folders.root / name] if (f / "thread.json").exists()]
                known = dict(db.execute("SELECT folder, signature FROM threads WHERE folder = ?", (name,)))
            for folder in found:
                signature = _signature(folder)  # before reading: a change meanwhile is seen next time
                if known.pop(folder.name, None) != signature:
                    row, reviews = self._derive(folder)
                    row["title"], row["owner"] = self._hidden(row["title"]), self._hidden(row["owner"])
                    with db:
                        _store(db, folder.name, signature, row, reviews, self._hidden)
            with db:
                for name in known:
                    db.execute("DELETE FROM threads WHERE folder = ?", (name,))
                    db.execute("DELETE FROM reviews WHERE folder = ?", (name,))

    def _derive(self, folder: Path) -> tuple[ThreadRow, list[tuple[str, Review | None]]]:
        thread_id = folder.name
        try:
            thread_id = self.folders.thread_id(folder)
            decisions = self.decisions.of(thread_id)
            latest = self.saver.get_tuple({"configurable": {"thread_id": thread_id}})
            if latest is None:
                return _empty(thread_id, "idle", ""), [(r, None) for r in decisions]
            summary = self.summarise(latest, decisions)
        except (DojangError, OSError, ValueError, KeyError, TypeError) as e:
            message = str(e) if isinstance(e, DojangError) else f"{folder} cannot be summarised: {e!r}"
            return _empty(thread_id, "error", message), []
        row = ThreadRow(
            thread_id=thread_id,
            title=summary["title"],
            status=summary["status"],
            updated_at=summary["updated_at"],
            open_reviews=len(summary["reviews"]),
            error="",
            spent=summary.get("spent") or [],
            adapter=summary.get("adapter") or "",
            owner=summary.get("owner") or "",
        )
        waiting = {r["id"] for r in summary["reviews"]}
        reviews: list[tuple[str, Review | None]] = [(r["id"], r) for r in summary["reviews"]]
        return row, reviews + [(r, None) for r in decisions if r not in waiting]

    # sealing

    def _hidden(self, text: str) -> str:
        """The text as the file may have it: sealed where the sessions are."""
        return text if self.keys is None else json.dumps(self.keys.seal({"k": "index", "text": text}, _INDEX))

    def _shown(self, text: str) -> str:
        try:
            return text if self.keys is None else str(self.keys.open(json.loads(text), _INDEX)["text"])
        except (Forged, ValueError, KeyError, TypeError):
            raise BrokenInvariant(f"{self.path}: a row was changed; delete the file, it is made again") from None

    # the file

    def _ask(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        for attempt in range(2):
            try:
                if not self.path.exists():
                    self.refresh()
                with contextlib.closing(self._open()) as db:
                    return db.execute(query, values).fetchall()
            except sqlite3.DatabaseError:
                if attempt:
                    raise
                self._discard()
        raise AssertionError("unreachable")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with OsLock(self.path.with_name(self.path.name + ".lock")), contextlib.closing(self._open()) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                for table in tables:
                    db.execute(f'DROP TABLE "{table}"')
                db.executescript(_SCHEMA + f"PRAGMA user_version = {_VERSION};")
            yield db

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self.path, timeout=30)
        try:
            db.create_function("person", 1, lambda text: person_of(self._shown(text)), deterministic=True)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # derived: what a power cut spoils is made again
        except BaseException:
            db.close()
            raise
        return db

    def _discard(self) -> None:
        with OsLock(self.path.with_name(self.path.name + ".lock")):
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _empty(thread_id: str, status: Status, error: str) -> ThreadRow:
    return ThreadRow(
        thread_id=thread_id,
        title="",
        status=status,
        updated_at="",
        open_reviews=0,
        error=error,
        spent=[],
        adapter="",
        owner="",
    )


def _signature(folder: Path) -> str:
    parts = []
    for name in _SOURCES:
        try:
            found = (folder / name).stat()
            parts.append(f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}")
        except FileNotFoundError:
            parts.append("-")
    return " ".join(parts)


def _store(
    db: sqlite3.Connection,
    folder: str,
    signature: str,
    row: ThreadRow,
    reviews: list[tuple[str, Review | None]],
    hidden: Callable[[str], str],
) -> None:
    columns = {**row, "spent": json.dumps(row["spent"])}
    values = (folder, *(_safe(v) for v in columns.values()), signature)
    db.execute("INSERT OR REPLACE INTO threads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    db.execute("DELETE FROM reviews WHERE folder = ?", (folder,))
    db.executemany(
        "INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (rid, folder, 1, r["kind"], r["due_at"], r.get("tier", 0), r.get("created_at", ""), hidden(json.dumps(r)))
            if r
            else (rid, folder, 0, "", "", 0, "", hidden(json.dumps(r)))
            for rid, r in reviews
        ],
    )


def _safe(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
