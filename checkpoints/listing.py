"""The checkpoints of one thread or of many, newest first, each log read once.

First every log is indexed and what the filter asks for is looked at, then the checkpoints are handed out. Each is as
it was when the list began; a log that was rewritten since is asked again. Bounded in open files and in memory.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from checkpoints.positions import Key
from checkpoints.session import Session
from checkpoints.tables import Tables
from checkpoints.view import View

OPEN_MAX = 32
"""Logs that one list holds open."""

KEPT_BYTES = 32 * 1024 * 1024
"""Size of the logs whose records one list keeps in memory, so that they need not be opened again."""


@dataclass(slots=True)
class _Log:
    """One thread's log, as it was when it was looked at."""

    thread_id: str
    session: Session
    gen: str
    places: dict[Key, tuple[int, list[int]]]  # offset of the checkpoint, offsets of its writes
    kept: View | None = None  # closed, with all of the log's records in its memory


@dataclass(slots=True)
class Found:
    """One checkpoint and all that it takes to decode it, until the next one is asked for."""

    thread_id: str
    view: View
    tables: Tables
    writes: list[int]


class Listing:
    """Add threads, then iterate. A context manager: it holds files open."""

    def __init__(self, wanted: Callable[[str, str], bool], matches: Callable[[Tables], bool] | None) -> None:
        """``wanted`` is asked of each (namespace, checkpoint id), ``matches`` (None: all do) of those that are."""
        self._wanted = wanted
        self._matches = matches
        self._found: list[tuple[str, str, str, _Log]] = []
        self._room = KEPT_BYTES
        self._open: OrderedDict[str, View] = OrderedDict()

    def add(self, thread_id: str, session: Session) -> None:
        """Index a thread's log; a missing one has nothing."""
        with session.view(whole=True) as view:
            if view is None:
                return
            log = _Log(thread_id, session, session.log.gen, _places(session))
            found = [
                (cp, thread_id, ns, log)
                for (ns, cp), (at, _) in log.places.items()
                if self._wanted(ns, cp) and (self._matches is None or self._matches(view.tables(at)))
            ]
            if found and view.complete and view.size <= self._room:
                self._room -= view.size
                log.kept = view
            self._found += found

    def __iter__(self) -> Iterator[Found]:
        """Newest checkpoint id first."""
        self._found.sort(key=lambda f: f[:3], reverse=True)
        for cp, thread_id, ns, log in self._found:
            view = log.kept or self._opened(log)
            if view is not None and (place := log.places.get((ns, cp))) is not None:
                yield Found(thread_id, view, view.tables(place[0]), place[1])

    def _opened(self, log: _Log) -> View | None:
        """The log, open; None where it was deleted meanwhile. Where it was rewritten, its places are those of now."""
        if (view := self._open.pop(log.thread_id, None)) is None:
            with log.session.view(whole=True) as now:
                if now is None:
                    return None
                if log.session.log.gen != log.gen:
                    log.gen, log.places = log.session.log.gen, _places(log.session)
                view = View(log.session.log, os.dup(now.fd))
                view.bounded = True
            while len(self._open) >= OPEN_MAX:
                os.close(self._open.popitem(last=False)[1].fd)
        self._open[log.thread_id] = view
        return view

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        for view in self._open.values():
            os.close(view.fd)
        self._open.clear()


def _places(session: Session) -> dict[Key, tuple[int, list[int]]]:
    where = session.where
    return {
        (ns, cp): (at, list(where.writes.get((ns, cp), ()))) for ns, cps in where.cps.items() for cp, at in cps.items()
    }
