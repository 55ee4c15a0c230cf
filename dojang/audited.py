"""The audit chains as people read them: all of a home in one order, filtered, and written as lines or as a table.

Reads files; starts no database. ``dojang audit`` and the HTTP API show what is here.
"""

from __future__ import annotations

import csv
import heapq
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

from dojang.visible import visible

if TYPE_CHECKING:
    from checkpoints.audit.chain import AuditRecord
    from checkpoints.audit.trail import AuditLog

Form = Literal["jsonl", "csv"]
Place = tuple[str, str, int]
COLUMNS: Final = (
    "at", "actor", "event", "thread_id", "subject", "facts", "content_sha256", "seq", "prev", "key_id", "signature",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula."""
DAY: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}")
MARK: Final = "\ufeff"
"""The byte order mark without which Excel breaks Korean."""


@dataclass(frozen=True)
class Sought:
    """Which records; "" and None ask for nothing. ``since`` and ``until`` are the first and the last moment."""

    thread: str | None = None
    actor: str = ""
    event: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def has(self, record: AuditRecord) -> bool:
        """Whether a record is one of them."""
        from state import person_of

        at = datetime.fromisoformat(record["at"])
        return (
            (not self.actor or person_of(record["actor"]) == person_of(self.actor))
            and (not self.event or record["event"] == self.event)
            and (not self.subject or record["subject"] == self.subject)
            and (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
        )


def last_moment(said: str) -> str:
    """Of a day that is named without a time, the last moment: until the 22nd means that the 22nd is in it."""
    return f"{said.strip()}T23:59:59.999999" if DAY.fullmatch(said.strip()) else said


def existing(log: AuditLog, thread: str) -> None:
    """Raise where there is no such thread."""
    from dojang.runs import UnknownThread

    if not log.backend.exists(thread):
        raise UnknownThread(f"there is no thread {thread!r}; `dojang threads` lists those that exist")


def records(log: AuditLog, thread: str | None, within: str = "") -> Iterator[AuditRecord]:
    """Oldest first, by the time they were noted; each chain in its own order. All chains of the home for None.

    ``within``: of threads whose chain does not have this text, none.
    """
    if thread is not None:
        existing(log, thread)
        yield from log.records(thread)
        return
    threads = log.backend.threads(kind="audit" if within else "", saying=within)
    chains = [log.records(None), *map(log.records, threads)]
    yield from heapq.merge(*chains, key=lambda record: record["at"])


def found(log: AuditLog, sought: Sought) -> Iterator[AuditRecord]:
    """The records that are sought, oldest first. Of chains in which an event does not occur, nothing more is read."""
    within = sought.event if sought.event.isascii() else ""
    return (record for record in records(log, sought.thread, within) if sought.has(record))


def place_of(record: AuditRecord) -> Place:
    """Where a record stands among all of a home."""
    return record["at"], record["thread_id"] or "", record["seq"]


def newest(log: AuditLog, sought: Sought, limit: int, before: Place | None = None) -> list[AuditRecord]:
    """The last ``limit`` records that are sought, newest first; only those that stand ``before`` a place.

    Of a chain that has not changed since it was read, the first and the last moment are known, so most chains of a
    large home are read for no page.
    """
    if sought.thread is not None:
        existing(log, sought.thread)
    named = [sought.thread] if sought.thread is not None else [None, *log.backend.threads()]
    spans = sorted((_span(log, name) for name in named), key=lambda span: span.last, reverse=True)
    found: list[tuple[Place, AuditRecord]] = []
    for span in spans:
        if not span.last or (len(found) == limit and span.last < found[-1][0][0]):
            break
        early = sought.since is not None and datetime.fromisoformat(span.last) < sought.since
        if early or (before is not None and span.first > before[0]):
            continue
        fit = [(place_of(record), record) for record in log.records(span.thread) if sought.has(record)]
        fit = [one for one in fit if before is None or one[0] < before]
        found = heapq.nlargest(limit, [*found, *fit], itemgetter(0))
    return [record for _, record in found]


class Span(NamedTuple):
    """The first and the last moment of a chain; its file as it was then."""

    thread: str | None
    first: str
    last: str
    stamp: object


_SPANS: WeakKeyDictionary[AuditLog, dict[str | None, Span]] = WeakKeyDictionary()


def _span(log: AuditLog, thread: str | None) -> Span:
    known = _SPANS.setdefault(log, {})
    stamp = log.stamp(thread)
    if thread in known and known[thread].stamp == stamp:
        return known[thread]
    moments = [record["at"] for record in log.records(thread)]
    known[thread] = Span(thread, min(moments, default=""), max(moments, default=""), stamp)
    return known[thread]


def note_export(log: AuditLog, by: str, sought: Sought, form: str, count: int) -> None:
    """Note, before it is given out, that somebody exports."""
    since = sought.since.isoformat() if sought.since else ""
    facts: dict[str, Any] = {"format": form, "records": count, "since": since, "thread": sought.thread or ""}
    log.note(None, "audit.exported", by, sought.thread or "", facts)


def lines(found: Iterable[AuditRecord], form: Form) -> Iterator[str]:
    """The records as JSON lines, or as a table that a spreadsheet reads as text."""
    if form == "jsonl":
        yield from (json.dumps(record, ensure_ascii=False) + "\n" for record in found)
        return
    yield MARK + _row(COLUMNS)
    for record in found:
        values: dict[str, Any] = {**record, "facts": json.dumps(record["facts"], ensure_ascii=False)}
        yield _row([cell(values[name]) for name in COLUMNS])


def _row(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def cell(value: Any) -> str:
    """A value as text; one that a spreadsheet would run is led by an apostrophe."""
    text = "" if value is None else visible(str(value))
    return f"'{text}" if text.lstrip(" \n\u3000").startswith(FORMULA) else text
