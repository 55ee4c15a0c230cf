"""What people decided in a stretch of time, and signs of tiredness in it: how long they looked, streaks, flips. Pure.

The figures are of the records of decisions, nothing else is watched. They say what was done, not why: a streak of
approvals may be a good day. Decisions in bulk have no dwell time and count in no streak.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Final

from dojang.reviewing import BULK, HIGH
from state import Decision, person_of

if TYPE_CHECKING:
    from checkpoints.index import Listed

TYPES: Final = ("approve", "edit", "reject", "answer")
BUCKETS_S: Final = (3, 10, 30, 120)
"""Upper ends of the stretches by which dwell times are counted; the last one is open."""
LONG_STREAK: Final = 10
QUICK_S: Final = 3.0


@dataclass(frozen=True)
class Said:
    """One decision or vote of one person."""

    by: str
    at: datetime
    type: str
    tool: str
    tier: int
    dwell_s: float | None
    review: str
    thread: str
    subject: str
    bulk: bool


@dataclass
class Person:
    """What one person decided. ``streak`` is the longest run of one and the same decision, of this ``streak_type``."""

    name: str
    types: Counter[str] = field(default_factory=Counter)
    dwells: list[float] = field(default_factory=list)
    streak: int = 0
    streak_type: str = ""
    undone: int = 0
    otherwise: int = 0
    quick_high: int = 0
    bulk: int = 0
    seen: int = 0  # seeded checks that were decided rightly,
    missed: int = 0  # and those that were not
    first_dwell: float | None = None  # median of the first and the last third, from nine decisions on
    last_dwell: float | None = None

    @property
    def total(self) -> int:
        """All decisions."""
        return sum(self.types.values())

    @property
    def dwell(self) -> float | None:
        """Median, in seconds."""
        return median(self.dwells) if self.dwells else None

    @property
    def approved(self) -> float:
        """Share of approvals."""
        return self.types["approve"] / self.total if self.total else 0.0

    @property
    def signs(self) -> list[str]:
        """What is worth a pause: ``streak``, ``faster``, ``quick_high``."""
        found = ["streak"] if self.streak >= LONG_STREAK else []
        if self.first_dwell and self.last_dwell is not None and self.last_dwell < self.first_dwell / 2:
            found.append("faster")
        return [*found, *(["quick_high"] if self.quick_high else [])]


@dataclass
class Shift:
    """The whole of it."""

    persons: list[Person]
    tools: dict[str, Counter[str]]
    tiers: dict[int, Counter[str]]
    dwells: list[Counter[str]]  # by stretch of BUCKETS_S
    rates: list[tuple[str, int, int]]  # (hour or day, approvals, all)


def said_of(
    listed: Iterable[Listed], since: datetime, only: str | None = None, *, without: Collection[str] = ()
) -> list[Said]:
    """Decisions and votes since a moment, oldest first; ``only``: of this person; ``without``: not in these threads."""
    found = {}
    for one in listed:
        if one["review"]["thread_id"] in without:
            continue
        progress, review = one["progress"], one["review"]
        decisions = [*progress["votes"], *([progress["decision"]] if progress["decision"] is not None else [])]
        for said in decisions:
            at = datetime.fromisoformat(said["at"])
            mine = only is None or person_of(said["by"]) == person_of(only)
            if said["by"] and said["type"] in TYPES and at >= since and mine:
                found[review["id"], person_of(said["by"])] = _said(said, at, one)
    return sorted(found.values(), key=lambda said: said.at)


def _said(said: Decision, at: datetime, one: Listed) -> Said:
    review, dwell = one["review"], said["dwell_ms"]
    return Said(
        by=said["by"], at=at, type=said["type"], tool=review["action"]["tool"] or review["kind"], tier=review["tier"],
        dwell_s=dwell / 1000 if dwell is not None else None, review=review["id"], thread=review["thread_id"],
        subject=review["subject"].partition("#")[0], bulk=said["channel"] == BULK,
    )  # fmt: skip


def shift_of(
    said: Sequence[Said], undone: Counter[str], *, hourly: bool, checks: Sequence[tuple[str, bool]] = ()
) -> Shift:
    """The figures.

    Args:
        said: oldest first.
        undone: by person (``state.person_of``).
        hourly: whether the share of approvals is by the hour, not the day.
        checks: (who, whether it was seen) of the seeded checks; they are not among ``said``.
    """
    by_person: dict[str, list[Said]] = defaultdict(list)
    names: dict[str, str] = {}
    for one in said:
        by_person[person_of(one.by)].append(one)
        names.setdefault(person_of(one.by), one.by)
    for by, _ in checks:
        by_person[person_of(by)].extend(())
        names.setdefault(person_of(by), by)
    otherwise, seen = _otherwise(said), Counter((person_of(by), rightly) for by, rightly in checks)
    persons = [_person(names[who], mine, undone[who], otherwise[who]) for who, mine in by_person.items()]
    for person in persons:
        who = person_of(person.name)
        person.seen, person.missed = seen[who, True], seen[who, False]
    tools: dict[str, Counter[str]] = defaultdict(Counter)
    tiers: dict[int, Counter[str]] = defaultdict(Counter)
    dwells = [Counter[str]() for _ in range(len(BUCKETS_S) + 1)]
    for one in said:
        tools[one.tool][one.type] += 1
        tiers[one.tier][one.type] += 1
        if one.dwell_s is not None:
            dwells[sum(one.dwell_s >= end for end in BUCKETS_S)][one.type] += 1
    return Shift(
        persons=sorted(persons, key=lambda p: (-p.total, p.name)),
        tools=dict(sorted(tools.items(), key=lambda pair: -sum(pair[1].values()))),
        tiers=dict(sorted(tiers.items())),
        dwells=dwells,
        rates=_rates(said, hourly=hourly),
    )


def _person(name: str, mine: Sequence[Said], undone: int, otherwise: int) -> Person:
    person = Person(name, Counter(one.type for one in mine), undone=undone, otherwise=otherwise)
    alone = [one for one in mine if not one.bulk]
    person.bulk = len(mine) - len(alone)
    person.dwells = [one.dwell_s for one in alone if one.dwell_s is not None]
    for kind, run in groupby(alone, key=lambda one: one.type):
        length = sum(1 for _ in run)
        if length > person.streak:
            person.streak, person.streak_type = length, kind
    person.quick_high = sum(
        one.type == "approve" and one.tier >= HIGH and one.dwell_s is not None and one.dwell_s < QUICK_S
        for one in alone
    )
    third = len(person.dwells) // 3
    if third >= 3:
        person.first_dwell, person.last_dwell = median(person.dwells[:third]), median(person.dwells[-third:])
    return person


def _otherwise(said: Sequence[Said]) -> Counter[str]:
    """How often what a person decided of a call was decided otherwise later, by whoever was asked again."""
    found: Counter[str] = Counter()
    last: dict[tuple[str, str], Said] = {}
    for one in said:
        before = last.get((one.thread, one.subject))
        if before is not None and before.review != one.review and before.type != one.type:
            found[person_of(before.by)] += 1
        last[one.thread, one.subject] = one
    return found


def _rates(said: Sequence[Said], *, hourly: bool) -> list[tuple[str, int, int]]:
    form = "%m-%d %H:00" if hourly else "%m-%d"
    every: dict[str, list[int]] = {}
    for one in said:
        counts = every.setdefault(one.at.astimezone().strftime(form), [0, 0])
        counts[0] += one.type == "approve"
        counts[1] += 1
    return [(when, approved, total) for when, (approved, total) in every.items()]
