"""What is searched across threads, in SQLite: the thread list and the inbox. Derived; the folders are the truth.

Delete the file, and the next ``refresh`` makes the same one again. What a thread's title, status and open reviews are
is the business of the injected ``summarise``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from checkpoints.files.crypto import Forged, KeyRing, Place
from checkpoints.files.folders import FORMAT, folder_name
from checkpoints.files.locks import OsLock
from checkpoints.looking import Look, Looking
from checkpoints.records.decisions import DecisionLog
from checkpoints.records.progress import Fold
from checkpoints.saver import FileSaver
from checkpoints.wanted import Key, Wanted, folded
from state import BrokenInvariant, Decision, DojangError, Kind, Progress, Review, Spent, person_of, untouched

log = logging.getLogger(__name__)

Status = Literal["idle", "interrupted", "error"]


class Summary(TypedDict):
    """What ``summarise`` tells of a thread."""

    title: str
    status: Status
    updated_at: str  # ISO 8601, UTC
    reviews: list[Review]  # the open ones
    decided: NotRequired[list[Review]]  # others that this checkpoint knows
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


class Listed(TypedDict):
    """A review as the index has it."""

    review: Review
    progress: Progress
    key: Key  # where a page that ends with it ends


Summarise = Callable[[CheckpointTuple, dict[str, Decision]], Summary]

_SCHEMA = """
CREATE TABLE threads (
    folder TEXT PRIMARY KEY, thread_id TEXT NOT NULL, title TEXT NOT NULL, status TEXT NOT NULL,
    updated_at TEXT NOT NULL, open_reviews INTEGER NOT NULL, error TEXT NOT NULL, spent TEXT NOT NULL,
    adapter TEXT NOT NULL, owner TEXT NOT NULL, signature TEXT NOT NULL
);
CREATE INDEX by_time ON threads (updated_at DESC, folder);
CREATE INDEX by_status ON threads (status, updated_at DESC, folder);
CREATE TABLE reviews (
    review_id TEXT NOT NULL, folder TEXT NOT NULL, open INTEGER NOT NULL, expired INTEGER NOT NULL,
    has_body INTEGER NOT NULL, kind TEXT NOT NULL, tier INTEGER NOT NULL, tool TEXT NOT NULL, due_at TEXT NOT NULL,
    created_at TEXT NOT NULL, claimant TEXT NOT NULL, claimed_until TEXT NOT NULL, role TEXT NOT NULL,
    held_until TEXT NOT NULL,
    words TEXT NOT NULL, progress TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (review_id, folder)
) WITHOUT ROWID;
CREATE INDEX by_folder ON reviews (folder);
CREATE INDEX by_due ON reviews (open, due_at, review_id);
CREATE INDEX by_created ON reviews (open, created_at, review_id);
CREATE INDEX by_kind ON reviews (open, kind, due_at, review_id, tier, claimed_until, role, claimant);
CREATE INDEX by_tool ON reviews (open, tool, due_at, review_id);
CREATE INDEX by_tier ON reviews (open, tier, review_id);
CREATE INDEX by_words ON reviews (words);
CREATE INDEX by_claim ON reviews (claimed_until) WHERE claimed_until <> '';
CREATE TABLE made (token TEXT NOT NULL);
"""
_VERSION: Final = 10 * FORMAT + 7  # of these tables: with another one they are made anew
MANY: Final = 2_000
"""Up to so many sessions each is looked at when somebody asks,"""
LOOK_AGAIN_S: Final = 0.25
"""unless all were so short a time ago: then, of what other programs did inside a folder, the next look tells."""
LOOK_EVERY_S: Final = 30.0
"""Of more than that, all are looked at so often, behind whoever asks."""
_INDEX = Place("", "index", "", 0, "")


@dataclass(frozen=True)
class Watched:
    """The sessions that an index is about, wherever they lie."""

    saver: BaseCheckpointSaver[Any]
    decisions: DecisionLog
    look: Looking

    @classmethod
    def folders(cls, directory: str | os.PathLike[str], *, keys: KeyRing | None = None) -> Watched:
        """Those of a threads directory."""
        saver = FileSaver(directory, keys=keys)
        return cls(saver, DecisionLog(directory, keys=keys), Look(saver.directory))


class ThreadIndex:
    """The index file at ``path`` over sessions, or over a threads directory. Safe from many threads and processes."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        sessions: Watched | str | os.PathLike[str],
        summarise: Summarise,
        *,
        keys: KeyRing | None = None,
    ) -> None:
        """``keys`` open the sessions, and seal what the index repeats of their content: titles and reviews."""
        self.path = Path(path).absolute()
        self.keys = keys
        watched = sessions if isinstance(sessions, Watched) else Watched.folders(sessions, keys=keys)
        self.saver, self.decisions, self.look = watched.saver, watched.decisions, watched.look
        self.summarise = summarise
        self._token = ""  # of the file that the look is about
        self._mutex = threading.RLock()
        self._behind = threading.Lock()

    # asking

    def threads(
        self,
        limit: int = 50,
        offset: int = 0,
        *,
        owner: str | None = None,
        status: Status | None = None,
        text: str = "",
    ) -> list[ThreadRow]:
        """Threads, last changed first; with ``owner``, those of this person only; ``text``: words of title or id."""
        names = ("thread_id", "title", "status", "updated_at", "open_reviews", "error", "spent", "adapter", "owner")
        asked: list[tuple[str, tuple[object, ...]]] = []
        if owner is not None:
            asked.append(("person(owner) = ?", (person_of(owner),)))
        if status is not None:
            asked.append(("status = ?", (status,)))
        if text.strip():
            asked.append(("(instr(words(title), ?) > 0 OR thread_id = ?)", (folded(text), text.strip())))
        where = f"WHERE {' AND '.join(condition for condition, _ in asked)} " if asked else ""
        query = f"SELECT {', '.join(names)} FROM threads {where}ORDER BY updated_at DESC, folder LIMIT ? OFFSET ?"
        rows = self._ask(query, (*(value for _, values in asked for value in values), limit, offset))
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

    def find(self, wanted: Wanted, *, limit: int, after: Key | None = None) -> list[Listed]:
        """Reviews as asked for, with their progress; ``after``: where the page before ended. Opens no session."""
        where, values = wanted.where(sealed=self.keys is not None)
        later, order, more = wanted.page(after)
        query = f"SELECT body, progress, {wanted.column}, review_id FROM reviews WHERE {where}{later} ORDER BY {order}"
        rows = self._ask(query + " LIMIT ?", (*values, *more, limit))
        return [
            Listed(
                review=json.loads(self._shown(body)),
                progress=json.loads(told) if (told := self._shown(progress)) else untouched(),
                key=(str(value), review_id),
            )
            for body, progress, value, review_id in rows
        ]

    def count(self, wanted: Wanted) -> dict[str, int]:
        """How many reviews are as asked for, by kind. Read in indexes that have all of it: rows are large."""
        where, values = wanted.where(sealed=self.keys is not None)
        return dict(self._ask(f"SELECT kind, COUNT(*) FROM reviews WHERE {where} GROUP BY kind", tuple(values)))

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

    def open_by_kind(self) -> dict[str, int]:
        """How many reviews of each kind are open; kinds without any are left out."""
        return dict(self._ask("SELECT kind, COUNT(*) FROM reviews WHERE open = 1 GROUP BY kind", ()))

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
        if thread_id is not None:
            name = folder_name(thread_id)
            told = self.look.signature(name)
            self._take([name] if told else [], [] if told else [name])
            return
        with self._mutex:
            few = self.look.few() if self._token and self._token == self._made() else None
            many, exact = len(self.look.names or ()) > MANY, self.look.exact
            if few is None or (not many and not exact and time.monotonic() - self.look.looked >= LOOK_AGAIN_S):
                self._look_at_all()
            else:
                self._take(*few)
                self.look.done()
                if many and not exact:
                    self._look_behind()

    def _look_at_all(self) -> None:
        """Bring everything up to date."""
        found = self.look.all()
        with self._connected() as db:
            known = dict(db.execute("SELECT folder, signature FROM threads"))
        fresh = [name for name, told in found.items() if known.get(name) != told]
        self._take(fresh, known.keys() - found.keys(), found if self.look.exact else {})
        self._token = self._made()
        self.look.done()
        self.look.looked = time.monotonic()

    def _look_behind(self) -> None:
        """Now and then look at all, while whoever asks goes on."""
        if time.monotonic() - self.look.looked < LOOK_EVERY_S or not self._behind.acquire(blocking=False):
            return
        self.look.looked = time.monotonic()
        threading.Thread(target=self._behind_others, name="dojang-index", daemon=True).start()

    def _behind_others(self) -> None:
        try:
            found = self.look.fresh().all()
            known = dict(self._ask("SELECT folder, signature FROM threads", ()))
            self._take([name for name, told in found.items() if known.get(name) != told], [])
        except (DojangError, OSError, sqlite3.Error) as error:
            log.warning("the index could not be brought up to date: %s", error)
        finally:
            self._behind.release()

    def _take(self, names: Iterable[str], gone: Iterable[str], told: Mapping[str, str] | None = None) -> None:
        """Derive what changed of these folders, and drop those; ``told``: signatures as far as they are known."""
        names, gone = sorted(names), set(gone)
        if not names and not gone:
            return
        with self._connected() as db:
            come = {name: now for name in gone if (now := self.look.signature(name))}  # since it was looked for
            for name in names:
                self._derived(db, name, (told or {}).get(name) or self.look.signature(name))
            for name, signature in sorted(come.items()):
                self._derived(db, name, signature)
            with db:
                for name in sorted(gone - come.keys()):
                    db.execute("DELETE FROM threads WHERE folder = ?", (name,))
                    db.execute("DELETE FROM reviews WHERE folder = ?", (name,))

    def _derived(self, db: sqlite3.Connection, name: str, told: str) -> None:
        """``told``: its signature before it is read, so that a change meanwhile is seen next time."""
        known = db.execute("SELECT signature FROM threads WHERE folder = ?", (name,)).fetchone()
        if not told or (known is not None and known[0] == told):
            return
        bodies = self._bodies(db, name) if known is not None and self.look.only_grew(told, known[0]) else {}
        row, reviews = self._derive(name, bodies)
        row["title"], row["owner"] = self._hidden(row["title"]), self._hidden(row["owner"])
        with db:
            _store(db, name, told, row, [self._columns(one) for one in reviews])

    def _bodies(self, db: sqlite3.Connection, name: str) -> dict[str, Review]:
        """Reviews that are known: they never change, and what they were read from is still there."""
        rows = db.execute("SELECT review_id, body FROM reviews WHERE folder = ? AND has_body = 1", (name,))
        return {review_id: json.loads(self._shown(body)) for review_id, body in rows}

    def _derive(self, name: str, bodies: dict[str, Review]) -> tuple[ThreadRow, list[_Known]]:
        thread_id = name
        try:
            thread_id = self.look.thread_id(name)
            fold = Fold(self.decisions.entries(thread_id))
            latest = self.saver.get_tuple({"configurable": {"thread_id": thread_id}})
            if latest is None:
                return _empty(thread_id, "idle", ""), [(r, None, False, p) for r, p in fold.of.items()]
            summary = self.summarise(latest, fold.decided)
            waiting = {r["id"]: r for r in summary["reviews"]}
            bodies = {**bodies, **{r["id"]: r for r in summary.get("decided") or []}}
            bodies |= self._older(thread_id, fold.decided, [r for r in fold.decided if r not in bodies])
        except (DojangError, OSError, ValueError, KeyError, TypeError) as e:
            message = str(e) if isinstance(e, DojangError) else f"{self.look.place(name)} cannot be summarised: {e!r}"
            return _empty(thread_id, "error", message), []
        row = ThreadRow(
            thread_id=thread_id,
            title=summary["title"],
            status=summary["status"],
            updated_at=summary["updated_at"],
            open_reviews=len(waiting),
            error="",
            spent=summary.get("spent") or [],
            adapter=summary.get("adapter") or "",
            owner=summary.get("owner") or "",
        )
        reviews: list[_Known] = [(r, body, True, fold.of.get(r)) for r, body in waiting.items()]
        return row, reviews + [
            (r, bodies.get(r) if r in fold.decided else None, False, p) for r, p in fold.of.items() if r not in waiting
        ]

    def _older(self, thread_id: str, decided: dict[str, Decision], ids: Sequence[str]) -> dict[str, Review]:
        """Decided reviews of turns that the newest checkpoint does not know any more."""
        found: dict[str, Review] = {}
        wanted = set(ids)
        if wanted:
            with contextlib.closing(self.saver.list({"configurable": {"thread_id": thread_id}})) as older:  # type: ignore[type-var]
                for one in older:
                    told = self.summarise(one, decided).get("decided") or []
                    found |= {r["id"]: r for r in told if r["id"] in wanted}
                    if len(found) == len(wanted):
                        break
        return found

    def _columns(self, known: _Known) -> tuple[object, ...]:
        """A review's row, without its folder."""
        review_id, review, is_open, progress = known
        decision, claim = (progress["decision"], progress["claim"]) if progress is not None else (None, None)
        held = decision.get("held_until", "") if decision is not None and progress and not progress["released"] else ""
        handed = progress.get("assigned") if progress is not None else None
        said: dict[str, Any] = {**(review or {})}  # an old record may lack what came later
        action = said.get("action") or {}
        words = [said.get("summary", ""), said.get("question", ""), *_leaves(action.get("args") or {})]
        return (
            review_id,
            int(is_open),
            int(decision is not None and decision["type"] == "expire"),
            int(review is not None),
            said.get("kind", ""),
            said.get("tier", 0),
            self._hidden(action.get("tool", "")),
            said.get("due_at", ""),
            said.get("created_at", ""),
            self._hidden(person_of(claim["by"]) if claim else ""),
            claim["until"] if claim else "",
            handed["role"] if handed else "",
            held,
            self._hidden(folded(" ".join(words))),
            self._hidden(json.dumps(progress) if progress is not None else ""),
            self._hidden(json.dumps(review)),
        )

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
        for attempt in range(3):
            try:
                if not self.path.exists():
                    self.refresh()
                with contextlib.closing(self._open()) as db:
                    return db.execute(query, values).fetchall()
            except sqlite3.DatabaseError:
                if attempt == 2:
                    raise
                if attempt == 1:
                    self._discard()
                elif not self._made():  # somebody is making it at this moment: wait for that, or do it
                    self.refresh()
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
                with db:
                    db.execute("INSERT INTO made VALUES (?)", (secrets.token_hex(8),))
            yield db

    def _made(self) -> str:
        """Which file it is; "" where there is none, or one of another version."""
        if not self.path.exists():
            return ""
        try:
            with contextlib.closing(self._open()) as db:
                if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                    return ""
                return str(db.execute("SELECT token FROM made").fetchone()[0])
        except (sqlite3.DatabaseError, TypeError):
            return ""

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(self.path, timeout=30)
        try:
            db.create_function("person", 1, lambda text: person_of(self._shown(text)), deterministic=True)
            db.create_function("shown", 1, self._shown, deterministic=True)
            db.create_function("words", 1, lambda text: folded(self._shown(text)), deterministic=True)
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


def _store(
    db: sqlite3.Connection, folder: str, signature: str, row: ThreadRow, reviews: Sequence[tuple[object, ...]]
) -> None:
    columns = {**row, "spent": json.dumps(row["spent"])}
    values = (folder, *(_safe(v) for v in columns.values()), signature)
    db.execute("INSERT OR REPLACE INTO threads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    db.execute("DELETE FROM reviews WHERE folder = ?", (folder,))
    rows = [(review_id, folder, *map(_safe, rest)) for review_id, *rest in reviews]
    db.executemany(f"INSERT OR REPLACE INTO reviews VALUES ({', '.join('?' * 17)})", rows)


_Known = tuple[str, Review | None, bool, Progress | None]
"""A review's id, itself where it is known, whether it waits, and how far it has got."""


def _leaves(value: object) -> list[str]:
    """What a person reads of arguments."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [str(value)]


def _safe(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
