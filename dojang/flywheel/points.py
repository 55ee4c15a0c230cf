"""Decision points of all sessions: each decided review with the prompt of then, shown to be it, and its origin.

A session that has not changed since the last look is not read again (``points.sqlite``, derived; sealed sessions leave
nothing in it). A session that cannot be read is reported and stops nobody.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langchain_core.messages import AnyMessage

from adapters.dataset.points import (
    ASKED_BY_A_RULE,
    ERASED,
    HASH_DIFFERS,
    IN_DOUBT,
    NO_PROMPT,
    NO_REVIEW,
    NOT_RENDERED,
    OPTED_OUT,
    Point,
    told,
)
from adapters.speakers.proving import again
from checkpoints.records.progress import Fold
from state import Decision, DojangError, Prompt, Review

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from checkpoints import DecisionLog, PromptLog
    from checkpoints.backend import Backend
    from checkpoints.records.prompts import Kept

Progress = Callable[[int, int], None]
_VERSION: Final = 1
"""Of what is derived; another one is read anew."""
_READ: Final = ("checkpoints.jsonl", "decisions.jsonl", "prompts.jsonl")


@dataclass
class Collected:
    """What was found."""

    points: list[Point] = field(default_factory=list)
    threads: int = 0
    problems: list[str] = field(default_factory=list)  # of sessions that could not be read, one line each


@dataclass(frozen=True)
class Sessions:
    """Where points come from. ``tokenizer``: of the local base that speaks, where there is one."""

    saver: BaseCheckpointSaver[Any]
    decisions: DecisionLog
    prompts: PromptLog
    tokenizer: Any = None
    cache: Path | None = None


def collect(sessions: Sessions, *, on_progress: Progress = lambda done, total: None) -> Collected:
    """The points of all sessions, in the order in which they were decided."""
    found = Collected()
    ones = _ones(sessions.decisions.backend)
    with closing(_Cache(sessions.cache, sessions.tokenizer)) as cache:
        for number, one in enumerate(ones, 1):
            try:
                stamp = one.stamp()
                points = cache.get(one.name, stamp) if stamp else None
                if points is None:
                    points = list(points_of(sessions, one.thread_id()))
                    if stamp:
                        cache.put(one.name, stamp, points)
                found.points += points
            except FileNotFoundError:
                continue  # deleted meanwhile
            except DojangError as e:
                found.problems.append(f"{one.name}: {e}")
            found.threads += 1
            on_progress(number, len(ones))
        cache.keep({one.name for one in ones})
    found.points.sort(key=lambda p: (p["decision"]["at"], p["thread_id"], p["decision"]["review_id"]))
    return found


def forget(cache: Path) -> None:
    """Remove what was derived: words were erased from the sessions."""
    for name in (cache.name, f"{cache.name}-wal", f"{cache.name}-shm"):
        cache.with_name(name).unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------------------- one session


@dataclass(frozen=True)
class _Asked:
    """A review and the state that asked it."""

    review: Review
    checkpoint_id: str
    turn: str
    of_a_program: bool = False


def points_of(sessions: Sessions, thread_id: str) -> Iterator[Point]:
    """The points of one session, in the order of its decisions.

    Raises:
        DojangError: the session cannot be read.
    """
    records = sessions.decisions.entries(thread_id)
    fold = Fold(records)
    if not fold.decided:
        return
    undone = {r["review_id"] for r in records if r["k"] == "undo"}
    kept = sessions.prompts.read(thread_id)
    asked, messages = _history(sessions.saver, thread_id)
    if any(found.of_a_program for found in asked.values()):
        return  # a promotion: no model said anything there
    for review_id, decision in fold.decided.items():
        point = _point(asked.get(review_id), decision, kept, messages, sessions.tokenizer)
        votes = [vote for vote in fold.of[review_id]["votes"] if vote is not decision]
        yield {**point, "thread_id": thread_id, "votes": votes, "undone": review_id in undone}


def _history(saver: BaseCheckpointSaver[Any], thread_id: str) -> tuple[dict[str, _Asked], dict[str, AnyMessage]]:
    """Every review of a session with the first state that has it, and the messages of the newest state by id."""
    asked: dict[str, _Asked] = {}
    messages: dict[str, AnyMessage] = {}
    for number, state in enumerate(saver.list({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})):
        values = state.checkpoint["channel_values"]
        if number == 0:
            messages = {m.id: m for m in values.get("messages") or [] if m.id}
        for review_id, review in (values.get("reviews") or {}).items():
            program = str(values.get("adapter") or "").startswith("program:")
            asked[review_id] = _Asked(review, str(state.checkpoint["id"]), str(values.get("turn") or ""), program)
    return asked, messages


def _point(
    asked: _Asked | None, decision: Decision, kept: Kept, messages: dict[str, AnyMessage], tokenizer: Any
) -> Point:
    point = Point(
        thread_id="", checkpoint_id="", review=None, decision=decision, votes=[], undone=False, prompt=None,
        messages=[], lacks="",
    )  # fmt: skip
    if kept.out:
        return {**point, "lacks": OPTED_OUT}
    if asked is None:
        return {**point, "lacks": NO_REVIEW}
    point |= {"review": asked.review, "checkpoint_id": asked.checkpoint_id}
    prompt, lacks = _prompt_of(asked, kept)
    if prompt is None:
        return {**point, "lacks": lacks}
    read = [messages[i] for i in prompt["messages"] if i in messages]
    shown = again(prompt, read, tokenizer) if len(read) == len(prompt["messages"]) else None
    if shown is None:
        lacks = NOT_RENDERED if len(read) == len(prompt["messages"]) else HASH_DIFFERS
    elif shown["sha256"] != prompt["rendered"]["sha256"]:
        lacks = HASH_DIFFERS
    return {**point, "prompt": prompt, "messages": told(read), "lacks": lacks}


def _prompt_of(asked: _Asked, kept: Kept) -> tuple[Prompt | None, str]:
    """The turn in which the model said what the review is about, or why there is none."""
    kind, _, rest = asked.review["subject"].partition(":")
    about = rest.partition("#")[0]
    if kind == "doubt":
        return None, IN_DOUBT
    if kind == "question" and about.endswith(":reading"):
        return None, ASKED_BY_A_RULE
    found = [p for p in kept.prompts if _is_about(p, kind, about, asked.turn)]
    if found:
        text = str(asked.review["action"]["args"].get("text", ""))
        same = [p for p in found if p["said"]["text"].strip() and text.startswith(p["said"]["text"].strip())]
        return (same or found)[-1], ""
    erased = kind in ("draft", "answer") and f"{asked.turn}#{about}" in kept.erased
    return None, ERASED if erased or (kept.erased and kind in ("call", "question")) else NO_PROMPT


def _is_about(prompt: Prompt, kind: str, about: str, turn: str) -> bool:
    if kind == "call":
        return any(call["id"] == about for call in prompt["said"]["calls"])
    if prompt["turn"] != turn:
        return False
    if kind == "question":
        return str(len(prompt["messages"])) == about.rpartition(":")[2]
    return str(prompt["round"]) == about


# ------------------------------------------------------------------------------------------------------- the cache


class _One(NamedTuple):
    """A session: what it is called, when it changed ("": nobody can tell), whose it is."""

    name: str
    stamp: Callable[[], str]
    thread_id: Callable[[], str]


def _ones(backend: Backend) -> list[_One]:
    """All sessions. Those in a database are read each time (``datasets.sessions_of`` says why)."""
    from checkpoints.files.backend import FileBackend

    if not isinstance(backend, FileBackend):
        return [_One(name, lambda: "", partial(str, name)) for name in backend.threads()]
    folders = backend.folders
    return [_One(one.name, partial(_stamp, one), partial(folders.thread_id, one)) for one in folders.folders()]


def _stamp(folder: Path) -> str:
    """Changes when the session does."""
    parts = []
    for name in _READ:
        try:
            at = (folder / name).stat()
        except FileNotFoundError:
            continue
        parts.append(f"{name}:{at.st_size}:{at.st_mtime_ns}:{at.st_ino}")
    return " ".join(parts)


class _Cache:
    """Points by folder, as they were at a stamp. Without a path it remembers nothing."""

    def __init__(self, path: Path | None, tokenizer: Any) -> None:
        self._how = f"{_VERSION} {getattr(tokenizer, 'chat_template', None) or ''}"
        self._db: sqlite3.Connection | None = None
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            try:
                self._db = _opened(path)
            except sqlite3.DatabaseError:  # spoilt: it is derived
                forget(path)
                self._db = _opened(path)

    def get(self, folder: str, stamp: str) -> list[Point] | None:
        if self._db is None:
            return None
        row = self._db.execute(
            "SELECT points FROM seen WHERE folder = ? AND stamp = ?", (folder, f"{self._how} {stamp}")
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, folder: str, stamp: str, points: list[Point]) -> None:
        if self._db is not None:
            row = (folder, f"{self._how} {stamp}", json.dumps(points, ensure_ascii=False))
            with self._db:
                self._db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", row)

    def keep(self, folders: Iterable[str]) -> None:
        """Forget sessions that are gone."""
        if self._db is not None:
            there = set(folders)
            with self._db:
                gone = [(f,) for (f,) in self._db.execute("SELECT folder FROM seen") if f not in there]
                self._db.executemany("DELETE FROM seen WHERE folder = ?", gone)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30)
    db.execute("PRAGMA secure_delete = ON")
    db.execute("CREATE TABLE IF NOT EXISTS seen (folder TEXT PRIMARY KEY, stamp TEXT, points TEXT)")
    return db


__all__ = ["Collected", "Progress", "Sessions", "collect", "forget", "points_of"]
