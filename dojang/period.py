"""What people decided in a stretch of time, as the audit chains have it and nothing else: for whoever oversees.

The chains are checked first. Of one in which something was changed no record counts, and it is named; where the chain
of the home itself is not whole, there are no figures at all. Records that were noted after the check count in the next
report. What the chains do not hold (arguments, reasons, answers) is in no figure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from dojang.reviewing import BULK
from dojang.shift import QUICK_S, TYPES, Person, Said, shift_of
from dojang.speaking import PROMOTION
from state import person_of

if TYPE_CHECKING:
    from checkpoints.audit.chain import AuditRecord
    from checkpoints.audit.check import AuditReport, ChainEnd, Finding
    from checkpoints.audit.trail import AuditLog

UNKNOWN: Final = -1
"""The tier of a review that was opened before its record said it."""
HAPPENED: Final = frozenset(("decision.recorded", "vote.recorded", "review.escalated", "effect.ended"))
"""Events whose facts say when it happened, which may be before it was noted."""
COUNTED: Final = {
    "call.passed": "passed", "standing.allowed": "allowed_in_advance", "standing.used": "used_in_advance",
    "standing.revoked": "revoked_in_advance", "review.assigned": "handed_up", "review.escalated": "escalated",
    "decision.undone": "taken_back", "review.shown": "looked_at", "policy.seen": "policy_changes",
    "content.erased": "erased", "chain.reopened": "reopened", "thread.deleted": "deleted",
    "state.changed": "changed_by_hand", "champion.rolled_back": "rolled_back",
}  # fmt: skip
"""Events that are counted and no more."""


@dataclass(frozen=True)
class Verified:
    """What the check found. ``left_out``: conversations of which nothing counts; ``whole``: all of it is as written."""

    problems: int
    chains: int
    records: int
    end: ChainEnd | None
    left_out: list[str]
    findings: list[Finding]

    @property
    def whole(self) -> bool:
        """Whether nothing was changed."""
        return self.problems == 0


@dataclass(frozen=True)
class Who:
    """One person. ``looked_s``: the median of how long they looked, of the ``looked`` decisions that say it."""

    name: str
    types: dict[str, int]
    looked_s: float | None
    looked: int
    quick_high: int
    bulk: int
    streak: int
    taken_back: int
    refused: int
    checks_seen: int
    checks_missed: int


@dataclass(frozen=True)
class Halt:
    """All runs stood still. ``resumed_at`` "" while they do."""

    by: str
    at: str
    why: str
    resumed_by: str = ""
    resumed_at: str = ""


@dataclass(frozen=True)
class Promotion:
    """An adapter was made champion, in this conversation, by the word of these people."""

    at: str
    thread: str
    by: list[str]


@dataclass(frozen=True)
class Passed:
    """A shift that was handed over."""

    by: str
    to: str
    at: str
    reviews: int
    taken_at: str


@dataclass
class Figures:
    """All of it. Keys of the tables: kind, tier ("?" where it is not known), tool, channel; then type of decision."""

    opened: dict[str, int]
    by_kind: dict[str, dict[str, int]]
    by_tier: dict[str, dict[str, int]]
    by_tool: dict[str, dict[str, int]]
    by_channel: dict[str, int]
    looked_by_tier: dict[str, float]
    quick: int
    persons: list[Who]
    expired: dict[str, int]
    refused: dict[str, int]
    counts: dict[str, int]
    checks: dict[str, int]
    halts: list[Halt]
    promotions: list[Promotion]
    handovers: list[Passed]

    @property
    def total(self) -> int:
        """Decisions and votes of people."""
        return sum(self.by_channel.values())

    def of(self, kind: str) -> int:
        """How many of one type."""
        return sum(types.get(kind, 0) for types in self.by_kind.values())


@dataclass(frozen=True)
class Period:
    """From the first to the last moment (ISO 8601). ``figures`` None: the chain of the home is not whole."""

    since: str
    until: str
    verified: Verified
    figures: Figures | None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


@dataclass
class _Read:
    """The records that count, and what of all times helps to understand them."""

    since: datetime
    until: datetime
    reviews: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # facts of review.opened
    seeded: dict[str, list[str]] = field(default_factory=dict)  # the right answers, by thread
    undone: set[tuple[str, int]] = field(default_factory=set)  # (chain, record) of decisions that were taken back
    within: list[AuditRecord] = field(default_factory=list)
    ever: list[AuditRecord] = field(default_factory=list)


def period_of(report: AuditReport, log: AuditLog, since: datetime, until: datetime) -> Period:
    """The figures of a home whose chains were just checked.

    Args:
        report: of ``checkpoints.audit.check.verify_audit`` over the same home.
        log: its chains.
        since: the first moment.
        until: the last one.
    """
    bad = {one["thread_id"] for one in report["findings"] if one["level"] == "problem"}
    verified = Verified(
        problems=report["problems"],
        chains=report["chains"],
        records=report["records"],
        end=next((end for end in report["ends"] if end["thread_id"] is None), None),
        left_out=sorted(one for one in bad if one is not None),
        findings=[one for one in report["findings"] if one["level"] == "problem"],
    )
    if None in bad:
        return Period(since.isoformat(), until.isoformat(), verified, None)
    records: list[AuditRecord] = []
    for end in report["ends"]:
        if end["thread_id"] not in bad:
            records += log.records(end["thread_id"])[: end["records"]]
    return Period(since.isoformat(), until.isoformat(), verified, _figures(records, since, until))


def _figures(records: Iterable[AuditRecord], since: datetime, until: datetime) -> Figures:
    read = _sorted(records, since, until)
    said = [one for record in read.within if (one := _said(read, record)) is not None]
    undone = Counter(person_of(r["actor"]) for r in read.within if r["event"] == "decision.undone")
    refused = [r for r in read.within if r["event"] == "decision.refused"]
    checks = _checks(read)
    made = shift_of(said, undone, hourly=False, checks=[(by, result == "seen") for by, result in checks if by])
    events = Counter(record["event"] for record in read.within)
    looked: dict[str, list[float]] = defaultdict(list)
    for one in said:
        if one.dwell_s is not None and not one.bulk:
            looked[_tier(one.tier)].append(one.dwell_s)
    by_person = Counter(person_of(r["actor"]) for r in refused)
    return Figures(
        opened=_count(r["facts"].get("kind", "?") for r in read.within if _opened(read, r)),
        by_kind=_table(said, lambda one: str(read.reviews.get(one.review, {}).get("kind", "?"))),
        by_tier=dict(sorted(_table(said, lambda one: _tier(one.tier)).items())),
        by_tool=_table(said, lambda one: one.tool),
        by_channel=_count(r["facts"].get("channel", "?") for r in read.within if _said(read, r) is not None),
        looked_by_tier={tier: median(times) for tier, times in sorted(looked.items())},
        quick=sum(time < QUICK_S for times in looked.values() for time in times),
        persons=[_who(person, by_person[person_of(person.name)]) for person in made.persons],
        expired=_count(read.reviews.get(r["subject"], {}).get("kind", "?") for r in read.within if _expired(read, r)),
        refused=_count(str(r["facts"].get("why", "?")) for r in refused),
        counts={name: events[event] for event, name in COUNTED.items()},
        checks={
            "put_in": events["check.seeded"],
            **{name: sum(result == name for _, result in checks) for name in ("seen", "missed", "nobody")},
        },
        halts=_halts(read),
        promotions=_promotions(read),
        handovers=_handovers(read),
    )


def _sorted(records: Iterable[AuditRecord], since: datetime, until: datetime) -> _Read:
    read = _Read(since, until, ever=sorted(records, key=lambda record: record["at"]))
    last: dict[tuple[str, str], tuple[str, int]] = {}
    for record in read.ever:
        event, facts = record["event"], record["facts"]
        person = (record["subject"], person_of(record["actor"]))
        if event == "review.opened":
            read.reviews.setdefault(record["subject"], facts)
        elif event == "check.seeded":
            read.seeded[record["subject"]] = [str(one) for one in facts.get("right") or []]
        elif event in ("decision.recorded", "vote.recorded"):
            last[person] = (record["thread_id"] or "", record["seq"])
        elif event == "decision.undone" and person in last:
            read.undone.add(last.pop(person))
        if since <= _when(record) <= until:
            read.within.append(record)
    return read


def _when(record: AuditRecord) -> datetime:
    said = record["facts"].get("at") if record["event"] in HAPPENED else None
    return datetime.fromisoformat(said if isinstance(said, str) else record["at"])


def _stands(read: _Read, record: AuditRecord) -> bool:
    known = record["event"] in ("decision.recorded", "vote.recorded")
    return known and (record["thread_id"] or "", record["seq"]) not in read.undone


def _opened(read: _Read, record: AuditRecord) -> bool:
    return record["event"] == "review.opened" and record["thread_id"] not in read.seeded


def _expired(read: _Read, record: AuditRecord) -> bool:
    return _stands(read, record) and record["facts"].get("type") == "expire" and record["thread_id"] not in read.seeded


def _said(read: _Read, record: AuditRecord) -> Said | None:
    """A decision or vote of a person that stands; None for any other record, and for seeded checks."""
    facts, thread = record["facts"], record["thread_id"] or ""
    if not _stands(read, record) or not record["actor"] or facts.get("type") not in TYPES or thread in read.seeded:
        return None
    review, dwell = read.reviews.get(record["subject"], {}), facts.get("dwell_ms")
    return Said(
        by=record["actor"], at=_when(record), type=str(facts["type"]),
        tool=str(review.get("tool") or review.get("kind", "?")), tier=int(review.get("tier", UNKNOWN)),
        dwell_s=dwell / 1000 if isinstance(dwell, int | float) else None, review=record["subject"], thread=thread,
        subject=record["subject"], bulk=facts.get("channel") == BULK,
    )  # fmt: skip


def _checks(read: _Read) -> list[tuple[str, str]]:
    """(who, "seen", "missed" or "nobody") of checks that ended within: what was said first of each counts."""
    found, done = [], set()
    for record in read.ever:
        thread = record["thread_id"] or ""
        if thread in read.seeded and thread not in done and _stands(read, record):
            done.add(thread)
            kind = record["facts"].get("type")
            result = "nobody" if kind == "expire" else "seen" if kind in read.seeded[thread] else "missed"
            found += [(record["actor"], result)] if read.since <= _when(record) <= read.until else []
    return found


def _halts(read: _Read) -> list[Halt]:
    """Pauses that reach into the period, oldest first."""
    found: list[Halt] = []
    for record in read.ever:
        if record["event"] == "runs.paused":
            found.append(Halt(record["actor"], record["at"], str(record["facts"].get("why", ""))))
        elif record["event"] == "runs.resumed" and found and not found[-1].resumed_at:
            was = found.pop()
            found.append(Halt(was.by, was.at, was.why, record["actor"], record["at"]))
    return [
        one
        for one in found
        if datetime.fromisoformat(one.at) <= read.until
        and (not one.resumed_at or datetime.fromisoformat(one.resumed_at) >= read.since)
    ]


def _promotions(read: _Read) -> list[Promotion]:
    voices: dict[str, list[str]] = defaultdict(list)
    for record in read.ever:
        if _stands(read, record) and record["facts"].get("type") in ("approve", "edit"):
            voices[record["thread_id"] or ""].append(record["actor"])
    return [
        Promotion(_when(record).isoformat(), record["thread_id"] or "", voices[record["thread_id"] or ""])
        for record in read.within
        if record["event"] == "effect.ended"
        and record["facts"].get("tool") == PROMOTION
        and record["facts"].get("status") == "done"
    ]


def _handovers(read: _Read) -> list[Passed]:
    taken = {record["subject"]: record["at"] for record in read.ever if record["event"] == "shift.taken_over"}
    return [
        Passed(
            record["actor"], str(record["facts"].get("to", "")), record["at"],
            len(record["facts"].get("reviews") or []), taken.get(record["subject"], ""),
        )
        for record in read.within
        if record["event"] == "shift.handed_over"
    ]  # fmt: skip


def _who(person: Person, refused: int) -> Who:
    return Who(
        name=person.name, types={kind: person.types[kind] for kind in TYPES}, looked_s=person.dwell,
        looked=len(person.dwells), quick_high=person.quick_high, bulk=person.bulk, streak=person.streak,
        taken_back=person.undone, refused=refused, checks_seen=person.seen, checks_missed=person.missed,
    )  # fmt: skip


def _tier(tier: int) -> str:
    return "?" if tier == UNKNOWN else str(tier)


def _count(values: Iterable[Any]) -> dict[str, int]:
    return dict(Counter(str(value) for value in values).most_common())


def _table(said: Sequence[Said], key: Any) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in said:
        found[key(one)][one.type] += 1
    return {name: dict(counts) for name, counts in sorted(found.items(), key=lambda pair: -pair[1].total())}


__all__ = ["Figures", "Halt", "Passed", "Period", "Promotion", "Verified", "Who", "period_of"]
