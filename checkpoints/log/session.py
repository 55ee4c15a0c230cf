"""One thread's checkpoints in one process: reading them, and appending checkpoints and writes.

Knows nothing of LangGraph's config dicts (``saver`` does), of where records are (``positions``), how they are read
(``view``) or what is remembered of values (``memory``). Reading the newest checkpoint starts at the last *mark* and
follows references from there; only listing and old checkpoints need the whole log to be indexed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from langgraph.checkpoint.base import ChannelVersions, Checkpoint

from checkpoints.errors import UnknownType
from checkpoints.files.crypto import KeyRing
from checkpoints.files.folders import LOG, open_file, read_at, sync_dir, sync_file
from checkpoints.files.frames import ROOT, Entry, Record, checked
from checkpoints.files.journal import Journal, Writer, flush_file
from checkpoints.files.stamps import Stamp
from checkpoints.log.memory import Memory
from checkpoints.log.packing import Packer
from checkpoints.log.positions import Positions
from checkpoints.log.tables import Tables, from_checkpoint, from_record, to_record
from checkpoints.log.view import View
from checkpoints.values.bulk import bulk
from checkpoints.values.codec import Decoder
from checkpoints.values.refs import Node
from checkpoints.values.weave import Seen, Weave

MARK_EVERY = 16 * 1024
"""Bytes of log between marks: what a cold reader scans at most, beside what the state itself refers to."""

_BLOCK = 64 * 1024
_MARK = b'"k":"mark"'
_MARK_AT = 36  # where "k" stands in a line: after crc and prev

T = TypeVar("T")


class CheckpointLog(Journal):
    """A journal whose first look begins at its last mark."""

    def __init__(self, path: Path, *, sync: bool, keys: KeyRing | None = None, thread: str = "") -> None:
        super().__init__(path, kind="checkpoints", sync=sync, keys=keys, thread=thread)

    def first(self, fd: int, size: int) -> tuple[int, str]:
        """The last mark, or the beginning where there is none."""
        reach = _BLOCK
        while size > _BLOCK:
            start = max(0, size - reach)
            data = read_at(fd, size - start, start)
            at = len(data)
            while (at := data.rfind(_MARK, 0, at)) >= 0:
                line_at = at - _MARK_AT
                if line_at > 0 and data[line_at - 1] == 10:
                    line = data[line_at : data.find(b"\n", at)]
                    if checked(line):
                        return start + line_at, line[26:34].decode()
            if start == 0:
                break
            reach *= 4
        return 0, ROOT


class Session:
    """The checkpoints of one thread in one process. Safe to share between threads."""

    def __init__(self, folder: Path, *, sync: bool = True, keys: KeyRing | None = None, thread: str = "") -> None:
        self.folder = folder
        self.log = CheckpointLog(folder / LOG, sync=sync, keys=keys, thread=thread)
        self.mutex = threading.RLock()
        self.packer = Packer(self.log)
        self.stamp = Stamp(folder)
        self.loose = False  # what is put is seen at once, but on the disk at ``flush`` only
        self._gen = ""  # which writing of the file the memory is of
        self._forget()

    def _forget(self, *, complete: bool = False) -> None:
        self.where = Positions(complete=complete)
        self._memory = Memory()
        self._tables: dict[int, Tables] = {}

    def _absorb(self, reset: bool, news: list[Entry]) -> None:
        if reset:
            memory, moved = self._memory, self.packer.moved
            self._forget(complete=not news or news[0].offset == 0)
            if moved is not None and (moved.old_gen, moved.new_gen) == (self._gen, self.log.gen):
                memory.follow(moved)
                self._memory, self.packer.moved = memory, None
        self._gen = self.log.gen
        for entry in news:
            self.where.add(entry.record, entry.offset)

    # reading

    @contextmanager
    def view(self, *, whole: bool = False) -> Iterator[View | None]:
        """The log with its news indexed; None where there is no log. ``whole``: index all of it."""
        with self.mutex:
            try:
                fd = open_file(self.log.path, os.O_RDONLY)
            except FileNotFoundError:
                self._forget()
                self.log.forget()
                yield None
                return
            try:
                news = self._look(fd, whole=whole)
                view = View(self.log, fd, self._tables)
                view.seed(news)
                try:
                    yield view
                finally:
                    view.close()
            finally:
                os.close(fd)

    def _look(self, fd: int, *, whole: bool) -> list[Entry]:
        """Index what is new in the open file; the records that were read for it."""
        reset, news, _ = self.log.refresh(fd)
        self._absorb(reset, news)
        if whole and not self.where.complete:
            keep = self._memory, self._tables
            reset, news, _ = self.log.refresh(fd, whole=True)
            self._absorb(reset, news)
            self._memory, self._tables = keep
        return news

    def read(self, ns: str, cp: str | None, use: Callable[[View, Tables, list[int]], T]) -> T | None:
        """Call ``use`` with a checkpoint's tables and its writes' offsets; None if there is no such checkpoint."""
        with self.view() as view:
            if view is None:
                return None
            if cp is None and self.where.knows_newest(ns):
                cp = self.where.newest(ns)
            elif cp is None or cp not in self.where.cps.get(ns, {}):
                if not self.where.complete:
                    self._look(view.fd, whole=True)
                cp = self.where.newest(ns) if cp is None else cp
            if cp is None or cp not in self.where.cps.get(ns, {}):
                return None
            with bulk():
                return use(view, view.tables(self.where.cps[ns][cp]), self.where.writes.get((ns, cp), []))

    def values(self, view: View, tables: Tables) -> dict[str, Any]:
        """The decoded channel values of a checkpoint, fresh."""
        return self._memory.values(view, tables, newest=self.where.newest(tables.ns) == tables.id)

    # writing

    def put(
        self, ns: str, up: str | None, checkpoint: Checkpoint, metadata: dict[str, Any], new_versions: ChannelVersions
    ) -> None:
        """Append a checkpoint; durable on return. The same id again replaces the earlier one."""
        with self.log.locked(), self.mutex, self._writer() as (writer, view):
            weave = Weave(self._memory.known)
            old = self._before(ns, view)
            parent = self._parent(view, ns, up)
            entries: dict[str, list[Node]] = {}
            seen: dict[str, Seen] = {}
            values = checkpoint["channel_values"]
            for channel, version in checkpoint["channel_versions"].items():
                before = parent.entries.get(channel) if parent is not None else None
                if channel not in new_versions and before is not None and before[0] == version:
                    entries[channel] = before
                    if channel in old:
                        seen[channel] = old[channel]
                elif channel in values:
                    entries[channel] = [version, _woven(weave, channel, values[channel], old, seen)]
                else:
                    entries[channel] = [version]
            for channel in values.keys() - entries.keys():
                entries[channel] = [None, _woven(weave, channel, values[channel], old, seen)]
            head = view.tables(self.where.heads[ns]) if ns in self.where.heads else None
            tables = from_checkpoint(ns, up, checkpoint, metadata, entries)
            record = to_record(tables, head)
            offset = self._append(writer, record, weave)
            for s in seen.values():
                s.settle(offset)
            self._memory.keep(ns, {**seen})
            view.remember(from_record({"b": weave.bodies, **record}, offset, head if "base" in record else None))
        if not self.loose:
            writer.wait()
        self.packer.consider(self.where.packed, offset)

    def _before(self, ns: str, view: View) -> dict[str, Seen]:
        """What is remembered of the newest values, read again where nothing is: the file was rewritten meanwhile."""
        if not self._memory.has(ns) and (newest := self.where.newest(ns)) is not None:
            with bulk():
                self._memory.values(view, view.tables(self.where.cps[ns][newest]), newest=True)
        return self._memory.of(ns)

    def _parent(self, view: View, ns: str, up: str | None) -> Tables | None:
        if up is None:
            return None
        if up not in self.where.cps.get(ns, {}) and not self.where.complete:
            self._look(view.fd, whole=True)
        at = self.where.cps.get(ns, {}).get(up)
        return None if at is None else view.tables(at)

    def put_writes(self, ns: str, cp: str, writes: Sequence[tuple[int, str, Any]], task: str, path: str) -> None:
        """Append a task's writes (index, channel, value); durable on return. They may come before their checkpoint."""
        with self.log.locked(), self.mutex, self._writer() as (writer, _):
            weave = Weave(self._memory.known)
            nodes = []
            for idx, channel, value in writes:
                try:
                    nodes.append([idx, channel, weave.value(value)])
                except UnknownType as e:
                    raise UnknownType(f"write to {channel!r}: {e}") from None
            record: Record = {"k": "w", "cp": cp, "task": task}
            if ns:
                record["ns"] = ns
            if path:
                record["path"] = path
            record["w"] = nodes
            self._append(writer, record, weave)
        if not self.loose:
            writer.wait(linger=True)

    def flush(self) -> None:
        """Return when all that was put is on the disk, and note in the log that it is.

        The note is a mark. It is not waited for: without it, a hole that a power cut might have left is only looked
        for further back (``frames``).
        """
        if not self.log.gen:  # not looked at by this session: whatever lies there, somebody else wrote
            if self.log.sync:
                flush_file(self.folder / LOG)
            return
        if self.log.flush():
            with self.log.locked(), self.mutex, self._writer() as (writer, _):
                self.log.flush()  # once more, for what came meanwhile: a mark says that all before it is on the disk
                mark = self.where.mark()
                self.where.add(mark, *writer.write([mark], spare=True))
                self.stamp.press()

    @contextmanager
    def _writer(self) -> Iterator[tuple[Writer, View]]:
        writer = Writer(self.log)
        try:
            self._absorb(writer.reset, writer.news)
            yield writer, View(self.log, writer.fd, self._tables)
        finally:
            writer.close()

    def _append(self, writer: Writer, record: Record, weave: Weave) -> int:
        if weave.bodies:
            record["b"] = weave.bodies
        records, loose = [record], self.loose and self.log.sync
        if writer.end - self.where.marked >= MARK_EVERY:
            if loose:
                self.log.flush()  # a mark says that everything before it is on the disk
            records.insert(0, self.where.mark())
        offsets = writer.write(records, loose_from=self.log.synced_to() if loose else None)
        for r, at in zip(records, offsets, strict=True):
            self.where.add(r, at)
        self.stamp.press()
        self._memory.learn(weave.added, offsets[-1])
        return offsets[-1]

    def seal(self) -> None:
        """Make a thread that was written without fsync durable, and be sure that its log exists."""
        with self.log.writing() as writer:
            sync_file(writer.fd)
        with contextlib.suppress(FileNotFoundError):  # a log that is only passing has none
            fd = open_file(self.folder / "thread.json", os.O_RDWR)
            try:
                sync_file(fd)
            finally:
                os.close(fd)
        sync_dir(self.folder)


def pending(view: View, offsets: Sequence[int]) -> list[tuple[str, str, Any]]:
    """The writes of a checkpoint as (task id, channel, value), in the order (task path, task id, index)."""
    found: dict[tuple[str, int], tuple[str, str, Node, int]] = {}
    for offset in offsets:
        record = view.record(offset)
        for idx, channel, node in record["w"]:
            key = (record["task"], idx)
            if idx < 0 or key not in found:
                found[key] = (record.get("path", ""), channel, node, offset)
    decoder = Decoder(view)
    ordered = sorted(found.items(), key=lambda kv: (kv[1][0], *kv[0]))
    return [(task, channel, decoder.decode(node, at)) for (task, _), (_, channel, node, at) in ordered]


def _woven(weave: Weave, channel: str, value: Any, old: dict[str, Seen], seen: dict[str, Seen]) -> Node:
    try:
        result = weave.channel(value, old.get(channel))
    except UnknownType as e:
        raise UnknownType(f"channel {channel!r}: {e}") from None
    seen[channel] = result
    return result.node
