"""One thread's checkpoints: an index over its log, and how a checkpoint or a write goes into it and comes out of it.

Knows nothing of LangGraph's config dicts (``saver`` does). Reading the newest checkpoint starts at the last *mark*, a
record that says where each namespace's newest checkpoint is, and follows references from there; only listing and old
checkpoints need the whole log to be indexed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from langgraph.checkpoint.base import ChannelVersions, Checkpoint

from checkpoints.bulk import bulk
from checkpoints.codec import Decoder, Node, freeze
from checkpoints.copies import Items
from checkpoints.crypto import KeyRing
from checkpoints.errors import DamagedLog, DiskFault, UnknownType
from checkpoints.folders import open_file, read_at, rename_over, sync_dir, sync_file
from checkpoints.frames import ROOT, Damage, Entry, Record, checked, parse
from checkpoints.journal import Journal, Writer
from checkpoints.tables import Tables, from_checkpoint, from_record, to_record
from checkpoints.weave import Ref, Seen, Weave, unpack

MARK_EVERY = 64 * 1024
"""Bytes of log between marks: what a cold reader scans at most, beside what the state itself refers to."""

KNOWN_MAX = 20_000
"""Bodies that a process can recognise in one thread; older ones are written again when they come back."""

RECENT = 256
"""Of a list that was read from disk, this many last messages are recognised when they move."""

SEEN_MAX = 8
"""Namespaces whose newest values are kept in memory."""

_BLOCK = 64 * 1024
_MARK = b'"k":"mark"'
_MARK_AT = 36  # where "k" stands in a line: after crc and prev

T = TypeVar("T")
Key = tuple[str, str]
"""(namespace, checkpoint id)."""


class CheckpointLog(Journal):
    """A journal whose first look begins at its last mark."""

    def __init__(self, path: Path, *, sync: bool, keys: KeyRing | None = None, thread: str = "") -> None:
        super().__init__(path, kind="checkpoints", sync=sync, keys=keys, thread=thread)
        self.whole = False  # look at everything next time

    def first(self, fd: int, size: int) -> tuple[int, str]:
        """The last mark, or the beginning where there is none."""
        reach = _BLOCK
        while not self.whole and size:
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
        self.whole = False
        return 0, ROOT


class View:
    """Random access to the records of one open file, a block at a time; every record is checked."""

    def __init__(self, log: Journal, fd: int) -> None:
        self.path = log.path
        self.fd = fd
        self._open = log.opener(fd)
        self._blocks: dict[int, bytes] = {}
        self._records: dict[int, Record] = {}
        self.depths: dict[Ref, int] = {}
        self._lists: dict[Ref, list[Node]] = {}

    def record(self, offset: int) -> Record:
        """The record at an offset that another record named."""
        if (record := self._records.get(offset)) is None:
            try:
                record = self._records[offset] = self._open(parse(self._line(offset), offset), offset)
            except Damage as e:
                raise DamagedLog(self.path, e.offset, e.what) from None
        return record

    def body(self, offset: int, n: int) -> Node:
        """The node behind a reference; list differences are followed to their beginning."""
        node = self.record(offset)["b"][n]
        if type(node) is not dict or node.get("$") != "list":
            return node
        asked, steps = (offset, n), []
        if asked in self._lists:
            return self._lists[asked]
        while type(node) is dict and "of" in node:
            steps.append((node["keep"], _placed(node["add"], offset)))
            offset, n = node["of"][0] or offset, node["of"][1]
            node = self.record(offset)["b"][n]
        if type(node) is dict:
            items = unpack(node) + _placed(node["add"], offset)
        else:
            items = _placed(node, offset)
        for keep, add in reversed(steps):
            del items[keep:]
            items.extend(add)
        self.depths[asked] = len(steps)
        self._lists[asked] = items
        return items

    def close(self) -> None:
        """Forget the file; what was read of it can still be asked for."""
        self.fd = -1
        self._blocks.clear()

    def _line(self, offset: int) -> bytes:
        index, at = divmod(offset, _BLOCK)
        block = self._block(index)
        if (end := block.find(b"\n", at)) >= 0:
            return block[at:end]
        parts = [block[at:]]
        while block := self._block(index := index + 1):
            end = block.find(b"\n")
            parts.append(block if end < 0 else block[:end])
            if end >= 0:
                break
        return b"".join(parts)

    def _block(self, index: int) -> bytes:
        if (block := self._blocks.get(index)) is None:
            block = self._blocks[index] = read_at(self.fd, _BLOCK, index * _BLOCK)
        return block


def _placed(node: Node, offset: int) -> Node:
    """A node with its own-record references made absolute, so that it can move between records."""
    kind = type(node)
    if kind is dict:
        tag = node.get("$")
        if type(tag) is list:
            return node if tag[0] else {"$": [offset, tag[1]]}
        return {k: _placed(v, offset) for k, v in node.items()}
    return [_placed(n, offset) for n in node] if kind is list else node


@dataclass(slots=True)
class Unread:
    """A list that was handed out and is not yet remembered: most that are read once are never read or written again."""

    node: Node
    view: View  # closed; the records that the list needs are in its memory


class Session:
    """The checkpoints of one thread in one process."""

    def __init__(self, folder: Path, *, sync: bool = True, keys: KeyRing | None = None, thread: str = "") -> None:
        self.folder = folder
        self.log = CheckpointLog(folder / "checkpoints.jsonl", sync=sync, keys=keys, thread=thread)
        self.mutex = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self.complete = False  # every record is indexed
        self.cps: dict[str, dict[str, int]] = {}
        self.writes: dict[Key, list[int]] = {}
        self.tops: dict[str, str] = {}  # the greatest checkpoint id of each namespace that is indexed
        self.early: set[Key] = set()  # checkpoints that have writes but did not come yet
        self.heads: dict[str, int] = {}  # the last checkpoint record of each namespace, in file order
        self.covered: set[str] = set()  # namespaces whose newest checkpoint is known without the whole log
        self.touched: set[str] = set()  # namespaces with records since the last mark
        self.marked = 0  # offset of the last mark
        self.known: dict[bytes, Ref] = {}
        self.seen: dict[str, dict[str, Seen | Unread]] = {}  # newest values by namespace and channel
        self.tables: dict[int, Tables] = {}

    # index

    def _absorb(self, reset: bool, news: list[Entry]) -> None:
        if reset:
            self._forget()
            self.complete = not news or news[0].offset == 0
        for entry in news:
            self._index(entry.record, entry.offset)

    def _index(self, record: Record, offset: int) -> None:
        kind = record["k"]
        if kind == "cp":
            ns = record.get("ns", "")
            self._index_checkpoint(ns, record["id"], offset)
            self.heads[ns] = offset
            self.touched.add(ns)
        elif kind == "w":
            ns = record.get("ns", "")
            self.writes.setdefault((ns, record["cp"]), []).append(offset)
            if record["cp"] not in self.cps.get(ns, {}):
                self.early.add((ns, record["cp"]))
            self.touched.add(ns)
        elif kind == "mark":
            self.marked = offset
            self.touched.clear()
            if not self.complete:
                self._index_mark(record)

    def _index_checkpoint(self, ns: str, cp: str, offset: int) -> None:
        self.cps.setdefault(ns, {})[cp] = offset
        self.tops[ns] = max(cp, self.tops.get(ns, ""))
        self.early.discard((ns, cp))

    def _index_mark(self, record: Record) -> None:
        for ns, top, at, head, writes in record["tops"]:
            self._index_checkpoint(ns, top, at)
            self.heads[ns] = head
            self.covered.add(ns)
            known = self.writes.setdefault((ns, top), [])
            known[:0] = [w for w in writes if w not in known]
        for ns, cp, writes in record["early"]:
            known = self.writes.setdefault((ns, cp), [])
            known[:0] = [w for w in writes if w not in known]
            if cp not in self.cps.get(ns, {}):
                self.early.add((ns, cp))

    def _mark(self) -> Record:
        """What a cold reader must know of everything before this record."""
        tops = []
        for ns in sorted(self.touched | {""}):
            if found := self.cps.get(ns):
                top = self.tops[ns]
                tops.append([ns, top, found[top], self.heads[ns], self.writes.get((ns, top), [])])
        early = [[ns, cp, w] for ns, cp in sorted(self.early) if (w := self.writes.get((ns, cp)))]
        return {"k": "mark", "tops": tops, "early": early}

    # reading

    @contextmanager
    def view(self, *, whole: bool = False) -> Iterator[View | None]:
        """The log with its news indexed; None where there is no log. ``whole``: index all of it."""
        with self.mutex:
            try:
                fd = open_file(self.log.path, os.O_RDONLY)
            except FileNotFoundError:
                self._forget()
                self.log._tail.gen = ""
                yield None
                return
            view = View(self.log, fd)
            try:
                self._look(fd, whole=whole)
                yield view
            finally:
                view.close()
                os.close(fd)

    def _look(self, fd: int, *, whole: bool) -> None:
        reset, news, _ = self.log.refresh(fd)
        self._absorb(reset, news)
        if whole and not self.complete:
            self.log.whole = True
            self.log._stale = True
            keep = self.known, self.seen
            reset, news, _ = self.log.refresh(fd)
            self.log.whole = False
            self._absorb(reset, news)
            self.known, self.seen = keep

    def newest(self, ns: str) -> str | None:
        """The newest checkpoint id that the index knows of; complete only if ``ns`` is covered or all is indexed."""
        return self.tops.get(ns)

    def read(self, ns: str, cp: str | None, use: Callable[[View, Tables, list[int]], T]) -> T | None:
        """Call ``use`` with a checkpoint's tables and its writes' offsets; None if there is no such checkpoint."""
        with self.view() as view:
            if view is None:
                return None
            if cp is None and (self.complete or ns in self.covered):
                cp = self.newest(ns)
            elif cp is None or cp not in self.cps.get(ns, {}):
                if not self.complete:
                    self._look(view.fd, whole=True)
                cp = self.newest(ns) if cp is None else cp
            if cp is None or cp not in self.cps.get(ns, {}):
                return None
            with bulk():
                return use(view, self.tables_at(view, self.cps[ns][cp]), self.writes.get((ns, cp), []))

    def tables_at(self, view: View, offset: int) -> Tables:
        """The tables of the checkpoint record at an offset."""
        chain: list[tuple[int, Record]] = []
        at: int | None = offset
        base: Tables | None = None
        while at is not None and (base := self.tables.get(at)) is None:
            record = view.record(at)
            chain.append((at, record))
            at = record.get("base")
        for at, record in reversed(chain):
            base = from_record(record, at, base)
        if base is None:
            raise AssertionError("a checkpoint record always yields tables")
        while len(self.tables) >= 64:
            del self.tables[next(iter(self.tables))]
        self.tables[offset] = base
        return base

    def values(self, view: View, tables: Tables) -> dict[str, Any]:
        """The decoded channel values of a checkpoint, fresh. Those of a namespace's newest are remembered."""
        warm = self.seen.get(tables.ns, {})
        newest = self.newest(tables.ns) == tables.id
        decoder = Decoder(view.body)
        found: dict[str, Any] = {}
        seen: dict[str, Seen | Unread] = {}
        for channel, entry in tables.entries.items():
            if len(entry) < 2:
                continue
            node = entry[1]
            known = warm.get(channel)
            if known is not None and type(node) is dict and known.node == node:
                known = self._remembered(known)
                found[channel] = known.fresh()
                seen[channel] = known
                continue
            value = found[channel] = decoder.decode(node, tables.offset)
            if newest and type(value) is list and value and type(node) is dict:
                seen[channel] = Unread(node, view)
            elif newest:
                seen[channel] = Seen(node, freeze(value))
        if newest:
            self._keep_seen(tables.ns, seen)
        return found

    def _remembered(self, known: Seen | Unread) -> Seen:
        """What is known of a value; of one that was only handed out, from what was read then."""
        if isinstance(known, Seen):
            return known
        view, node = known.view, known.node
        value = Decoder(view.body).decode(node)
        offset, n = node["$"]
        refs: list[Ref] | None = []
        for item in view.body(offset, n):
            tag = item.get("$") if type(item) is dict else None
            if type(tag) is not list:
                refs = None
                break
            if refs is not None:
                refs.append((tag[0] or offset, tag[1]))
        if refs:
            for item, ref in zip(value[-RECENT:], refs[-RECENT:], strict=True):
                self.known[blake2b(freeze(item), digest_size=16).digest()] = ref
        return Seen(node, Items(value), view.depths.get((offset, n), 0), refs)

    def _keep_seen(self, ns: str, seen: dict[str, Seen | Unread]) -> None:
        self.seen.pop(ns, None)
        self.seen[ns] = seen
        while len(self.seen) > SEEN_MAX:
            del self.seen[next(iter(self.seen))]

    def pending(self, view: View, offsets: Sequence[int]) -> list[tuple[str, str, Any]]:
        """The writes of a checkpoint as (task id, channel, value), in the order (task path, task id, index)."""
        found: dict[tuple[str, int], tuple[str, str, Node, int]] = {}
        for offset in offsets:
            record = view.record(offset)
            for idx, channel, node in record["w"]:
                key = (record["task"], idx)
                if idx < 0 or key not in found:
                    found[key] = (record.get("path", ""), channel, node, offset)
        decoder = Decoder(view.body)
        ordered = sorted(found.items(), key=lambda kv: (kv[1][0], *kv[0]))
        return [(task, channel, decoder.decode(node, at)) for (task, _), (_, channel, node, at) in ordered]

    # writing

    def put(
        self, ns: str, up: str | None, checkpoint: Checkpoint, metadata: dict[str, Any], new_versions: ChannelVersions
    ) -> None:
        """Append a checkpoint; durable on return. The same id again replaces the earlier one."""
        with self.log.locked(), self.mutex, self._writer() as (writer, view):
            weave = Weave(self.known)
            old = {c: self._remembered(known) for c, known in self.seen.get(ns, {}).items()}
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
                    entries[channel] = [version, self._weave(weave, channel, values[channel], old, seen)]
                else:
                    entries[channel] = [version]
            for channel in values.keys() - entries.keys():
                entries[channel] = [None, self._weave(weave, channel, values[channel], old, seen)]
            head = self.tables_at(view, self.heads[ns]) if ns in self.heads else None
            tables = from_checkpoint(ns, up, checkpoint, metadata, entries)
            record = to_record(tables, head)
            offset = self._append(writer, view, record, weave)
            for s in seen.values():
                s.settle(offset)
            self._keep_seen(ns, {**seen})
            self.tables[offset] = from_record({"b": weave.bodies, **record}, offset, head if "base" in record else None)
        writer.wait()

    def _weave(self, weave: Weave, channel: str, value: Any, old: dict[str, Seen], seen: dict[str, Seen]) -> Node:
        try:
            result = weave.channel(value, old.get(channel))
        except UnknownType as e:
            raise UnknownType(f"channel {channel!r}: {e}") from None
        seen[channel] = result
        return result.node

    def _parent(self, view: View, ns: str, up: str | None) -> Tables | None:
        if up is None:
            return None
        if up not in self.cps.get(ns, {}) and not self.complete:
            self._look(view.fd, whole=True)
        at = self.cps.get(ns, {}).get(up)
        return None if at is None else self.tables_at(view, at)

    def put_writes(self, ns: str, cp: str, writes: Sequence[tuple[int, str, Any]], task: str, path: str) -> None:
        """Append a task's writes (index, channel, value); durable on return. They may come before their checkpoint."""
        with self.log.locked(), self.mutex, self._writer() as (writer, view):
            weave = Weave(self.known)
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
            self._append(writer, view, record, weave)
        writer.wait()

    @contextmanager
    def _writer(self) -> Iterator[tuple[Writer, View]]:
        writer = Writer(self.log)
        try:
            self._absorb(writer.reset, writer.news)
            yield writer, View(self.log, writer.fd)
        finally:
            writer.close()

    def _append(self, writer: Writer, view: View, record: Record, weave: Weave) -> int:
        if weave.bodies:
            record["b"] = weave.bodies
        records = [record]
        if self.log._tail.end - self.marked >= MARK_EVERY:
            if not self.complete and not self.touched <= self.covered:
                self._look(view.fd, whole=True)
            records.insert(0, self._mark())
        offsets = writer.write(records)
        for r, at in zip(records, offsets, strict=True):
            self._index(r, at)
        offset = offsets[-1]
        self.known.update((key, (offset, n)) for key, n in weave.added.items())
        if len(self.known) > KNOWN_MAX:  # many at once: finding a dict's first key is slow after deletions
            for key in list(islice(self.known, KNOWN_MAX // 10)):
                del self.known[key]
        return offset

    # rewriting

    def rebuild(self, keep: Callable[[Key], bool]) -> None:
        """Rewrite the log with the checkpoints that ``keep`` wants, and their writes. Readers never wait."""
        with self.log.locked(), self.view(whole=True) as view:
            if view is None:
                return
            for left_over in self.folder.glob(".rebuild-*"):  # by a writer that was killed; we hold the lock
                shutil.rmtree(left_over, ignore_errors=True)
            temp = self.folder / f".rebuild-{secrets.token_hex(4)}"
            temp.mkdir(mode=0o700)
            try:
                fresh = Session(temp, sync=False, keys=self.log.keys, thread=self.log.thread)
                self._replay(view, fresh, keep)
                fresh.seal()
                rename_over(fresh.log.path, self.log.path)
                sync_dir(self.folder)
            except OSError as e:
                raise DiskFault(f"cannot rewrite {self.log.path}: {e.strerror}; nothing was changed") from e
            finally:
                shutil.rmtree(temp, ignore_errors=True)

    def seal(self) -> None:
        """Make a log that was written without fsync durable, and be sure that it exists."""
        with self.log.writing() as writer:
            sync_file(writer.fd)

    def copy_to(self, target: Session) -> None:
        """Append every checkpoint and write to another thread's log."""
        with self.view(whole=True) as view:
            if view is not None:
                self._replay(view, target, lambda key: True)

    def _replay(self, view: View, target: Session, keep: Callable[[Key], bool]) -> None:
        current = {at for found in self.cps.values() for at in found.values()}
        early = {at for (ns, cp), offsets in self.writes.items() if cp not in self.cps.get(ns, {}) for at in offsets}
        decode = Decoder(view.body).decode
        for at in sorted(current.union(*self.writes.values())):
            record = view.record(at)
            ns = record.get("ns", "")
            if at in current and keep((ns, record["id"])):
                tables = self.tables_at(view, at)
                meta = {k: decode(v) for k, v in tables.meta.items()}
                checkpoint = tables.checkpoint(self.values(view, tables))
                target.put(ns, tables.up, checkpoint, meta, checkpoint["channel_versions"])
            elif at not in current and (at in early or keep((ns, record["cp"]))):
                writes = [(idx, channel, decode(node, at)) for idx, channel, node in record["w"]]
                target.put_writes(ns, record["cp"], writes, record["task"], record.get("path", ""))
