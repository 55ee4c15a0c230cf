"""Intervals of differences against known cases."""

from __future__ import annotations

import math
import random
from statistics import NormalDist, mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.gate.report import Figure
from adapters.gate.statistics import Pair, figure, groups_of

SHARES = st.sampled_from([0.0, 1.0])


def of(pairs: list[Pair], confidence: float = 0.95, seed: int = 0) -> Figure:
    return figure(pairs, confidence=confidence, seed=seed)


def test_what_is_known_of_both_alone_counts() -> None:
    got = of([Pair("a", 1.0, 0.0), Pair("b", None, 1.0), Pair("c", 1.0, None), Pair("d", 1.0, 1.0)])
    assert (got["candidate"], got["against"], got["difference"], got["n"]) == (1.0, 0.5, 0.5, 2)
    assert of([Pair("a", None, 1.0)]) == Figure(
        candidate=None, against=None, difference=None, low=None, high=None, n=0
    )  # fmt: skip
    alone = of([Pair("a", 1.0, 0.0), Pair("a", 1.0, 0.0)])
    assert (alone["low"], alone["high"], alone["n"]) == (None, None, 2)
    assert groups_of([Pair("a", 1.0, 0.0), Pair("a", 1.0, 0.0), Pair("b", None, 0.0)]) == 1


def test_differences_that_are_all_the_same_leave_no_doubt() -> None:
    got = of([Pair(str(n), 1.0, 0.0) for n in range(5)])
    assert (got["low"], got["difference"], got["high"]) == (1.0, 1.0, 1.0)
    none = of([Pair(str(n), 0.3, 0.3) for n in range(5)])
    assert (none["low"], none["difference"], none["high"]) == (0.0, 0.0, 0.0)


def test_of_many_independent_differences_the_interval_is_the_normal_one() -> None:
    r = random.Random(1)
    drawn = [r.gauss(0.2, 1.0) for _ in range(400)]
    got = of([Pair(str(n), value, 0.0) for n, value in enumerate(drawn)])
    half = NormalDist().inv_cdf(0.975) * stdev(drawn) / math.sqrt(len(drawn))
    assert got["low"] == pytest.approx(mean(drawn) - half, abs=0.1 * half)
    assert got["high"] == pytest.approx(mean(drawn) + half, abs=0.1 * half)
    narrow = of([Pair(str(n), value, 0.0) for n, value in enumerate(drawn)], confidence=0.5)
    assert narrow["low"] is not None
    assert got["low"] is not None
    assert narrow["low"] > got["low"]


def test_one_of_thirty_is_no_proof_and_ten_of_thirty_are() -> None:
    def better(n: int) -> Figure:
        return of([Pair(str(i), float(i < n), 0.0) for i in range(30)])

    assert better(1)["low"] == 0.0
    ten = better(10)["low"]
    assert ten is not None
    assert ten > 0.1


def test_points_of_one_conversation_are_no_new_evidence() -> None:
    once = [Pair(str(n), float(n % 3 == 0), 0.2) for n in range(12)]
    often = [pair for pair in once for _ in range(20)]
    assert {k: v for k, v in of(often).items() if k != "n"} == {k: v for k, v in of(once).items() if k != "n"}
    apart = of([pair._replace(group=f"{n}") for n, pair in enumerate(often)])
    whole = of(often)
    assert apart["high"] is not None
    assert whole["high"] is not None
    assert apart["high"] < whole["high"]


def test_a_long_conversation_weighs_as_much_as_its_points() -> None:
    got = of([*(Pair("long", 1.0, 0.0) for _ in range(30)), *(Pair(str(n), 0.0, 0.0) for n in range(10))])
    assert (got["difference"], got["low"]) == (0.75, 0.0)
    assert got["high"] is not None
    assert got["high"] > 0.75


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), SHARES, SHARES), min_size=2, max_size=25), st.integers(0, 9))
def test_the_same_seed_gives_the_same_figure_and_swapping_sides_the_other_sign(
    rows: list[tuple[int, float, float]], seed: int
) -> None:
    pairs = [Pair(str(group), a, b) for group, a, b in rows]
    got, again = of(pairs, seed=seed), of(list(pairs), seed=seed)
    assert got == again
    swapped = of([Pair(p.group, p.against, p.candidate) for p in pairs], seed=seed)
    assert (swapped["candidate"], swapped["against"]) == (got["against"], got["candidate"])
    assert got["difference"] is not None
    assert swapped["difference"] == pytest.approx(-got["difference"], abs=1e-6)
    if got["low"] is not None and got["high"] is not None and swapped["low"] is not None:
        assert -1 <= got["low"] <= got["high"] <= 1
        assert swapped["low"] == pytest.approx(-got["high"], abs=0.02)
