"""Differences of two speakers over the same points, with an interval: paired, resampled by conversation, seeded. Pure.

Points of one conversation are not independent of each other, so whole conversations are drawn (the cluster bootstrap;
Davison and Hinkley 1997, section 3.8). The interval is the percentile one: it exists also where all differ alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapters.gate.report import Figure

RESAMPLES: Final = 4_999
LEAST_GROUPS: Final = 2


class Pair(NamedTuple):
    """What a metric says of two speakers at one point; None where it says nothing of one of them."""

    group: str  # the conversation
    candidate: float | None
    against: float | None


def figure(pairs: Sequence[Pair], *, confidence: float, seed: int) -> Figure:
    """Means and their difference over the points at which both are known, and the interval of the difference.

    Of one conversation alone there is no interval. The same pairs, confidence and seed give the same numbers.
    """
    known = [(p.group, p.candidate, p.against) for p in pairs if p.candidate is not None and p.against is not None]
    if not known:
        return Figure(candidate=None, against=None, difference=None, low=None, high=None, n=0)
    ours, theirs = (sum(side) / len(known) for side in ([row[1] for row in known], [row[2] for row in known]))
    groups: dict[str, tuple[float, int]] = {}
    for group, candidate, against in known:
        total, count = groups.get(group, (0.0, 0))
        groups[group] = (total + candidate - against, count + 1)
    low, high = _interval(groups, confidence, seed) if len(groups) >= LEAST_GROUPS else (None, None)
    return Figure(
        candidate=_rounded(ours), against=_rounded(theirs), difference=_rounded(ours - theirs), low=low, high=high,
        n=len(known),
    )  # fmt: skip


def _interval(groups: Mapping[str, tuple[float, int]], confidence: float, seed: int) -> tuple[float, float]:
    means = {_rounded(total / count) for total, count in groups.values()}
    if len(means) == 1:  # whatever is drawn has this mean
        return min(means), max(means)
    import numpy as np
    from scipy.stats import bootstrap

    totals, counts = (
        np.array(column, dtype=float) for column in zip(*(groups[g] for g in sorted(groups)), strict=True)
    )

    def mean(total: Any, count: Any, axis: int = -1) -> Any:
        return total.sum(axis=axis) / count.sum(axis=axis)

    found = bootstrap(
        (totals, counts), mean, paired=True, vectorized=True, n_resamples=RESAMPLES, confidence_level=confidence,
        method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return _rounded(found.low), _rounded(found.high)


def groups_of(pairs: Sequence[Pair]) -> int:
    """Of how many conversations the points are at which both are known."""
    return len({p.group for p in pairs if p.candidate is not None and p.against is not None})


def _rounded(value: float) -> float:
    return round(float(value), 6) + 0.0  # no -0.0


__all__ = ["LEAST_GROUPS", "RESAMPLES", "Pair", "figure", "groups_of"]
