"""A small share of ``make chaos``, and the instants at which bare LangGraph certainly pays twice.

``DOJANG_TEST_KILLS`` sets how many kills of chance there are.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.desk import TOOL_OF
from tests.chaos.instants import Plan
from tests.chaos.outside import Outside, ask

KILLS = int(os.environ.get("DOJANG_TEST_KILLS", "12"))
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
PAID = Plan(2, "before", phase="effect")
"""Dead after the payment and before anybody has written it down."""


@pytest.fixture
def campaign(tmp_path: Path, postgres_dsn: str) -> Iterator[Campaign]:
    (tmp_path / "home").mkdir()
    with Outside() as outside:
        yield Campaign(tmp_path / "home", postgres_dsn, outside, seed=int(os.environ.get("SEED", "11")))


def test_the_outside_counts_what_comes_and_a_key_once() -> None:
    with Outside() as outside:
        assert [ask(outside.address, "a"), ask(outside.address, "a")] == [1, 2]
        assert [ask(outside.address, "b", key="k"), ask(outside.address, "b", key="k")] == [1, 1]
        assert ask(outside.address, "a", look=True) == 2
        assert (outside.tried["b"], outside.done["b"]) == (2, 1)


@pytest.mark.parametrize("which", ["one", "two"])
def test_bare_langgraph_pays_twice(campaign: Campaign, which: str) -> None:
    tally = campaign.once(which, PAID)
    assert (tally.kills, tally.phases["effect"], tally.doubled) == (1, 1, 1)


@pytest.mark.parametrize("recovery", [r for r in TOOL_OF if r != "transactional"])
def test_killed_after_the_payment_it_is_not_paid_again(campaign: Campaign, recovery: str) -> None:
    tally = campaign.once(recovery, PAID)
    assert (tally.kills, tally.phases["effect"], tally.happened, tally.doubled) == (1, 1, 1, 0)
    assert (tally.doubts, tally.settled) == ((1, 1) if recovery == "at_most_once" else (0, 0))
    assert tally.notes == []


def test_killed_as_soon_as_the_pause_is_told_the_thread_is_there(campaign: Campaign) -> None:
    """open-swe PR #2821: a server that wrote its threads down every ten seconds lost those of the last ten."""
    tally = campaign.once("idempotent", Plan(1, "before", phase="decide"))
    assert (tally.kills, tally.phases["decide"], tally.lost, tally.happened) == (1, 1, 0, 1)
    assert tally.notes == []


@pytest.mark.parametrize("recovery", [r for r in TOOL_OF if r != "transactional"])
def test_killed_after_a_payment_that_a_rule_let_through_it_is_not_paid_again(campaign: Campaign, recovery: str) -> None:
    """No person and no pause before it: only what was on disk before the effect says that it was begun."""
    tally = campaign.once(recovery, PAID, prefix="free ")
    assert (tally.kills, tally.happened, tally.doubled, tally.decided) == (1, 1, 0, tally.doubts)
    assert tally.notes == []


def test_killed_before_the_payment_the_gap_is_explained(campaign: Campaign) -> None:
    tally = campaign.once("at_most_once", Plan(1, "before", phase="effect"))
    assert (tally.kills, tally.happened, tally.doubts, tally.settled, tally.unexplained) == (1, 0, 1, 1, 0)
    assert tally.notes == []


def test_killed_at_every_statement_of_a_transaction_it_is_paid_once(campaign: Campaign) -> None:
    plans = [Plan(n, "before", phase="effect") for n in range(1, 20)]
    kills = 0
    committed = Plan(1, "before", phase="outcome")  # and not yet in the ledger
    for plan in [committed, *plans]:
        tally = campaign.once("transactional", plan)
        assert (tally.happened, tally.doubled, tally.doubts, tally.notes) == (1, 0, 0, [])
        kills += tally.kills
        if plan.phase == "effect" and not tally.kills:
            break
    assert kills > 6, "hardly any statement was seen: this test would prove nothing"


@pytest.mark.parametrize("recovery", list(TOOL_OF))
def test_killed_at_any_instant(campaign: Campaign, recovery: str) -> None:
    tally = campaign.ours(recovery, KILLS // 3)
    assert tally.kills >= KILLS // 3
    assert (tally.lost, tally.doubled, tally.wrong, tally.unexplained) == (0, 0, 0, 0), tally.notes
    assert tally.settled == tally.doubts
    assert campaign.damage() == []


def test_a_server_that_is_killed_under_load_loses_nothing_that_it_has_acknowledged(campaign: Campaign) -> None:
    """Three clients stream, are cut off by one kill, come again and decide; ``make chaos`` has six, and many kills."""
    tally = campaign.served(1, clients=3, fatal=(60, 110))
    assert (tally.kills, tally.lost, tally.doubled, tally.notes) == (1, 0, 0, [])
    assert campaign.damage() == []
