"""Votes, undo, release, claims and escalations in the log of decisions: each excludes what contradicts it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from checkpoints import AlreadyDecided, DecisionLog
from checkpoints.audit.check import verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditLog
from checkpoints.backend import Backend
from checkpoints.errors import Claimed, TooLateToUndo
from checkpoints.records.decisions import NothingToUndo
from state import Assignment, Conflict, Decision
from tests.checkpoints.cases import decision

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def later(**by: float) -> datetime:
    return NOW + timedelta(**by)


def said(by: str, kind: Any = "approve", *, held_s: float = 0, **more: Any) -> Decision:
    made = decision("r", **{"by": by, "type": kind, "at": NOW.isoformat(), **more})
    if held_s:
        made["held_until"] = later(seconds=held_s).isoformat()
    return made


@pytest.fixture
def log(where: Backend) -> DecisionLog:
    return DecisionLog(where)


def test_the_last_of_several_distinct_people_decides(log: DecisionLog) -> None:
    assert log.vote("t", said("kim"), 2) is None
    assert log.vote("t", said("kim"), 2) is None  # the same person again is no second vote
    assert log.of("t") == {}
    final = log.vote("t", said("lee"), 2)
    assert final is not None
    assert (final["by"], log.of("t")["r"]) == ("lee", final)
    assert [vote["by"] for vote in log.progress("t")["r"]["votes"]] == ["kim", "lee"]
    assert log.vote("t", said("kim"), 2) == final  # a retry by a voter learns how it ended
    with pytest.raises(AlreadyDecided):
        log.vote("t", said("park"), 2)


@pytest.mark.parametrize("other", ["Kim", " kim", "\uff4bim", "kim\u200b"])
def test_another_spelling_is_no_other_person(log: DecisionLog, other: str) -> None:
    assert log.vote("t", said("kim"), 2) is None
    assert log.vote("t", said(other), 2) is None
    assert [vote["by"] for vote in log.progress("t")["r"]["votes"]] == ["kim"]
    log.claim("t", "r", other, NOW)
    log.claim("t", "r", "kim", NOW)
    assert log.undo("t", "r", other, NOW)["by"] == "kim"
    assert log.progress("t")["r"]["votes"] == []


def test_one_rejection_ends_a_vote(log: DecisionLog) -> None:
    log.vote("t", said("kim"), 2)
    log.record("t", said("lee", "reject", reason="no"))
    with pytest.raises(AlreadyDecided) as lost:
        log.vote("t", said("kim"), 2)
    assert lost.value.winner["by"] == "lee"


def test_a_hundred_votes_at_once_make_one_decision(log: DecisionLog) -> None:
    gate = Barrier(16)

    def vote(n: int) -> Decision | None:
        gate.wait(30)
        try:
            return log.vote("t", said(f"p{n % 8}"), 3)
        except AlreadyDecided:
            return None

    with ThreadPoolExecutor(16) as pool:
        ends = [end for end in pool.map(vote, range(16)) if end is not None]
    votes = log.progress("t")["r"]["votes"]
    assert len(votes) == len({vote["by"] for vote in votes}) == 3
    assert {end["by"] for end in ends} == {votes[-1]["by"]}


def test_a_decision_can_be_taken_back_until_its_time_is_over(log: DecisionLog) -> None:
    log.record("t", said("kim", held_s=5))
    assert log.release("t", ["r"], later(seconds=4)) == {}
    assert log.undo("t", "r", "kim", later(seconds=4))["by"] == "kim"
    assert log.of("t") == {}
    assert log.progress("t")["r"]["votes"] == []
    with pytest.raises(NothingToUndo):
        log.undo("t", "r", "kim", later(seconds=4))
    second = log.record("t", said("lee", "reject", held_s=5))
    with pytest.raises(Conflict, match="only lee"):
        log.undo("t", "r", "kim", later(seconds=4))
    with pytest.raises(TooLateToUndo, match="cannot be taken back any more"):
        log.undo("t", "r", "lee", later(seconds=5))
    assert log.release("t", ["r", "unknown"], later(seconds=5)) == {"r": second}


def test_what_is_released_cannot_be_taken_back_and_needs_no_time(log: DecisionLog) -> None:
    made = log.record("t", said("kim"))
    assert log.release("t", ["r"], NOW) == {"r": made}
    with pytest.raises(TooLateToUndo):
        log.undo("t", "r", "kim", NOW)


def test_a_voter_takes_the_vote_back_and_with_it_the_decision(log: DecisionLog) -> None:
    log.vote("t", said("kim"), 2)
    log.undo("t", "r", "kim", NOW)
    log.vote("t", said("kim"), 2)
    log.vote("t", said("lee", held_s=5), 2)
    log.undo("t", "r", "kim", NOW)
    assert log.of("t") == {}
    assert [vote["by"] for vote in log.progress("t")["r"]["votes"]] == ["lee"]
    assert log.vote("t", said("park"), 2) is not None


@pytest.mark.parametrize("round_", range(20))
def test_undo_and_release_exclude_each_other(log: DecisionLog, round_: int) -> None:
    """Undo comes at an instant before the end of the window, release at one after it: whoever is first wins."""
    thread = f"t{round_}"
    log.record(thread, said("kim", held_s=5))
    gate = Barrier(2)

    def undo() -> bool:
        gate.wait(30)
        try:
            log.undo(thread, "r", "kim", later(seconds=4))
        except TooLateToUndo:
            return False
        return True

    def release() -> bool:
        gate.wait(30)
        return bool(log.release(thread, ["r"], later(seconds=6)))

    with ThreadPoolExecutor(2) as pool:
        undone, released = pool.submit(undo), pool.submit(release)
    assert undone.result() != released.result()
    assert bool(log.of(thread)) == released.result()


def test_a_claim_keeps_others_out_for_ten_minutes(log: DecisionLog) -> None:
    claim = log.claim("t", "r", "kim", NOW)
    assert claim["until"] == later(minutes=10).isoformat()
    with pytest.raises(Claimed, match="kim has claimed"):
        log.claim("t", "r", "lee", later(minutes=9))
    with pytest.raises(Claimed):
        log.record("t", said("lee"))
    with pytest.raises(Claimed):
        log.vote("t", said("lee"), 2)
    with pytest.raises(Claimed):
        log.unclaim("t", "r", "lee", NOW)
    assert log.of("t") == {}
    assert log.claim("t", "r", "lee", later(minutes=10))["by"] == "lee"  # released by itself
    log.unclaim("t", "r", "lee", later(minutes=11))
    assert log.record("t", said("park"))["by"] == "park"
    with pytest.raises(AlreadyDecided):
        log.claim("t", "r", "kim", NOW)


def test_a_claim_does_not_stop_the_clock(log: DecisionLog) -> None:
    log.claim("t", "r", "kim", NOW)
    assert log.record("t", said("", "expire"))["type"] == "expire"


def handed(by: str, role: str = "manager", at: datetime = NOW) -> Assignment:
    return Assignment(role=role, by=by, at=at.isoformat())


def test_what_is_handed_up_lets_go_of_ones_own_claim_only(log: DecisionLog) -> None:
    log.claim("t", "r", "kim", NOW)
    with pytest.raises(Claimed):
        log.assign("t", "r", handed("lee"))
    assert log.assign("t", "r", handed("kim"))
    assert not log.assign("t", "r", handed("kim", at=later(minutes=1)))  # said already
    assert log.assign("t", "r", handed("kim", "finance"))
    found = log.progress("t")["r"]
    assert (found["assigned"], found["claim"]) == (handed("kim", "finance"), None)
    log.record("t", said("park"))
    with pytest.raises(AlreadyDecided):
        log.assign("t", "r", handed("kim"))


def test_an_escalation_is_recorded_once(log: DecisionLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        fresh = list(pool.map(lambda n: log.escalate("t", "r", NOW), range(8)))
    assert fresh.count(True) == 1
    assert log.progress("t")["r"]["escalated_at"] == NOW.isoformat()
    log.record("t", said("kim"))
    assert not log.escalate("t", "r", NOW)


def test_a_claim_is_handed_over_by_whoever_has_it(log: DecisionLog) -> None:
    with pytest.raises(Conflict, match="not claimed by kim any more"):
        log.hand_over("t", "r", "kim", "lee", NOW)
    log.claim("t", "r", "kim", NOW)
    with pytest.raises(Claimed):
        log.hand_over("t", "r", "park", "lee", NOW)
    moved = log.hand_over("t", "r", "Kim", "lee", later(minutes=9))
    assert log.progress("t")["r"]["claim"] == moved
    assert (moved["by"], moved.get("handed_by"), moved["until"]) == ("lee", "Kim", later(minutes=19).isoformat())
    with pytest.raises(Claimed):
        log.record("t", said("kim", at=later(minutes=10).isoformat()))
    log.record("t", said("lee"))
    with pytest.raises(AlreadyDecided):
        log.hand_over("t", "r", "lee", "kim", later(minutes=10))


def test_of_many_who_hand_one_claim_over_one_does(log: DecisionLog) -> None:
    log.claim("t", "r", "kim", NOW)
    gate = Barrier(8)

    def hand(n: int) -> str:
        gate.wait(30)
        try:
            return log.hand_over("t", "r", "kim", f"p{n}", NOW)["by"]
        except Claimed:
            return ""

    with ThreadPoolExecutor(8) as pool:
        won = [name for name in pool.map(hand, range(8)) if name]
    claim = log.progress("t")["r"]["claim"]
    assert claim is not None
    assert won == [claim["by"]]


def test_all_of_it_is_in_the_chain_and_the_chain_holds(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "threads", tmp_path / "keys")
    log = AuditedDecisions(tmp_path / "threads", audit)
    log.claim("t", "r", "kim", NOW)
    log.hand_over("t", "r", "kim", "lee", NOW)
    log.unclaim("t", "r", "lee", NOW)
    log.escalate("t", "r", NOW)
    log.assign("t", "r", handed("kim"))
    log.vote("t", said("kim"), 2)
    log.vote("t", said("lee", held_s=5), 2)
    log.undo("t", "r", "lee", NOW)
    log.vote("t", said("lee", held_s=5), 2)
    log.release("t", ["r"], later(seconds=6))
    assert [(r["event"], r["actor"]) for r in audit.records("t")] == [
        ("review.claimed", "kim"),
        ("review.handed_over", "kim"),
        ("review.given_back", "lee"),
        ("review.escalated", "dojang"),
        ("review.assigned", "kim"),
        ("vote.recorded", "kim"),
        ("decision.recorded", "lee"),
        ("decision.undone", "lee"),
        ("decision.recorded", "lee"),
        ("decision.released", "dojang"),
    ]
    assert verify_audit(tmp_path)["findings"] == []
