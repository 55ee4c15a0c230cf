"""Random access to the records of one open checkpoint log, and to the bodies that they share.

Every record that is handed out was checked. Knows what a reference and a list difference are, not what a record means.
"""

from __future__ import annotations

from pathlib import Path

from checkpoints.errors import DamagedLog
from checkpoints.files.folders import read_at, read_into
from checkpoints.files.frames import Damage, Entry, Record, parse
from checkpoints.files.journal import Journal, reading
from checkpoints.log.tables import Tables, from_records
from checkpoints.values.refs import Listed, Node, Ref, is_ref, placed, unpack

BLOCK = 64 * 1024
"""Bytes of one read."""

_PACK, _PACK_AT = b'"k":"pack"', 36

LISTS_MAX = 8
RECORDS_MAX = 50_000
TABLES_MAX = 256
"""What one view, or for the tables one session, keeps of lists, records and tables."""


class View:
    """One open file, as it is under the hands of its other users: what it holds up to its end never changes."""

    def __init__(
        self, log: Journal, fd: int, tables: dict[int, Tables] | None = None, *, path: str | Path | None = None
    ) -> None:
        """``tables`` are those already known of this file; what is found is added. ``path``: if not the log's own."""
        self._path = path or log.path
        self.fd = fd
        self.bounded = False  # for views that are used for long: forget records that were read long ago
        self.complete = False  # all records are in memory
        self.size = 0  # bytes of the records in memory that were read in one go
        self.depths: dict[Ref, int] = {}
        self._open = log.opener(fd) if fd >= 0 else lambda record, offset: record
        self._blocks: dict[int, bytes] = {}
        self._buffer = bytearray()
        self._records: dict[int, Record] = {}
        self._lists: dict[Ref, list[Node] | Listed] = {}
        self._tables = {} if tables is None else tables

    @property
    def path(self) -> Path:
        """The file's, for those who are told of its damage."""
        return Path(self._path)

    def seed(self, entries: list[Entry]) -> None:
        """Records that were read and checked already."""
        self._records.update((e.offset, e.record) for e in entries)
        if entries:
            self.complete, self.size = entries[0].offset == 0, entries[-1].end - entries[0].offset

    def record(self, offset: int) -> Record:
        """The record at an offset that another record named; DamagedLog if it is not whole."""
        if (record := self._records.get(offset)) is None:
            if self.complete and self.fd < 0:
                raise DamagedLog(self.path, offset, "a record refers to one that is not there")
            try:
                record = self._open(parse(self._line(offset), offset), offset)
            except Damage as e:
                raise DamagedLog(self.path, e.offset, e.what) from None
            if self.bounded and len(self._records) >= RECORDS_MAX:
                self._records.clear()
            self._records[offset] = record
        return record

    def bodies(self, offset: int) -> list[Node]:
        """The bodies of a record, list differences as they are."""
        found: list[Node] = self.record(offset)["b"]
        return found

    def body(self, offset: int, n: int) -> Node | Listed:
        """The node behind a reference; list differences are followed to their beginning."""
        node = self.record(offset)["b"][n]
        if type(node) is not dict or node.get("$") != "list":
            return node
        asked, steps = (offset, n), []
        if asked in self._lists:
            return self._lists[asked]
        while type(node) is dict and "of" in node:
            steps.append((node["keep"], node["add"], offset))
            offset, n = node["of"][0] or offset, node["of"][1]
            node = self.record(offset)["b"][n]
        items: list[Node] | Listed
        if type(node) is dict:
            items = _longer(unpack(node), node["add"], offset)
        else:
            items = _longer(Listed([], []), node, offset)
        for keep, add, offset in reversed(steps):
            items = _longer(items, add, offset, keep)
        self.depths[asked] = len(steps)
        while len(self._lists) >= LISTS_MAX:
            del self._lists[next(iter(self._lists))]
        self._lists[asked] = items
        return items

    def tables(self, offset: int) -> Tables:
        """The tables of the checkpoint record at an offset."""
        chain: list[tuple[int, Record]] = []
        at: int | None = offset
        base: Tables | None = None
        while at is not None and (base := self._tables.get(at)) is None:
            record = self.record(at)
            chain.append((at, record))
            at = record.get("base")
        if chain:
            base = from_records(chain[::-1], base)
            self.remember(base)
        assert base is not None
        return base

    def remember(self, tables: Tables) -> None:
        """Tables that need not be made again."""
        while len(self._tables) >= TABLES_MAX:
            del self._tables[next(iter(self._tables))]
        self._tables[tables.offset] = tables

    def close(self) -> None:
        """Forget the file; what was read of it can still be asked for."""
        self.fd = -1
        self._blocks.clear()
        self._buffer = bytearray()

    def _line(self, offset: int) -> bytes | memoryview:
        """The line at an offset, to be used before another one is asked for."""
        index, at = divmod(offset, BLOCK)
        if index not in self._blocks and self._is_pack(offset):
            return self._long_line(offset)
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

    def _is_pack(self, offset: int) -> bool:
        with reading(self.path):
            return read_at(self.fd, len(_PACK), offset + _PACK_AT) == _PACK

    def _long_line(self, offset: int) -> memoryview:
        """A line of many pages, in the buffer."""
        filled = 0
        while True:
            if filled == len(self._buffer):
                longer = bytearray(max(BLOCK, 2 * filled))
                longer[:filled] = self._buffer
                self._buffer = longer
            with reading(self.path):
                came = read_into(self.fd, memoryview(self._buffer)[filled : filled + BLOCK], offset + filled)
            end = self._buffer.find(b"\n", filled, filled + came)
            filled += came
            if end >= 0 or not came:
                return memoryview(self._buffer)[: end if end >= 0 else filled]

    def _block(self, index: int) -> bytes:
        if (block := self._blocks.get(index)) is None:
            if len(self._blocks) >= 256:
                self._blocks.clear()
            with reading(self.path):
                block = self._blocks[index] = read_at(self.fd, BLOCK, index * BLOCK)
        return block


def _longer(items: list[Node] | Listed, add: list[Node], offset: int, keep: int | None = None) -> list[Node] | Listed:
    """The first ``keep`` items, in place, and then ``add`` of the record at ``offset``."""
    if isinstance(items, Listed):
        if keep is not None:
            items.cut(keep)
        if all(map(is_ref, add)):
            items.extend(add, offset)
            return items
        return [*items.nodes(), *placed(add, offset)]
    if keep is not None:
        del items[keep:]
    items.extend(placed(add, offset))
    return items
