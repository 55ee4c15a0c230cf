"""How a packed checkpoint log is made from the old one. Writes lines; knows nothing of files, locks and threads.

A log grows by records that hold a message or two, and a cold reader of a long thread would parse thousands of them.
Here bodies (texts, messages, larger values) move out of the records at the log's end into a few large ``pack``
records, those of the newest state apart from those of the past, so that what is read together lies together. What was
packed before stays where it is, byte for byte but for the checksums that link the lines. References are put right;
nothing is doubled, decoded or dropped: the new file says what the old one said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

import orjson

from checkpoints.files.frames import ROOT, Entry, Record, frame, rechained
from checkpoints.files.journal import Journal, gen_of, header, new_gen, sealed
from checkpoints.log.positions import Positions
from checkpoints.log.tables import to_record
from checkpoints.log.view import View
from checkpoints.values.messages import MESSAGES
from checkpoints.values.refs import Listed, Moved, Node, Ref, is_ref, pack, unpack

PACK_BYTES = 128 * 1024
"""Content of one pack record: about what reading one old message costs."""

FLAT_MIN = 8
"""A newest list that is so many differences away from a full one is written as one difference from the one that was
the newest when the log was last packed,"""

FLAT_MAX = 12
"""or, when that is so far from a full one itself, in full."""


_MAKING = -1
"""The offset of the pack in the making, as long as it has none."""


class Unusual(Exception):
    """The log holds something that cannot be moved."""


class Moving:
    """Makes the new file: ``begin`` with the old one's bytes, ``more`` for what was appended since, ``finish``."""

    def __init__(self, log: Journal, source: int, write: Callable[[bytes], None]) -> None:
        """``source`` is the old file, open for reading; ``write`` takes what the new one is to hold."""
        self.log = log
        self.view = View(log, source)
        self.write = write
        self.read = 0  # of the old file
        self._crc, self._old_crc = ROOT, ROOT
        self._gen, self._old_gen = new_gen(), ""
        self._end = 0  # of the new file
        self._kept = 0  # from here on records are moved
        self._moved: dict[int, int] = {}  # offset of a record, before → now
        self._bodies: dict[Ref, Ref] = {}  # of a body
        self._live: set[Ref] = set()  # bodies of the newest state
        self._all_live = False
        self._inline: set[Ref] = set()  # texts that one message alone holds: they move into it
        self._flat: dict[Ref, tuple[Ref | None, int, Listed]] = {}  # newest lists: of which, first n, items
        self._depths: dict[Ref, int] = {}  # of them, and of lists that grew from them
        self._newest = -1  # the newest checkpoint's record: it is written in full
        self._pack: list[tuple[Ref, bytes]] = []  # the pack in the making: where its bodies were, and they
        self._size = 0  # of it
        self._waiting: list[Entry] = []  # records whose bodies are in it, or before it
        self._where = Positions()

    def begin(self, data: bytes, packed: int) -> None:
        """All that the old file has, of which ``packed`` bytes are packed."""
        self._old_gen = gen_of(data)
        self._kept = max(packed, data.find(b"\n") + 1)
        self._keep(data[: self._kept])
        entries = self._entries(data[self._kept :], self._kept)
        self.view.seed(entries)
        if packed and (not entries or entries[0].record.get("packed") != packed):
            raise Unusual("the packed part does not end where it should")
        self._where = Positions(complete=not packed)
        if packed:
            self._where.add(entries[0].record, packed)
        self._survey(entries)
        self._move(entries)

    def more(self, data: bytes) -> None:
        """What was appended to the old file since ``begin``; a torn tail is left out."""
        self._all_live = True
        entries = self._entries(data, self.read)
        self.view.seed(entries)
        self._move(entries)

    def finish(self) -> None:
        """Write the mark that says up to where all is packed."""
        self._line(self._where.mark(packed=self._end))

    def moved(self) -> Moved:
        """What became of every body."""
        return Moved(self._old_gen, self._gen, self._kept, self._bodies, self._depths)

    # reading

    def _entries(self, data: bytes, start: int) -> list[Entry]:
        entries = list(self.log.opened(data, start, self._old_crc, self._old_gen))
        self.read = entries[-1].end if entries else start
        self._old_crc = entries[-1].crc if entries else self._old_crc
        return entries

    def _survey(self, entries: list[Entry]) -> None:
        """Which bodies belong to the newest state, and which texts have one holder."""
        where = Positions(complete=True)
        for entry in entries:
            where.add(entry.record, entry.offset)
        if (top := where.newest("")) is not None and self._is_newest(top):
            self._newest = where.cps[""][top]
            for node in self.view.tables(self._newest).entries.values():
                self._reach(node, 0)
        held: Counter[Ref] = Counter()
        contents: set[Ref] = set()
        for entry in entries:
            if entry.record["k"] != "mark":
                held.update(_held(entry))
                for body in entry.record.get("b", ()):
                    if type(body) is dict and body.get("$") in MESSAGES and is_ref(body.get("content")):
                        offset, n = body["content"]["$"]
                        contents.add((offset or entry.offset, n))
        self._inline = {r for r in contents if held[r] == 1 and r[0] >= self._kept and _short(self._old(r))}

    def _is_newest(self, top: str) -> bool:
        known = self._where.newest("")
        return known is None or top >= known

    def _reach(self, node: Node, here: int) -> None:
        for ref in list(_refs(node, here)):
            if ref[0] < self._kept or ref in self._live:
                continue
            self._live.add(ref)
            body = self._old(ref)
            if _is_difference(body):
                items = self.view.body(*ref)
                if self.view.depths.get(ref, 0) >= FLAT_MIN and isinstance(items, Listed):
                    self._flat[ref] = (*self._base(body, items), items)
                self._reach(items, ref[0])
            else:
                self._reach(body, ref[0])

    def _base(self, body: Node, items: Listed) -> tuple[Ref | None, int]:
        """The packed list from which a newest one grew, if it is near to a full one, and how many items they share."""
        while type(body) is dict and "of" in body:
            offset, n = body["of"]
            if 0 < offset < self._kept:
                before = self.view.body(offset, n)
                if self.view.depths.get((offset, n), 0) >= FLAT_MAX or not isinstance(before, Listed):
                    break
                pairs = zip(before, items, strict=False)
                return (offset, n), next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(items)))
            body = self._old((offset, n)) if offset else None
        return None, 0

    def _old(self, ref: Ref) -> Node:
        return self.view.record(ref[0])["b"][ref[1]]

    # moving

    def _keep(self, data: bytes) -> None:
        """What is packed already, at its old offsets, under a new gen."""
        first = data.find(b"\n") + 1
        self._old_crc = next(iter(self.log.opened(data[:first], 0, ROOT, self._old_gen))).crc
        self._line(header(self.log, self._gen))
        if self._end != first:
            raise Unusual("the header has another length now")
        if self.log.keys is None:
            for lines, old, new in rechained(data[first:], first, self._old_crc, self._crc):
                self._old_crc, self._crc = old, new
                self._end += len(lines)
                self.write(lines)
            return
        for entry in self.log.opened(data[first:], first, self._old_crc, self._old_gen):
            if self._line(entry.record) != entry.offset:
                raise Unusual("a sealed record has another length now")
            self._old_crc = entry.crc

    def _move(self, entries: list[Entry]) -> None:
        """First the bodies of the newest state, then records, each after the pack of its bodies."""
        if self._all_live:
            for entry in entries:
                for ref in self._inline.intersection(_held(entry)):  # it has a second holder now
                    self._inline.discard(ref)
                    self._gather(ref, self._old(ref))
        for live in (True, False):
            for entry in entries:
                for n, body in enumerate(entry.record.get("b", ())):
                    ref = (entry.offset, n)
                    if (self._all_live or ref in self._live) == live and not (
                        ref in self._inline or _is_difference(body)
                    ):
                        self._gather(ref, body)
                if not live and entry.record["k"] != "mark":
                    self._hold(entry)
            self._flush()

    def _hold(self, entry: Entry) -> None:
        if entry.record["k"] not in ("cp", "w"):
            raise Unusual(f"a record of kind {entry.record['k']!r}")
        self._waiting.append(entry)
        if self._size >= PACK_BYTES:
            self._flush()

    def _gather(self, ref: Ref, body: Node) -> None:
        """Put a body into the pack in the making; a large one into a pack of its own."""
        text = orjson.dumps(self._translated(body, ref[0], _MAKING))
        if self._size and self._size + len(text) >= 2 * PACK_BYTES:
            self._flush()
            text = orjson.dumps(self._translated(body, ref[0], _MAKING))
        self._bodies[ref] = (_MAKING, len(self._pack))
        self._pack.append((ref, text))
        self._size += len(text)

    def _flush(self) -> None:
        """Write the pack in the making and the records that wait for it."""
        if self._pack:
            for n, (ref, _) in enumerate(self._pack):
                self._bodies[ref] = (self._end, n)
            self._line({"k": "pack", "b": [orjson.Fragment(text) for _, text in self._pack]})
            self._pack, self._size = [], 0
        for entry in self._waiting:
            self._moved[entry.offset] = self._end
            record = self._record(entry)
            self._where.add(record, self._line(record))
        self._waiting = []

    def _record(self, entry: Entry) -> Record:
        """A record at its new place, with the bodies that stay in it."""
        old, here = entry.record, entry.offset
        bodies = old.get("b", ())
        stay = [n for n in range(len(bodies)) if (here, n) not in self._bodies and (here, n) not in self._inline]
        for i, n in enumerate(stay):
            self._bodies[here, n] = (self._end, i)
        record = {k: v for k, v in old.items() if k != "b"}
        if here == self._newest:
            record = to_record(self.view.tables(here), None)
        for name in ("ch", "w"):
            if name in record:
                record[name] = self._translated(record[name], here, self._end)
        if (base := record.get("base", 0)) >= self._kept:
            record["base"] = self._moved[base]
        if stay:
            record["b"] = [self._stayed((here, n), bodies[n]) for n in stay]
        return record

    def _stayed(self, ref: Ref, body: Node) -> Node:
        if ref not in self._flat:
            offset, n = body.get("of", (0, -1)) if type(body) is dict else (0, -1)
            if (before := (offset or ref[0], n)) in self._depths:
                self._depths[ref] = self._depths[before] + 1
            return self._translated(body, ref[0], self._end)
        base, keep, items = self._flat[ref]
        self._depths[ref] = 0 if base is None else self.view.depths.get(base, 0) + 1
        refs = [self._new(r) for r in islice(items, keep, None)]
        if base is None:
            return {"$": "list", **pack(refs), "add": []}
        return {"$": "list", "of": list(base), "keep": keep, "add": [{"$": list(r)} for r in refs]}

    def _translated(self, node: Node, here: int, now: int) -> Node:
        """A node of the record that was at ``here`` and will be at ``now``."""
        kind = type(node)
        if kind is list:
            return [self._translated(v, here, now) for v in node]
        if kind is not dict:
            return node
        tag = node.get("$")
        if type(tag) is list:
            return self._referred((tag[0] or here, tag[1]), now)
        if tag in MESSAGES and is_ref(node.get("content")):
            offset, n = node["content"]["$"]
            if (text := (offset or here, n)) in self._inline:
                node = {**node, "content": self._old(text)}
        made = {k: self._translated(v, here, now) for k, v in node.items()}
        if tag == "list":
            if "of" in node:
                made["of"] = self._referred((node["of"][0] or here, node["of"][1]), now)["$"]
            else:
                made |= pack(map(self._new, unpack(node)))
        return made

    def _referred(self, ref: Ref, now: int) -> Node:
        offset, n = self._new(ref)
        return {"$": [0 if offset == now else offset, n]}

    def _new(self, ref: Ref) -> Ref:
        """Where a body is now."""
        if ref[0] < self._kept:
            return ref
        try:
            return self._bodies[ref]
        except KeyError:
            raise Unusual(f"a reference to body {ref} that did not come before it") from None

    def _line(self, record: Record) -> int:
        """Write a record; its offset."""
        at = self._end
        line, self._crc = frame(sealed(self.log, record, self._gen, at, self._crc), self._crc)
        self.write(line)
        self._end += len(line)
        return at


def _is_difference(body: Node) -> bool:
    """Whether a body is a list that refers to others: these stay in their records, next to those that they extend."""
    return type(body) is dict and body.get("$") == "list"


def _short(body: Node) -> bool:
    return type(body) is str and len(body) < PACK_BYTES // 16


def _held(entry: Entry) -> Iterator[Ref]:
    """Every reference in a record."""
    return _refs([entry.record.get(k) for k in ("ch", "w", "b")], entry.offset)


def _refs(node: Node, here: int) -> Iterator[Ref]:
    """All references in a node of the record at ``here``, those of lists too."""
    kind = type(node)
    if kind is Listed:
        yield from node
    elif kind is list:
        for v in node:
            yield from _refs(v, here)
    elif kind is dict:
        tag = node.get("$")
        if type(tag) is list:
            yield (tag[0] or here, tag[1])
        elif tag == "list":
            if "of" in node:
                yield (node["of"][0] or here, node["of"][1])
            else:
                yield from unpack(node)
            yield from _refs(node["add"], here)
        else:
            for v in node.values():
                yield from _refs(v, here)
