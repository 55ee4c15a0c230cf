"""What changes while pages are open: one look at the sessions a moment for all of them, however many there are.

A program of ours that has written to a session has pressed its stamp (``checkpoints.files.stamps``); where none is
pressed, nothing else is read. What changed is worked out once, kept in a bounded list, and every open page reads that.
Who looks at which review is remembered here, in this process, as long as their page is connected.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from checkpoints.wanted import Wanted
from dojang.workspace import Workspace
from state import DojangError, Progress, Review

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""How often the stamps are looked at while a page is open."""
ALL_S: Final = 30.0
"""How often every session is looked at, for what other programs did to the files."""
COUNT_S: Final = 1.0
"""How soon the counts of a person are made again where something changed,"""
DUE_S: Final = 15.0
"""and where nothing did but the time."""
KEEP: Final = 512
"""Changes that are kept for pages whose connection was lost."""
REMEMBERED: Final = 10_000
"""Reviews of which it is known what was told last."""
NOTHING: Final = (0, None, "", None)
"""The gist of a review that nobody has touched."""
MANY: Final = 200
"""Reviews of one thread that are looked at."""


@dataclass(frozen=True)
class Change:
    """A review that opened, was claimed or given back, voted on, decided. ``n``: number, each one above the last."""

    n: int
    review: Review
    progress: Progress
    new: bool
    decided: bool


class Live:
    """The changes of one home. Its thread runs while somebody listens."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.last = time.time_ns() // 1_000_000  # numbers go up from server to server, as long as none tells 1,000 a s
        self.ending = False
        self._look = workspace.parts.looking()
        self._known: dict[str, str] = {}  # folder → signature
        self._told: dict[str, tuple[Any, ...]] = {}  # reviews → what was told of them last
        self._begun = workspace.parts.clock.now().isoformat()  # what happened before is told to nobody
        self._moved: dict[str, int] = {}  # thread → how often it changed
        self._looking = threading.Lock()
        self._kept: deque[Change] = deque(maxlen=KEEP)
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._here: dict[str, dict[int, str]] = {}  # review → {page: who}
        self._pages = 0
        self._version = 0  # of what counts rest on
        self._counted: dict[Any, tuple[int, float, dict[str, int]]] = {}
        self._counting = threading.Lock()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    # -- listening ------------------------------------------------------------------------------------------------

    @contextmanager
    def listening(self, who: str, review_id: str = "") -> Iterator[asyncio.Event]:
        """While it lasts, the event is set whenever something changed; ``review_id``: what that page shows."""
        woken = asyncio.Event()
        with self._lock:
            self._pages += 1
            page = self._pages
            first = not self._listeners
            self._listeners[woken] = asyncio.get_running_loop()
            if review_id:
                self._here.setdefault(review_id, {})[page] = who
        if first:
            self._begin()
        if review_id:
            self._ring()
        try:
            yield woken
        finally:
            with self._lock:
                self._listeners.pop(woken, None)
                if review_id:
                    self._here[review_id].pop(page, None)
                    if not self._here[review_id]:
                        del self._here[review_id]
            if review_id:
                self._ring()

    def since(self, n: int) -> tuple[list[Change], bool]:
        """(changes with a number above ``n``, whether some of those are not kept any more)."""
        with self._lock:
            kept = [change for change in self._kept if change.n > n]
            lost = n < self.last and (not kept or kept[0].n > n + 1)
            return kept, lost

    def here(self, review_id: str) -> list[str]:
        """Who looks at a review."""
        with self._lock:
            return sorted(set(self._here.get(review_id, {}).values()))

    def counts(self, whose: Hashable, count: Callable[[], dict[str, int]]) -> dict[str, int]:
        """Counts of one person, made once for all of their pages, and no sooner again than after a moment."""
        with self._counting:
            now, version = time.monotonic(), self._version
            known = self._counted.get(whose)
            if known is not None and now - known[1] < (COUNT_S if known[0] != version else DUE_S):
                return known[2]
            found = count()
            self._counted = {key: one for key, one in self._counted.items() if now - one[1] < 10 * DUE_S}
            self._counted[whose] = (version, now, found)
            return found

    def moved(self, thread_id: str) -> int:
        """How often a thread was seen to have changed."""
        with self._lock:
            return self._moved.get(thread_id, 0)

    def end(self) -> None:
        """The server is about to end: wake every page, which ``ending`` says so."""
        self.ending = True
        self._ring()

    # -- looking --------------------------------------------------------------------------------------------------

    def look(self) -> bool:
        """Look at what changed since the last time; whether anything did."""
        with self._looking:
            few = self._look.few()
            changed = self._all() if few is None else self._some(*few)
            self._look.done()
            fresh: list[Change] = []
            try:
                for name in changed:
                    fresh.extend(self._changes(name))
            finally:  # numbered and kept in one: nobody sees a number whose change is not there
                with self._lock:
                    self._kept.extend(replace(change, n=self.last + i) for i, change in enumerate(fresh, 1))
                    self.last += len(fresh)
            self._version += bool(changed)
            return bool(changed)

    def catch_up(self) -> int:
        """The number of the newest change; where nobody has listened for a while, after a look."""
        with self._lock:
            idle = not self._listeners
        if idle:
            self.look()
        return self.last

    def _all(self) -> list[str]:
        found = self._look.all()
        if not self._known:  # the first time: what was written to since this server began
            changed = [name for name, told in found.items() if self._look.later(told)]
        else:
            changed = [name for name, told in found.items() if self._known.get(name) != told]
        self._known = dict(found)
        return changed

    def _some(self, names: set[str], gone: set[str]) -> list[str]:
        changed = []
        for name in names:
            told = self._look.signature(name)
            if told and self._known.get(name) != told:
                self._known[name] = told
                changed.append(name)
        for name in gone:
            self._known.pop(name, None)
        return changed + sorted(gone)

    def _changes(self, name: str) -> Iterator[Change]:
        """What is new of the reviews of one thread."""
        index = self.workspace.parts.index
        try:
            thread_id = self._look.thread_id(name)
        except (DojangError, OSError):
            return  # deleted, or not there yet
        index.refresh(thread_id)
        with self._lock:
            self._moved[thread_id] = self._moved.pop(thread_id, 0) + 1
            while len(self._moved) > REMEMBERED:
                del self._moved[next(iter(self._moved))]
        for one in index.find(Wanted(thread_id=thread_id, status="any", sort="newest"), limit=MANY):
            review, progress = one["review"], one["progress"]
            known, gist, decision = self._told.get(review["id"]), _gist(progress), progress["decision"]
            fresh = known is None and decision is None and review["created_at"] >= self._begun
            old = decision["at"] < self._begun if decision is not None else gist == NOTHING and not fresh
            if known == gist or (known is None and old):
                continue
            self._told[review["id"]] = gist
            while len(self._told) > REMEMBERED:
                del self._told[next(iter(self._told))]
            yield Change(0, review, progress, fresh, decision is not None)

    # -- the thread -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._wake:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="dojang-live", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        rounds = 0
        while self._listened():
            try:
                if rounds * LOOK_S >= ALL_S and not self._look.exact:
                    self._look.names, rounds = None, 0
                if self.look():
                    self._ring()
            except (DojangError, OSError) as error:
                log.warning("what changed cannot be told: %s", error)
            except Exception:
                log.exception("what changed cannot be told")
            rounds += 1
            with self._wake:
                self._wake.wait(LOOK_S)

    def _listened(self) -> bool:
        with self._wake, self._lock:
            if self._listeners:
                return True
            self._thread = None
            return False

    def _ring(self) -> None:
        with self._lock:
            listeners = list(self._listeners.items())
        for woken, loop in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)


def _gist(progress: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of a review's progress what pages are told: votes, claim, whose it is, decision."""
    claim, handed, decision = progress["claim"], progress.get("assigned"), progress["decision"]
    return (
        len(progress["votes"]),
        (claim["by"], claim["until"]) if claim else None,
        handed["role"] if handed else "",
        (decision["type"], decision["by"], decision["at"]) if decision else None,
    )
