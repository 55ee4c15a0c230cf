"""Deleting threads that nobody has touched for long. One that waits for a person, or may have to go on, stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypedDict

from checkpoints.errors import ThreadBusy
from checkpoints.files.crypto import KeyRing
from checkpoints.records.ledger import EffectLedger
from checkpoints.upkeep.home import Home, home_at
from state import DojangError

Fate = Literal["recent", "waits", "unfinished", "busy", "unreadable", "pruned"]


class Pruned(TypedDict):
    """What became of one thread."""

    thread_id: str
    fate: Fate
    updated_at: str  # ISO 8601; "" where it cannot be read
    why: str  # "unreadable": what is wrong; "" otherwise


def prune(
    where: str | os.PathLike[str] | Home,
    older_than: timedelta,
    *,
    now: datetime | None = None,
    keys: KeyRing | None = None,
    keep_latest: bool = False,
    dry_run: bool = False,
    before: Callable[[str], None] = lambda thread: None,
) -> list[Pruned]:
    """Delete threads whose last checkpoint is older, or with ``keep_latest`` all of their checkpoints but the newest.

    ``before`` is called with the id of a thread that is about to be deleted, under its run lock. With ``dry_run``
    nothing is changed, and "pruned" means "would be".
    """
    home = home_at(where, keys=keys)
    limit = (now or datetime.now(UTC)) - older_than
    done: list[Pruned] = []

    def wrong(place: Path, why: str) -> None:
        name = place.parent.name if place.name == "thread.json" else place.name
        done.append(Pruned(thread_id=name, fate="unreadable", updated_at="", why=why))

    for thread in home.backend.readable(wrong):
        try:
            found = _judged(home, thread, limit)
            if found["fate"] == "pruned" and not dry_run:
                found = _act(home, thread, limit, keep_latest=keep_latest, before=before)
        except FileNotFoundError:
            continue  # deleted meanwhile
        except ThreadBusy:
            found = Pruned(thread_id=thread, fate="busy", updated_at="", why="")
        except (DojangError, ValueError, KeyError, TypeError) as e:
            found = Pruned(thread_id=thread, fate="unreadable", updated_at="", why=str(e))
        done.append(found)
    return done


def _act(
    home: Home,
    thread: str,
    limit: datetime,
    *,
    keep_latest: bool,
    before: Callable[[str], None],
) -> Pruned:
    with home.run_lock(thread, "prune"):
        found = _judged(home, thread, limit)  # again: now nobody runs it
        if found["fate"] == "pruned":
            if keep_latest:
                home.saver.prune([thread])
            else:
                before(thread)
                home.saver.delete_thread(thread)
    return found


def _judged(home: Home, thread: str, limit: datetime) -> Pruned:
    newest, fate = "", "pruned"
    for ns in dict.fromkeys(ns for _, ns in home.saver.places(thread)):
        found = home.saver.get_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ns}})
        if found is None:
            continue
        newest = max(newest, found.checkpoint["ts"])
        if any(channel == "__interrupt__" for _, channel, _ in found.pending_writes or []):
            fate = "waits"
        elif ns == "" and any(c.startswith("branch:to:") for c in found.checkpoint["channel_values"]):
            fate = fate if fate == "waits" else "unfinished"
    if not newest:
        newest = home.backend.created_at(thread)
    if fate == "pruned" and _open_effects(EffectLedger(home.backend), thread):
        fate = "unfinished"
    if datetime.fromisoformat(newest).astimezone(UTC) > limit:
        fate = "recent"
    return Pruned(thread_id=thread, fate=fate, updated_at=newest, why="")  # type: ignore[typeddict-item]


def _open_effects(ledger: EffectLedger, thread: str) -> bool:
    """Whether an effect was begun and nobody knows how it ended."""
    ends: dict[str, str] = {}
    for entry in ledger.entries(thread):
        ends[entry["key"]] = "" if entry["k"] == "intent" else entry["outcome"]["status"]
    return any(end in ("", "in_doubt") for end in ends.values())
