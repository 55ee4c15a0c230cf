"""The checkpoints of one thread or of many, newest first.

A thread's log is opened when its newest checkpoint (``heads``) is next, and read once: a list with a limit opens as
many logs as it has results. What is added to a thread after the list began is left out; a log that was rewritten
since is asked again. Bounded in open files and in the records that are kept in memory.
"""

from __future__ import annotations

import heapq
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import SAFE_OPEN, ThreadFolders
from checkpoints.files.frames import ROOT, Damage
from checkpoints.files.journal import Journal, gen_of
from checkpoints.log.heads import LOG, Head
from checkpoints.log.positions import Key, Positions
from checkpoints.log.session import Session
from checkpoints.log.tables import Tables
from checkpoints.log.view import View
from state import DojangError

OPEN_MAX = 32
"""Logs that one list holds open."""

SMALL = 256 * 1024
"""A log of at most so many bytes is read in one go."""

KEPT_BYTES = 32 * 1024 * 1024
"""Size of the logs whose records one list keeps in memory."""

NEWEST = chr(0x10FFFF)
"""Not less than any checkpoint id: as a head, all of the thread is listed."""


class Found(NamedTuple):
    """One checkpoint and all that it takes to decode it, until the next one is asked for."""

    thread_id: str
    view: View
    tables: Tables
    writes: list[int]


class _Read(NamedTuple):
    """A log as it was when it was looked at."""

    gen: str
    where: Positions
    view: View


@dataclass
class Logs:
    """The checkpoint logs of one directory."""

    folders: ThreadFolders
    keys: KeyRing | None
    session: Callable[[Path], Session]

    def __post_init__(self) -> None:
        self._plain = self._log("-")  # reads any file that is not sealed

    def _log(self, name: str) -> Journal:
        return Journal(self.folders.root / name / LOG, kind="checkpoints", keys=self.keys, thread=name)

    def small(self, name: str) -> _Read | None:
        """All of the log in a folder; None where it is large, gone or not whole: the session says which."""
        path = f"{self.folders.root}/{name}/{LOG}"
        try:
            fd = os.open(path, SAFE_OPEN | os.O_RDONLY)
        except OSError:
            return None
        try:
            size = os.fstat(fd).st_size
            data = os.read(fd, size) if size <= SMALL else b""
        except OSError:
            return None
        finally:
            os.close(fd)
        log = self._plain if self.keys is None else self._log(name)
        gen = gen_of(data)
        try:
            entries = list(log.opened(data, 0, ROOT, gen))
        except (Damage, DojangError):
            return None
        if not entries:
            return None
        where, view = Positions(complete=True), View(log, -1, path=path)
        for entry in entries:
            where.add(entry.record, entry.offset)
        view.seed(entries)
        return _Read(gen, where, view)

    def large(self, name: str) -> _Read | None:
        """A log through its session, with a file of its own to read from; None where it is gone."""
        session = self.session(self.folders.root / name)
        with session.view(whole=True) as view:
            if view is None:
                return None
            if not (view.complete and view.size <= KEPT_BYTES):
                view = View(session.log, os.dup(view.fd))
                view.bounded = True
            return _Read(session.log.gen, session.where, view)


class _Log:
    """One thread of a list, in a queue by what it hands out next."""

    __slots__ = ("gen", "head", "key", "places", "todo")

    def __init__(self, head: Head, read: _Read, wanted: Callable[[str, str], bool]) -> None:
        self.head = head
        self.look(read)
        self.todo = sorted((cp, ns) for ns, cp in self.places if cp <= head.newest and wanted(ns, cp))
        self.key = ("", "", "")

    def look(self, read: _Read) -> None:
        """Where its records are."""
        where = read.where
        self.gen = read.gen
        self.places: dict[Key, tuple[int, list[int]]] = {
            (ns, cp): (at, list(where.writes.get((ns, cp), ())))
            for ns, cps in where.cps.items()
            for cp, at in cps.items()
        }

    def __lt__(self, other: _Log) -> bool:
        return self.key > other.key  # newest first


class Listing:
    """``begin``, then iterate once. A context manager: it holds files open."""

    def __init__(
        self, logs: Logs, wanted: Callable[[str, str], bool], matches: Callable[[Tables], bool] | None
    ) -> None:
        """``wanted`` is asked of each (namespace, checkpoint id), ``matches`` (None: all do) of those that are."""
        self._logs = logs
        self._wanted = wanted
        self._matches = matches
        self._heads: list[Head] = []
        self._many = True
        self._queue: list[_Log] = []
        self._kept: OrderedDict[str, _Read] = OrderedDict()  # all of whose records are in memory
        self._kept_bytes = 0
        self._open: OrderedDict[str, _Read] = OrderedDict()  # with an open file

    def begin(self, heads: Iterable[Head]) -> None:
        """List these threads; of each, what is not newer than its head."""
        self._heads = sorted(heads)
        self._many = len(self._heads) > 1  # of one, the session may know already where everything is

    def derive(self, name: str) -> Head:
        """The head of the thread in a folder, from its files. What was read for it is at hand for the list."""
        thread_id = self._logs.folders.thread_id(self._logs.folders.root / name)
        read = self._read(name)
        if read is None:
            raise FileNotFoundError(name)
        return Head(max(read.where.tops.values(), default=""), thread_id, name)

    def __iter__(self) -> Iterator[Found]:
        """Newest checkpoint id first."""
        while (log := self._next()) is not None:
            cp, ns = log.todo.pop()
            view = self._view(log)
            if view is not None and (place := log.places.get((ns, cp))) is not None:
                tables = view.tables(place[0])
                if self._matches is None or self._matches(tables):
                    yield Found(log.head.thread_id, view, tables, place[1])
            self._enqueue(log)

    def _next(self) -> _Log | None:
        """The log that has the newest checkpoint of all that are left."""
        while self._heads and (not self._queue or self._heads[-1].newest >= self._queue[0].key[0]):
            head = self._heads.pop()
            if (read := self._read(head.folder)) is not None:
                self._enqueue(_Log(head, read, self._wanted))
        return heapq.heappop(self._queue) if self._queue else None

    def _enqueue(self, log: _Log) -> None:
        if log.todo:
            cp, ns = log.todo[-1]
            log.key = (cp, log.head.thread_id, ns)
            heapq.heappush(self._queue, log)
        else:
            self._forget(log.head.folder)

    def _view(self, log: _Log) -> View | None:
        """The log to read from; None where it is gone. Where it was rewritten, its places are those of now."""
        read = self._read(log.head.folder)
        if read is not None and read.gen != log.gen:
            log.look(read)
        return None if read is None else read.view

    def _read(self, name: str) -> _Read | None:
        if (read := self._kept.get(name) or self._open.get(name)) is not None:
            return read
        read = (self._logs.small(name) if self._many else None) or self._logs.large(name)
        if read is None:
            return None
        if read.view.complete:
            self._kept[name] = read
            self._kept_bytes += read.view.size
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                self._forget(next(iter(self._kept)))
        else:
            self._open[name] = read
            while len(self._open) > OPEN_MAX:
                self._forget(next(iter(self._open)))
        return read

    def _forget(self, name: str) -> None:
        if (read := self._kept.pop(name, None)) is not None:
            self._kept_bytes -= read.view.size
        if (read := self._open.pop(name, None)) is not None:
            os.close(read.view.fd)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None) -> None:
        for name in list(self._open):
            self._forget(name)
