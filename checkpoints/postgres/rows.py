"""One log as rows: append and read. Knows nothing of what the records mean.

Whoever writes holds the row of ``logs``, from its first look to the end of its transaction, so that of two writers one
waits for the other's commit, or for its end. A record is text, as ``orjson`` wrote it: what a signature or a digest is
of must come back byte for byte, and PostgreSQL's ``jsonb`` keeps neither large numbers nor every text as they were.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from checkpoints.backend import Looked, Record
from checkpoints.errors import DamagedRecords, UnknownType
from checkpoints.postgres.database import Connection

PLACE: Final = Path("database")
"""Stands where a path of files would, in what errors say."""
HOME: Final = "home"

_HOLD: Final = "SELECT gen, last FROM logs WHERE folder = %s AND kind = %s FOR UPDATE"
_MAKE: Final = """
    INSERT INTO logs (folder, kind, gen, last)
    SELECT %(folder)s, %(kind)s, %(gen)s, 0
    WHERE %(folder)s = '' OR EXISTS (SELECT FROM threads WHERE folder = %(folder)s FOR KEY SHARE)
    ON CONFLICT DO NOTHING
"""
_SINCE: Final = "SELECT n, record FROM records WHERE folder = %s AND kind = %s AND n >= %s ORDER BY n"
_ALL: Final = """
    SELECT l.last, r.n, r.record
    FROM logs l LEFT JOIN records r ON r.folder = l.folder AND r.kind = l.kind
    WHERE l.folder = %s AND l.kind = %s ORDER BY r.n
"""
_APPEND: Final = """
    WITH added AS (
        INSERT INTO records (folder, kind, n, record)
        SELECT %(folder)s, %(kind)s, %(last)s + i, one FROM unnest(%(texts)s::text[]) WITH ORDINALITY AS t (one, i)
    )
    UPDATE logs SET last = %(last)s + %(many)s WHERE folder = %(folder)s AND kind = %(kind)s
"""


class Seen(NamedTuple):
    """How far somebody knows a log: which writing of it, how many records, and the text of the last one.

    The text tells whether what was seen was committed in the end: a number alone could be another one's by now.
    """

    gen: str
    last: int
    text: str


class Held:
    """A log whose row the transaction of the caller holds."""

    def __init__(self, gen: str, last: int) -> None:
        self.gen, self.last = gen, last


class Unit:
    """One transaction, and the logs that it holds."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.held: dict[tuple[str, str], Held] = {}
        self.failed = False  # a part of it has: the rest must not stand

    def hold(self, folder: str, kind: str) -> Held:
        """Hold the row of a log until the end of the transaction. FileNotFoundError where its thread is gone."""
        found = self.held.get((folder, kind))
        if found is None:
            row = self.db.execute(_HOLD, (folder, kind)).fetchone()
            while row is None:
                made = self.db.execute(_MAKE, {"folder": folder, "kind": kind, "gen": secrets.token_hex(8)})
                row = self.db.execute(_HOLD, (folder, kind)).fetchone()
                if row is None and not made.rowcount:
                    raise FileNotFoundError(f"the thread in {PLACE / folder} is gone")
            found = self.held[folder, kind] = Held(row[0], row[1])
        return found


class RowLog:
    """One log. Cheap, safe to share between threads, and may be many on one place."""

    def __init__(
        self,
        folder: str,
        kind: str,
        unit: Callable[[], AbstractContextManager[Unit]],
        reading: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        self.folder, self.kind = folder, kind
        self.path = PLACE / (folder or HOME) / f"{kind}.jsonl"
        self._unit, self._reading = unit, reading
        self._mutex = threading.Lock()
        self._seen: Seen | None = None

    def exists(self) -> bool:
        """Whether it has a row in ``logs``."""
        with self._reading() as db:
            asked = "SELECT FROM logs WHERE folder = %s AND kind = %s"
            return db.execute(asked, (self.folder, self.kind)).fetchone() is not None

    def records(self) -> list[Record]:
        """All of them, oldest first; DamagedRecords."""
        found = self.looked() or Looked([])
        if found.damage:
            raise DamagedRecords(self.path, len(found.records) + 1, found.damage)
        return found.records

    def looked(self) -> Looked | None:
        """What a checker sees of it, of one moment."""
        with self._reading() as db:
            rows = db.execute(_ALL, (self.folder, self.kind)).fetchall()
        if not rows:
            return None
        last = rows[0][0]
        return _parsed([(n, text) for _, n, text in rows if n is not None], 1, last)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold its row; to the end of the caller's transaction, where there is one."""
        with self._unit() as unit:
            unit.hold(self.folder, self.kind)
            yield

    @contextmanager
    def writing(self) -> Iterator[RowWriter]:
        """Hold its row, with what is new. All that was written stands at the end of the block, or nothing of it.

        In a transaction of the caller's: at the end of that.
        """
        with self._unit() as unit:
            yield RowWriter(self, unit, unit.hold(self.folder, self.kind))

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put these in the place of all that are there. Call it while locked."""
        texts = texts_of(self.path, records)
        with self._unit() as unit:
            held = unit.hold(self.folder, self.kind)
            unit.db.execute("DELETE FROM records WHERE folder = %s AND kind = %s", (self.folder, self.kind))
            unit.db.execute(
                "UPDATE logs SET gen = %s WHERE folder = %s AND kind = %s",
                (gen := secrets.token_hex(8), self.folder, self.kind),
            )
            held.gen, held.last = gen, 0
            self.append(unit, held, texts)

    def append(self, unit: Unit, held: Held, texts: Sequence[str]) -> None:
        """Put texts after the last one."""
        given = {
            "folder": self.folder, "kind": self.kind, "last": held.last, "texts": list(texts), "many": len(texts),
        }  # fmt: skip
        unit.db.execute(_APPEND, given)
        held.last += len(texts)

    def news(self, unit: Unit, held: Held) -> tuple[bool, list[Record]]:
        """(Whether all is new, the records that this object has not seen). Call it while held."""
        with self._mutex:
            seen = self._seen
        known = seen is not None and seen.gen == held.gen and 0 < seen.last <= held.last
        since = seen.last if known and seen is not None else 1
        rows = unit.db.execute(_SINCE, (self.folder, self.kind, since)).fetchall()
        if known and seen is not None and (not rows or rows[0] != (seen.last, seen.text)):
            known, since = False, 1  # what we saw was never committed
            rows = unit.db.execute(_SINCE, (self.folder, self.kind, since)).fetchall()
        found = _parsed(rows, since, held.last)
        if found.damage:
            self.saw(None)
            raise DamagedRecords(self.path, since + len(found.records), found.damage)
        self.saw(Seen(held.gen, held.last, rows[-1][1]) if rows else None)
        return not known, found.records[1:] if known else found.records

    def forget(self) -> None:
        """Say next time of all records that they are new."""
        self.saw(None)

    def saw(self, seen: Seen | None) -> None:
        """Remember how far the log is known."""
        with self._mutex:
            self._seen = seen


class RowWriter:
    """The end of a log, while its row is held."""

    def __init__(self, log: RowLog, unit: Unit, held: Held) -> None:
        self._log, self._unit, self._held = log, unit, held
        self.reset, self.records = log.news(unit, held)

    def write(self, records: Iterable[Record]) -> None:
        """Append records; UnknownType for what is no JSON, and nothing of them is written."""
        texts = texts_of(self._log.path, records)
        if texts:
            self._log.append(self._unit, self._held, texts)
            self._log.saw(Seen(self._held.gen, self._held.last, texts[-1]))

    def wait(self) -> None:
        """Nothing: it is durable when the block, or the caller's transaction, has ended."""


def texts_of(path: Path, records: Iterable[Record]) -> list[str]:
    """The records as they are kept. UnknownType."""
    try:
        return [orjson.dumps(record).decode() for record in records]
    except orjson.JSONEncodeError as e:
        raise UnknownType(f"{path}: a record is no JSON ({e}); nothing was written") from e


def _parsed(rows: Sequence[tuple[int, str]], first: int, last: int) -> Looked:
    """The records of rows that ought to be numbered from ``first`` to ``last``."""
    found: list[Record] = []
    damage = ""
    for number, (n, text) in enumerate(rows, first):
        if n != number:
            damage = f"record {number} is not there, and record {n} is: it was removed"
            break
        record = _record(text)
        if record is None:
            damage = f"record {number} cannot be read: it was changed"
            break
        found.append(record)
    there = first + len(found) - 1
    if not damage and there != last:
        damage = f"there are {there} records, and {last} were written: some were added or removed"
    return Looked(found, damage=damage)


def _record(text: str) -> Record | None:
    try:
        record: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "k" in record else None
