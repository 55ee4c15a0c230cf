"""Whether some reviewer's decisions are unlike everybody else's, or come like a campaign. Pure; sees pseudonyms only.

Three signs, none of them a proof: somebody says yes to a tool's calls, or makes the same edit, far oftener or more
seldom than the others (Fisher's exact test, Holm's correction over all that was compared); somebody makes most of all
edits; several people who had never decided before make one and the same edit within a short time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

ALPHA: Final = 0.01
LEAST: Final = 8
"""Decisions on a tool, one's own and the others', below which nothing is compared."""
LEAST_EDITS: Final = 20
NEWCOMERS: Final = 3
WITHIN: Final = timedelta(days=1)
Sign = Literal["differs", "dominates", "campaign"]


@dataclass(frozen=True)
class Judgement:
    """A decision as far as it matters here. ``edit``: what was changed to what, "" where nothing was."""

    reviewer: str
    tool: str
    type: str
    at: str
    edit: str = ""


@dataclass(frozen=True)
class Finding:
    """A sign about reviewers. ``own`` and ``others`` are counts [of, in all]; ``p`` is Holm's, 0 where none is made."""

    sign: Sign
    reviewers: tuple[str, ...]
    tool: str
    about: str
    own: tuple[int, int]
    others: tuple[int, int]
    p: float = 0.0


def findings(judgements: Sequence[Judgement], *, most_edits: float = 0.8) -> list[Finding]:
    """Everything that is unlike. ``most_edits``: the share of all edits from which one person makes too many."""
    return [*differing(judgements), *dominating(judgements, most_edits), *campaigns(judgements)]


def differing(judgements: Sequence[Judgement], *, alpha: float = ALPHA, least: int = LEAST) -> list[Finding]:
    """Reviewers who approve a tool's calls unlike the others do, or make an edit oftener.

    Whoever is the most unlike is left out of the next look, so that one person does not make all others look odd. Of
    two people nobody can say which of them is the odd one: both are named.
    """
    found: list[Finding] = []
    while True:
        gone = {(name, f.tool) for f in found for name in f.reviewers}
        left = [j for j in judgements if (j.reviewer, j.tool) not in gone]
        tried = [f for tool in sorted({j.tool for j in left}) for f in _compared(left, tool, least)]
        # The smallest p times the number of comparisons; the next look makes fewer (Holm 1979).
        first = min(tried, key=lambda f: f.p, default=None)
        p = first.p * len(tried) if first is not None else 1.0
        if first is None or p > alpha:
            return found
        found.append(replace(first, p=p))


def _compared(judgements: Sequence[Judgement], tool: str, least: int) -> Iterator[Finding]:
    from scipy.stats import fisher_exact

    here = [j for j in judgements if j.tool == tool]
    edits = Counter(j.edit for j in here if j.edit)
    names = sorted({j.reviewer for j in here})
    for reviewer in names:
        own, others = [j for j in here if j.reviewer == reviewer], [j for j in here if j.reviewer != reviewer]
        if min(len(own), len(others)) < least:
            continue
        who = tuple(names) if len(names) == 2 else (reviewer,)
        for about in ("approve", *sorted(e for e, count in edits.items() if count >= least)):
            mine, theirs = _count(own, about), _count(others, about)
            way = "two-sided" if about == "approve" else "greater"  # not to make somebody's mistake is no sign
            table = [[mine, len(own) - mine], [theirs, len(others) - theirs]]
            p = float(fisher_exact(table, alternative=way)[1])
            yield Finding("differs", who, tool, about, (mine, len(own)), (theirs, len(others)), p)


def _count(judgements: Iterable[Judgement], about: str) -> int:
    return sum(j.type == about if about == "approve" else j.edit == about for j in judgements)


def dominating(judgements: Sequence[Judgement], share: float, *, least: int = LEAST_EDITS) -> list[Finding]:
    """Who makes more than ``share`` of all edits, where several people decide."""
    edits = Counter(j.reviewer for j in judgements if j.type == "edit")
    total = sum(edits.values())
    if total < least or len({j.reviewer for j in judgements}) < 2:
        return []
    return [
        Finding("dominates", (name,), "", "edit", (count, total), (total - count, total))
        for name, count in sorted(edits.items())
        if count > share * total
    ]


def campaigns(judgements: Sequence[Judgement], *, people: int = NEWCOMERS, within: timedelta = WITHIN) -> list[Finding]:
    """One and the same edit by several people whose first decisions lie close together, after others had begun."""
    first: dict[str, datetime] = {}
    for j in judgements:
        at = datetime.fromisoformat(j.at)
        first[j.reviewer] = min(at, first.get(j.reviewer, at))
    begun = min(first.values(), default=None)
    makers: Mapping[tuple[str, str], set[str]] = defaultdict(set)
    for j in judgements:
        if j.edit:
            makers[j.tool, j.edit].add(j.reviewer)
    found = []
    for (tool, edit), names in sorted(makers.items()):
        new = _together(sorted((first[n], n) for n in names if begun is not None and first[n] > begun), within)
        if len(new) >= people:
            own = sum(j.edit == edit and j.tool == tool and j.reviewer in new for j in judgements)
            every = sum(j.edit == edit and j.tool == tool for j in judgements)
            found.append(Finding("campaign", tuple(sorted(new)), tool, edit, (own, every), (every - own, every)))
    return found


def _together(arrivals: Sequence[tuple[datetime, str]], within: timedelta) -> set[str]:
    """The most people who came within that time of each other."""
    best: set[str] = set()
    for begin, _ in arrivals:
        came = {name for at, name in arrivals if begin <= at <= begin + within}
        best = max(best, came, key=len)
    return best


__all__ = ["Finding", "Judgement", "Sign", "campaigns", "differing", "dominating", "findings"]
