"""Checking, repairing and rewriting one journal. Knows lines and records, and that some refer to others by offset.

A repair keeps every whole record, also those after the damage, and the damaged file beside the repaired one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

import orjson

from checkpoints.errors import DamagedLog, DiskFault, NewerFormat, PlaintextRefused, WrongKey
from checkpoints.files.crypto import is_sealed
from checkpoints.files.folders import open_file, rename_over, sync_file, write_all
from checkpoints.files.frames import ROOT, Damage, Entry, Record, checked, frame, scan
from checkpoints.files.journal import Journal, Writer, check_header, gen_of, header, new_gen, sealed
from checkpoints.files.stamps import replace_log

_START = b'{"crc":"'


class Report(TypedDict):
    """What ``verify`` or ``repair`` found in one file."""

    path: str
    records: int  # whole records, the header not counted; of a damaged file those before the damage, repaired: all
    bytes: int
    torn: int  # bytes of an append that a crash cut short
    damage: str  # "" or what is wrong and where
    sealed: int  # records that are encrypted
    kept: str  # repair: where the damaged file is kept; "" otherwise
    lost: list[str]  # repair: what could not be kept, one line each


class Piece(NamedTuple):
    """Bytes ``[start, end)`` of a file: a whole line, or (``record`` None) what is not."""

    start: int
    end: int
    record: Record | None


def verify(journal: Journal) -> Report:
    """Read every byte; never raises for damage. Without keys, of a sealed file the framing alone is checked."""
    return _verified(journal, journal.content())[0]


def _verified(journal: Journal, data: bytes) -> tuple[Report, list[Record]]:
    """The report and the records before the first damage, opened where there are keys."""
    report = Report(path=str(journal.path), records=0, bytes=len(data), torn=0, damage="", sealed=0, kept="", lost=[])
    records: list[Record] = []
    gen, prev, end = gen_of(data), ROOT, 0
    try:
        for entry in scan(data, 0, ROOT):
            record = entry.record
            if entry.offset == 0:
                check_header(journal.path, record, journal.kind)
                if journal.keys is not None:
                    journal.check_format(record)
            else:
                report["sealed"] += is_sealed(record)
                if journal.keys is not None:
                    record = journal.open(record, gen, entry.offset, prev)
                report["records"] += 1
                records.append(record)
            end, prev = entry.end, entry.crc
        report["torn"] = len(data) - end
    except Damage as e:
        report["damage"] = f"byte {e.offset}: {e.what}"
    except (DamagedLog, NewerFormat, WrongKey, PlaintextRefused) as e:
        report["damage"] = str(e)
    return report, records


def repair(journal: Journal) -> Report:
    """Keep every whole record; the damaged file stays beside it as ``*.damaged-…``.

    In a file of checkpoints, whose records refer to others by offset, a ``lost`` record of the same length takes the
    place of what was damaged (``rebuilding.drop_broken`` then deals with what referred to it). An audit chain ends
    before its damage: what comes after proves nothing. A healthy file is left alone (a torn tail is cut off).

    Raises:
        WrongKey, PlaintextRefused: the keys do not fit the file; nothing was changed.
    """
    with journal.locked():
        data = journal.content()
        report, records = _verified(journal, data)
        if not report["damage"] and not report["torn"]:
            return report
        _must_open(journal, data)
        if not report["damage"]:
            Writer(journal).close()
            return report
        if journal.kind == "audit":
            end = sum(len(line) for line in data.splitlines(keepends=True)[: len(records) + 1])
            report["lost"] = [f"bytes {end} to {len(data)}"]
        else:
            pieces = list(_opened(journal, data))
            records = _salvaged(journal, pieces)
            report["lost"] = [f"bytes {p.start} to {p.end}" for p in pieces if p.record is None]
        report["kept"] = str(_set_aside(journal.path))
        rewrite(journal, records)
        journal.forget()
        report["records"] = sum(not r["k"].startswith("lost") for r in records)
        return report


def _set_aside(path: Path) -> Path:
    """Give the file a second name, by which it stays when it is replaced."""
    kept = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    try:
        os.link(path, kept, follow_symlinks=False)
    except (OSError, NotImplementedError):  # a file system without links
        rename_over(path, kept)
    return kept


def _opened(journal: Journal, data: bytes) -> Iterator[Piece]:
    """The pieces of a file, records opened where there are keys; what does not open is lost."""
    gen = gen_of(data)
    for piece in pieces(data):
        record = piece.record
        if record is not None and piece.start:
            with contextlib.suppress(Damage):
                yield piece._replace(record=journal.open(record, gen, piece.start, record["prev"]))
                continue
            record = None
        elif record is not None:
            with contextlib.suppress(DamagedLog):
                check_header(journal.path, record, journal.kind)
                yield piece
                continue
        yield piece._replace(record=None)


def pieces(data: bytes) -> Iterator[Piece]:
    """All of a file but a torn tail, in order."""
    at = 0
    while (newline := data.find(b"\n", at)) >= 0:
        line = data[at:newline]
        if checked(line):
            yield Piece(at, newline + 1, orjson.loads(line))
        elif newline + 1 < len(data) or bytes(8) not in line:
            yield from _within(line, at)
        at = newline + 1
    rest = data[at:]
    if checked(rest[:-1]):  # its newline was changed
        yield Piece(at, len(data), orjson.loads(rest[:-1]))


def _within(line: bytes, at: int) -> Iterator[Piece]:
    """A line that is not whole: perhaps two that lost the newline between them."""
    begin = 0
    while (begin := line.find(_START, begin + 1)) >= 0:
        if checked(line[begin:]):
            first = line[: begin - 1]
            yield Piece(at, at + begin, orjson.loads(first) if checked(first) else None)
            yield Piece(at + begin, at + len(line) + 1, orjson.loads(line[begin:]))
            return
    yield Piece(at, at + len(line) + 1, None)


def _salvaged(journal: Journal, found: list[Piece]) -> list[Record]:
    """The records for the repaired file, the header left out; of checkpoints with fillers, up to where they fit."""
    if journal.kind != "checkpoints":
        return [_bare(p.record) for p in found if p.record is not None and p.start]
    records: list[Record] = []
    if not found or found[0].start or found[0].end != len(frame(header(journal, new_gen()), ROOT)[0]):
        return records
    for piece in found[1:]:
        record = _bare(piece.record) if piece.record is not None else _filler(journal, piece.end - piece.start)
        if record is None:
            break
        records.append(record)
    return records


def _bare(record: Record) -> Record:
    return {k: v for k, v in record.items() if k not in ("crc", "prev")}


def _filler(journal: Journal, size: int) -> Record | None:
    """A record whose line has this many bytes, sealed where the file is; None where there is none."""
    for kind in ("lost", "lost_", "lost__", "lost___"):
        low, high = 0, size
        while low <= high:
            record = {"k": kind, "pad": " " * ((low + high) // 2)}
            length = len(frame(sealed(journal, record, "", 1, ROOT), ROOT)[0])
            if length == size:
                return record
            low, high = (len(record["pad"]) + 1, high) if length < size else (low, len(record["pad"]) - 1)
    return None


def _must_open(journal: Journal, data: bytes) -> None:
    """Raise where the keys at hand do not fit the first record, before anything is changed."""
    with contextlib.suppress(Damage, DamagedLog):
        for _ in journal.opened(data, 0, ROOT, gen_of(data)):
            pass


def reseal(journal: Journal) -> bool:
    """Seal every record anew with the active key, atomically; False where all are. Offsets stay what they were.

    Raises:
        WrongKey, PlaintextRefused, DamagedLog: nothing was changed.
    """
    assert journal.keys is not None
    with journal.locked():
        data = journal.content()
        active = journal.keys.active
        if all(entry.record.get("key") == active for entry in _after_header(data)):
            return False
        try:
            records = [entry.record for entry in journal.opened(data, 0, ROOT, gen_of(data))][1:]
        except Damage as e:
            raise DamagedLog(journal.path, e.offset, e.what) from None
        rewrite(journal, records)
        journal.forget()
        return True


def _after_header(data: bytes) -> Iterator[Entry]:
    with contextlib.suppress(Damage):
        yield from (entry for entry in scan(data, 0, ROOT) if entry.offset)


def rewrite(journal: Journal, records: Iterable[Record]) -> None:
    """Atomically give the file these records under a new gen, durable on return. Call it under the file's lock."""
    path = journal.path
    temp = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        fd = open_file(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            crc, end, gen = ROOT, 0, new_gen()
            for record in (header(journal, gen), *records):
                line, crc = frame(sealed(journal, record, gen, end, crc), crc)
                write_all(fd, line)
                end += len(line)
            sync_file(fd)
        finally:
            os.close(fd)
        replace_log(temp, path)
    except OSError as e:
        with contextlib.suppress(OSError):
            temp.unlink()
        raise DiskFault(f"cannot rewrite {path}: {e.strerror}; nothing was changed") from e
