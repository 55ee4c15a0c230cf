"""Promotion is a review: proposed by a program, decided by a person, carried out once, whoever races or dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from adapters.errors import AdapterNotUsable
from adapters.gate.report import DamagedReport, UnknownReport
from adapters.registry.aliases import AliasMoved, NoPrevious, Registry
from adapters.registry.folders import DamagedAdapter
from adapters.registry.log import PromotionLog
from checkpoints import DecisionLog, EffectLedger
from dojang.flywheel.datasets import sessions_of
from dojang.flywheel.points import collect
from dojang.flywheel.promoting import NotPromotable, propose, roll_back
from dojang.workspace import Workspace
from nodes.door import NotEntitled
from state import Review, UserError
from tests.chaos.instants import Instants, Plan
from tests.databases import SESSIONS, copy_database
from tests.flywheel.promotions import adapters, crown, home, report
from tests.graph.parts import FixedClock

WHY = "better on the decisions of November"


@pytest.fixture
def at(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def desk(at: Path) -> Iterator[Workspace]:
    with home(at) as workspace:
        yield workspace


@pytest.fixture
def two(at: Path) -> tuple[str, str]:
    """The champion and who wants to be."""
    first, second = adapters(at, 1, 2)
    crown(at, first)
    return first, second


def champion(at: Path) -> str | None:
    return Registry(at / "registry").aliases().get("champion")


def promotions(at: Path) -> int:
    return len(Registry(at / "registry").log.read())


def asked(desk: Workspace, at: Path, candidate: str, against: str) -> Review:
    [review] = propose(desk, candidate, report(at, candidate, against), WHY).reviews
    return review


def spoil(path: Path) -> None:
    path.parent.chmod(0o700)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"s", b"z"))


# -------------------------------------------------------------------------------------------------- asked and decided


def test_an_approved_promotion_changes_the_champion_once_and_says_by_whom(
    desk: Workspace, at: Path, two: tuple[str, str]
) -> None:
    first, second = two
    told = report(at, second, first)
    run = propose(desk, second[:6], told[:6], f" {WHY} ")
    assert (run.status, run.adapter, champion(at)) == ("paused", "program:promotion", first)
    [review] = run.reviews
    args = {"adapter": second, "champion": first, "report": told, "reason": WHY}
    assert (review["action"]["tool"], review["action"]["args"], review["tier"]) == ("promote_adapter", args, 3)
    assert (review["requester"], review["why"][0]["rule_id"], review["why"][0]["hard"]) == ("kim", "guarded", True)
    done = desk.decide(review["id"], "approve", by="lee").run
    assert (done.status, [o["status"] for o in done.outcomes], champion(at)) == ("done", ["done"], second)
    last = Registry(at / "registry").log.read()[-1]
    assert (last["by"], last["reason"], last["report"]) == ("lee", WHY, told)
    assert last["key"] == done.outcomes[0]["key"]
    assert done.answer is not None
    assert (done.answer["speaker"], second in done.answer["text"]) == ("program:promotion", True)
    assert "effect.ended" in {record["event"] for record in desk.parts.audit.records(run.thread_id)}
    assert promotions(at) == 2


def test_a_promotion_teaches_nothing(desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    desk.decide(asked(desk, at, two[1], two[0])["id"], "approve", by="lee")
    assert collect(sessions_of(desk.parts)).points == []


def test_the_first_champion_follows_nobody(desk: Workspace, at: Path) -> None:
    [only] = adapters(at, 1)
    review = asked(desk, at, only, "")
    assert "the first champion" in review["summary"]
    desk.decide(review["id"], "approve", by="lee")
    assert Registry(at / "registry").aliases() == {"champion": only}


@pytest.mark.parametrize("verdict", ["failed", "cannot_tell"])
def test_what_did_not_pass_is_not_even_proposed(verdict: str, desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    told = report(at, second, first, verdict=verdict, reasons=[{"code": "leak", "kind": "failed", "facts": {}}])
    with pytest.raises(NotPromotable, match=rf"says {verdict} \(leak\)"):
        propose(desk, second, told, WHY)
    assert not list(at.glob("threads/promotion*"))


def test_a_report_about_others_proposes_nobody(desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    [third] = adapters(at, 3)
    with pytest.raises(NotPromotable, match=f"is about adapter {third}, not {second}"):
        propose(desk, second, report(at, third, first), WHY)
    with pytest.raises(NotPromotable, match="compares with no champion"):
        propose(desk, second, report(at, second, ""), WHY)
    with pytest.raises(UnknownReport):
        propose(desk, second, "0" * 16, WHY)
    with pytest.raises(AdapterNotUsable):
        propose(desk, "zz", report(at, second, first), WHY)
    with pytest.raises(UserError, match="for a reason"):
        propose(desk, second, report(at, second, first), "  ")
    spoil(at / "gates" / f"{(told := report(at, second, first, dataset='e' * 16))}.json")
    with pytest.raises(DamagedReport):
        propose(desk, second, told, WHY)
    spoil(at / "registry" / "adapters" / second / "manifest.json")
    with pytest.raises(DamagedAdapter):
        propose(desk, second, report(at, second, first), WHY)
    assert (champion(at), list(at.glob("threads/promotion*"))) == (first, [])


def test_denied_or_left_alone_nothing_changes(at: Path, two: tuple[str, str]) -> None:
    first, second = two
    clock = FixedClock(datetime.fromisoformat("2026-11-22T09:00:00+00:00"))
    with home(at, clock=clock) as desk:
        refused = desk.decide(asked(desk, at, second, first)["id"], {"type": "reject", "reason": "not yet"}, by="lee")
        assert refused.run.answer is not None
        assert ("not yet" in refused.run.answer["text"], refused.run.outcomes[0]["status"]) == (True, "refused")
        with pytest.raises(UserError, match="no model speaks in conversation promotion_"):
            desk.ask("please promote it all the same", thread_id=refused.run.thread_id)
        asked(desk, at, second, first)
        clock.at += timedelta(days=30)
        [over] = desk.do_due().runs
        assert over.outcomes[0]["status"] == "refused"
    assert (champion(at), promotions(at)) == (first, 1)


def test_what_a_person_edits_is_checked_like_anything_else(desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    [third] = adapters(at, 3)
    review = asked(desk, at, second, first)
    edited = {**review["action"]["args"], "adapter": third}
    run = desk.decide(review["id"], {"type": "edit", "edited_args": edited}, by="lee").run
    assert (run.outcomes[0]["status"], champion(at)) == ("failed", first)
    assert f"not {third}" in run.outcomes[0]["error"]


# ------------------------------------------------------------------------------------------- what no policy relaxes


def with_rules(at: Path, *rules: str) -> Path:
    at.mkdir(exist_ok=True)
    path = at / "policy.toml"
    made = [
        f'[[rule]]\nid = "r{n}"\ntext = "r"\non = "call"\ntool = "promote_adapter"\n{r}' for n, r in enumerate(rules)
    ]
    path.write_text("\n".join(made), encoding="utf-8")
    return path


def test_no_rule_and_no_approval_in_advance_lets_a_promotion_pass(at: Path, two: tuple[str, str]) -> None:
    first, second = two
    rules = with_rules(at, 'outcome = "auto"\nsigned_by = "kim"', 'outcome = "ask"\ntier = 0')
    with home(at, policy=rules) as desk:
        desk.parts.standing.allow(
            tool="promote_adapter", condition="true", max_uses=5, lasts=timedelta(hours=1), by="kim", irreversible=True
        )
        review = asked(desk, at, second, first)
    assert (review["tier"], champion(at)) == (3, first)


def test_rules_make_it_harder(at: Path, two: tuple[str, str]) -> None:
    first, second = two
    with home(at, policy=with_rules(at, 'outcome = "ask"\ntier = 4\nvotes = 2')) as desk:
        review = asked(desk, at, second, first)
        assert (review["tier"], review["votes_needed"], review.get("self_approval")) == (4, 2, False)
        with pytest.raises(NotEntitled):
            desk.decide(review["id"], "approve", by="kim")
        desk.decide(review["id"], "approve", by="lee")
        assert champion(at) == first
        desk.decide(review["id"], "approve", by="hana")
    assert (champion(at), Registry(at / "registry").log.read()[-1]["by"]) == (second, "lee, hana")
    with home(at, policy=with_rules(at, 'outcome = "forbid"')) as desk:
        run = propose(desk, first, report(at, first, second), WHY)
    assert (run.reviews, run.outcomes[0]["status"], champion(at)) == ([], "refused", second)


# ---------------------------------------------------------------------------------- changed, raced, killed in between


@pytest.mark.parametrize("what", ["report", "adapter", "champion"])
def test_at_the_effect_everything_is_looked_at_again(
    what: str, desk: Workspace, at: Path, two: tuple[str, str]
) -> None:
    first, second = two
    review = asked(desk, at, second, first)
    match what:
        case "report":
            spoil(at / "gates" / f"{review['action']['args']['report']}.json")
        case "adapter":
            spoil(at / "registry" / "adapters" / second / "manifest.json")
        case _:
            crown(at, *adapters(at, 3), seen=first)
    before, count = champion(at), promotions(at)
    run = desk.decide(review["id"], "approve", by="lee").run
    assert (run.status, run.outcomes[0]["status"]) == ("done", "failed")
    assert ("by now" if what == "champion" else "was changed") in run.outcomes[0]["error"]
    assert (champion(at), promotions(at)) == (before, count)


def test_of_two_promotions_one_wins_and_the_other_is_told(desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    [third] = adapters(at, 3)
    one, other = asked(desk, at, second, first), asked(desk, at, third, first)
    desk.decide(one["id"], "approve", by="lee")
    lost = desk.decide(other["id"], "approve", by="hana").run
    assert (lost.outcomes[0]["status"], champion(at), promotions(at)) == ("failed", second, 2)
    assert f"champion is {second} by now, not {first}" in lost.outcomes[0]["error"]


def test_an_effect_done_again_under_its_key_promotes_once(at: Path, two: tuple[str, str]) -> None:
    first, second = two
    registry = Registry(at / "registry")
    made = registry.promote(second, seen=first, by="lee", reason=WHY, key="fx_1", report="r")
    assert registry.promote(second, seen=first, by="lee", reason=WHY, key="fx_1", report="r") == made
    assert registry.promoted_as("fx_1") == made
    assert (registry.promoted_as(""), registry.promoted_as("fx_2"), promotions(at)) == (None, None, 2)
    registry.rollback(by="kim", reason="it answers too late")
    assert registry.promote(second, seen=first, by="lee", reason=WHY, key="fx_1") == made
    assert registry.aliases()["champion"] == first
    with pytest.raises(AliasMoved):
        registry.promote(second, seen=second, by="lee", reason=WHY, key="fx_2")


When = Literal["before", "after"]
KILLS: list[tuple[Any, str, When]] = [
    (DecisionLog, "record", "after"), (EffectLedger, "begin", "after"), (PromotionLog, "append", "before"),
    (PromotionLog, "append", "after"), (EffectLedger, "finish", "before"), (EffectLedger, "finish", "after"),
]  # fmt: skip


def dies(work: Callable[[], object], owner: Any, method: str, when: When) -> None:
    """Do the work in a child that is killed before or after it calls a method."""
    child = os.fork()
    if child == 0:
        try:
            Instants(Plan(fatal=1, when=when), lambda name: None).watch(owner, method)
            work()
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), f"nobody came by {method}"


def _approve(at: Path, review_id: str) -> None:
    home(at).decide(review_id, "approve", by="lee")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a child is killed in the middle of a promotion")
def test_killed_anywhere_it_is_promoted_at_most_once_and_nobody_is_in_doubt(at: Path, two: tuple[str, str]) -> None:
    first, second = two
    with home(at) as desk:
        review = asked(desk, at, second, first)
    seen = set()
    for n, (owner, method, when) in enumerate(KILLS):
        there = at.with_name(f"at{n}")
        shutil.copytree(at, there, symlinks=True)
        if SESSIONS == "postgres":
            copy_database(at, there)
        dies(partial(_approve, there, review["id"]), owner, method, when)
        found = champion(there)
        seen.add(found)
        assert promotions(there) == {first: 1, second: 2}[str(found)]
        with home(there) as desk:
            run = desk.resume(review["thread_id"])
            if run.reviews:  # killed before the decision was on the disk: nobody was told that it is
                run = desk.decide(review["id"], "approve", by="lee").run
        assert [outcome["status"] for outcome in run.outcomes] == ["done"], (method, when)
        assert (champion(there), promotions(there)) == (second, 2)
    assert seen == {first, second}


# ------------------------------------------------------------------------------------------------------------ rollback


def test_a_rollback_is_one_record_and_is_in_the_audit_chain(desk: Workspace, at: Path, two: tuple[str, str]) -> None:
    first, second = two
    with pytest.raises(NoPrevious, match="none before it"):
        roll_back(desk.parts, "no")
    crown(at, second, seen=first)
    made = roll_back(desk.parts, "it answers too late")
    assert made["set"] == {"champion": first, "previous": second} == Registry(at / "registry").aliases()
    [noted] = [r for r in desk.parts.audit.records(None) if r["event"] == "champion.rolled_back"]
    assert (noted["actor"], noted["facts"]["reason"]) == ("kim", "it answers too late")
    roll_back(desk.parts, "and forth")
    assert champion(at) == second
    assert sum(r["event"] == "champion.rolled_back" for r in desk.parts.audit.records(None)) == 2
    with pytest.raises(UserError, match="for a reason"):
        roll_back(desk.parts, " ")
    spoil(at / "registry" / "adapters" / first / "manifest.json")
    with pytest.raises(DamagedAdapter):
        roll_back(desk.parts, "back to a changed one")
    assert champion(at) == second


def test_a_rollback_that_somebody_was_before_changes_nothing(
    desk: Workspace, at: Path, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    [third] = adapters(at, 3)
    crown(at, second, seen=first)
    stale = Registry(at / "registry").aliases()
    crown(at, third, seen=second)
    monkeypatch.setattr(Registry, "aliases", lambda self: stale)
    with pytest.raises(AliasMoved, match="somebody else was first"):
        roll_back(desk.parts, "too late")
    monkeypatch.undo()
    assert champion(at) == third
