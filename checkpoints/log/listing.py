"""The checkpoints of one thread or of many, newest first.

A thread's log is opened when its newest checkpoint (``heads``) is next, and read once: a list with a limit opens as
many logs as it has results, and none whose checkpoints are at hand (``whole``). What is added to a thread after the
list began is left out; a log that was rewritten since is asked again. Bounded in open files and in the records that
are kept in memory.
"""

from __future__ import annotations

import heapq
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import LOG, SAFE_OPEN, ThreadFolders
from checkpoints.files.frames import ROOT, Damage
from checkpoints.files.journal import Journal, gen_of
from checkpoints.log.heads import Head, Proof, proof_of
from checkpoints.log.positions import Key, Positions
from checkpoints.log.session import Session
from checkpoints.log.view import View
from checkpoints.log.whole import Rows, ThreadRows, Whole, metadata_of, whole
from state import DojangError

OPEN_MAX = 32
"""Logs that one list holds open."""

SMALL = 256 * 1024
"""A log of at most so many bytes is read in one go."""

KEPT_BYTES = 32 * 1024 * 1024
"""Size of the logs whose records one list keeps in memory."""

NEWEST = chr(0x10FFFF)
"""Not less than any checkpoint id: as a head, all of the thread is listed."""


class _Read(NamedTuple):
    """A log as it was when it was looked at."""

    gen: str
    where: Positions
    view: View
    proof: Proof | None = None  # of what was read; None: a session read it


@dataclass
class Logs:
    """The checkpoint logs of one directory."""

    folders: ThreadFolders
    keys: KeyRing | None
    session: Callable[[Path], Session]

    def __post_init__(self) -> None:
        self._plain = self._log("-")  # reads any file that is not sealed
        self.rows = Rows()

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
            found = os.fstat(fd)
            data = os.read(fd, found.st_size) if found.st_size <= SMALL else b""
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
        return _Read(gen, where, view, proof_of(found))

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

    __slots__ = ("gen", "head", "kept", "key", "places", "todo")

    def __init__(self, head: Head, kept: ThreadRows | None) -> None:
        self.head = head
        self.kept = kept
        self.gen = ""
        self.places: dict[Key, tuple[int, list[int]]] = {}
        self.todo: list[Key] = []  # (checkpoint id, namespace); the next one last
        self.key = ("", "", "")

    def look(self, read: _Read) -> None:
        """Where its records are."""
        where = read.where
        self.gen = read.gen
        self.places = {
            (cp, ns): (at, list(where.writes.get((ns, cp), ())))
            for ns, cps in where.cps.items()
            for cp, at in cps.items()
        }

    def __lt__(self, other: _Log) -> bool:
        return self.key > other.key  # newest first


class Listing:
    """``begin``, then iterate once. A context manager: it holds files open."""

    def __init__(
        self, logs: Logs, wanted: Callable[[Key], bool] | None, matches: Callable[[dict[str, Any]], bool] | None
    ) -> None:
        """``wanted`` is asked of each (checkpoint id, namespace), ``matches`` of its metadata; None: all are."""
        self._logs = logs
        self._wanted = wanted
        self._matches = matches
        self._heads: list[Head] = []
        self._many = True
        self._queue: list[_Log] = []
        self._kept: OrderedDict[str, _Read] = OrderedDict()  # all of whose records are in memory
        self._kept_bytes = 0
        self._open: OrderedDict[str, _Read] = OrderedDict()  # with an open file

    def begin(self, heads: Sequence[Head], *, many: bool = True) -> None:
        """List these threads, oldest first; of each, what is not newer than its head.

        Of one alone, the session may know already where everything is.
        """
        self._heads = list(heads)
        self._many = many

    def derive(self, name: str) -> Head:
        """The head of the thread in a folder, from its files. What was read for it is at hand for the list."""
        self._logs.rows.drop(name)
        thread_id = self._logs.folders.thread_id(self._logs.folders.root / name)
        read = self._read(name)
        if read is None:
            raise FileNotFoundError(name)
        cps = read.where.cps.values()
        newest = max(read.where.tops.values(), default="")
        return Head(newest, thread_id, name, min(map(min, cps), default="") if len(cps) else "")

    def __iter__(self) -> Iterator[tuple[str, Whole]]:
        """(thread id, checkpoint), newest checkpoint id first."""
        while (log := self._next()) is not None:
            while True:
                if (found := self._found(log, log.todo.pop())) is not None:
                    yield log.head.thread_id, found
                if not self._goes_on(log):
                    break

    def _found(self, log: _Log, key: Key) -> Whole | None:
        """A checkpoint, if it is there and matches."""
        matches = self._matches
        if log.kept is not None and (row := log.kept.rows.get(key)) is not None:
            if matches is not None and not matches(row.metadata):
                return None
            if (thawed := row.thawed()) is not None:
                return thawed
        view = self._view(log)
        if view is None or (place := log.places.get(key)) is None:
            return None
        tables = view.tables(place[0])
        metadata, found = metadata_of(tables), None
        if matches is None or matches(metadata):
            found = whole(view, tables, metadata, place[1])
        if log.kept is not None:
            self._logs.rows.add(log.kept, key, metadata, found)
        return found

    def _goes_on(self, log: _Log) -> bool:
        """Whether the log has the newest checkpoint of all still; if not, it waits in the queue, or is done."""
        if not log.todo:
            self._forget(log.head.folder)
            return False
        cp, ns = log.todo[-1]
        log.key = (cp, log.head.thread_id, ns)
        if self._is_next(log):
            return True
        heapq.heappush(self._queue, log)
        return False

    def _is_next(self, log: _Log) -> bool:
        heads, queue = self._heads, self._queue
        return (not queue or log.key > queue[0].key) and (not heads or log.key[0] > heads[-1].newest)

    def _next(self) -> _Log | None:
        """The log that has the newest checkpoint of all that are left."""
        while self._heads and (not self._queue or self._heads[-1].newest >= self._queue[0].key[0]):
            log = self._log(self._heads.pop())
            if log is not None and self._goes_on(log):
                return log
        return heapq.heappop(self._queue) if self._queue else None

    def _log(self, head: Head) -> _Log | None:
        """A thread's checkpoints that are to be listed; None where the log is gone."""
        rows, wanted = self._logs.rows, self._wanted
        if (kept := rows.of(head.folder, head.proof)) is not None:
            log, keys = _Log(head, kept), kept.keys
        else:
            read = self._read(head.folder)
            if read is None:
                return None
            keys = sorted((cp, ns) for ns, cps in read.where.cps.items() for cp in cps if cp <= head.newest)
            if self._many and read.proof == head.proof is not None:
                kept = rows.begin(head.folder, head.proof, keys)
            log = _Log(head, kept)
            log.look(read)
        log.todo = keys.copy() if wanted is None else list(filter(wanted, keys))
        return log

    def _view(self, log: _Log) -> View | None:
        """The log to read from; None where it is gone. Where it was rewritten, its places are those of now."""
        read = self._read(log.head.folder)
        if read is None:
            return None
        if log.kept is not None and log.kept.proof != read.proof:
            log.kept = None
        if read.gen != log.gen:
            log.look(read)
        return read.view

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
