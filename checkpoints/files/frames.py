r"""One record, one line: how records become bytes and how bytes are told to be whole, torn or damaged. No I/O.

A line is a JSON object, so ``jq`` reads the file as it is::

    {"crc":"1a2b3c4d","prev":"99aabbcc", …the record's own members… }\n

``crc`` is the CRC-32 of every byte after the crc member (from ``"prev"`` to the closing brace), ``prev`` the crc of
the line before (so a line that was removed, doubled or moved is noticed), both as eight hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

import orjson

_HEAD = b'{"crc":"'
_BODY = 18  # where the bytes that the crc covers begin: after {"crc":"12345678",
_PREV = 26  # where the eight digits of prev begin
LOOSE = "loose"
"""Member of a record that was written without waiting for the disk: how many bytes before it were not on it either."""
ROOT = "00000000"
"""``prev`` of the first line of a file."""

Record = dict[str, Any]


class Entry(NamedTuple):
    """A whole line: its bytes are ``[offset, end)`` of the file, the newline included."""

    offset: int
    end: int
    crc: str
    record: Record


class Damage(Exception):
    """Bytes that are neither a record nor a torn tail; internal, callers raise DamagedLog with the path."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


def frame(record: Record, prev: str) -> tuple[bytes, str]:
    """The line of a record and its crc. The record must be non-empty plain JSON without ``crc`` and ``prev``."""
    body = b'"prev":"' + prev.encode() + b'",' + orjson.dumps(record)[1:]
    crc = f"{crc32(body):08x}"
    return _HEAD + crc.encode() + b'",' + body + b"\n", crc


def checked(line: bytes | memoryview) -> bool:
    """Whether a line (without its newline) is whole."""
    return (
        line[:8] == _HEAD
        and line[16:18] == b'",'
        and line[_BODY:_PREV] == b'"prev":"'
        and line[8:16] == b"%08x" % crc32(memoryview(line)[_BODY:])
    )


def parse(line: bytes | memoryview, offset: int) -> Record:
    """The record of a line without its newline; raises Damage."""
    if not checked(line):
        raise Damage(offset, "the checksum of a record does not match its bytes")
    record: Record = orjson.loads(line)
    return record


def scan(data: bytes, start: int, prev: str) -> Iterator[Entry]:
    """The whole records of ``data``, which begins at file offset ``start``; stops before a torn tail.

    Raises:
        Damage: anything that an interrupted append cannot have left behind.
    """
    at = 0
    while (newline := data.find(b"\n", at)) >= 0:
        line = data[at:newline]
        if not checked(line):
            if bytes(8) in line and _never_synced(data, newline + 1, start, start + at):
                return  # pages that never reached the disk before a power cut: eight or more zero bytes
            raise Damage(start + at, "the checksum of a record does not match its bytes")
        if line[_PREV : _PREV + 8] != prev.encode():
            raise Damage(start + at, "a record does not follow the one before it")
        record: Record = orjson.loads(line)
        del record["prev"]
        prev = record.pop("crc")
        yield Entry(start + at, start + newline + 1, prev, record)
        at = newline + 1
    if checked(data[at:-1]):
        raise Damage(start + len(data) - 1, "the newline after the last record was changed")


def _never_synced(data: bytes, at: int, start: int, hole: int) -> bool:
    """Whether nothing after a hole says that the hole's place was on the disk when it was written.

    A record without ``loose`` says so of all that comes before it; one with ``loose``, of all but that many bytes.
    """
    while (newline := data.find(b"\n", at)) >= 0:
        line = data[at:newline]
        if checked(line):
            loose: int = orjson.loads(line).get(LOOSE, 0)
            if start + at - loose > hole:
                return False
        elif bytes(8) not in line:
            return False
        at = newline + 1
    return True


def rechained(data: bytes, start: int, old_prev: str, prev: str) -> Iterator[tuple[bytes, str, str]]:
    """Whole lines linked to another line before them, some at a time: (they, the last one's crc before, its crc now).

    Raises:
        Damage: a line that is not whole must not get a right checksum.
    """
    parts: list[bytes] = []
    at, old, new = 0, old_prev.encode(), prev.encode()
    while (newline := data.find(b"\n", at)) >= 0:
        line = data[at:newline]
        if line[_PREV : _PREV + 8] != old or not checked(line):
            raise Damage(start + at, "a record is damaged")
        body = b'"prev":"' + new + line[_PREV + 8 :]
        old, new = line[8:16], b"%08x" % crc32(body)
        parts += (_HEAD, new, b'",', body, b"\n")
        at = newline + 1
        if len(parts) >= 1000:
            yield b"".join(parts), old.decode(), new.decode()
            parts.clear()
    yield b"".join(parts), old.decode(), new.decode()
