"""A report of a period: figures from chains that verify, none of what was changed, the same in both languages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from checkpoints.audit.check import verify_audit
from checkpoints.audit.trail import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.errors import AlreadyDecided
from dojang.period import Period, period_of
from state import Decision, Review
from tests.checkpoints.audited import ACTION, outcome
from tests.checkpoints.cases import decision
from tests.dojang.conftest import Shell
from tests.sessions_in_postgres import changed_by_hand, kept_in

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class House:
    """The chains of a home that a test writes, with a clock that it turns."""

    def __init__(self, home: Path) -> None:
        self.home, self.at = home, NOON
        self.audit = AuditLog(kept_in(home).backend, home / "keys", clock=lambda: self.at)
        self.decisions = AuditedDecisions(self.audit.backend, self.audit)

    def opened(self, name: str, kind: str = "tool", tier: int = 1, tool: str = "book_room") -> None:
        review: Any = {
            "id": name, "thread_id": f"t-{name}", "kind": kind, "digest": "d", "policy_version": "p", "tier": tier,
            "created_at": self.at.isoformat(), "action": {"tool": tool},
        }  # fmt: skip
        made: Review = review
        self.audit.opened([made])

    def said(self, name: str, by: str, kind: Any = "approve", *, dwell_s: float | None = None, **more: Any) -> Decision:
        dwell = None if dwell_s is None else int(dwell_s * 1000)
        given = {"by": by, "type": kind, "at": self.at.isoformat(), "dwell_ms": dwell, "channel": "console", **more}
        return self.decisions.record(f"t-{name}", decision(name, **given))

    def note(self, event: str, actor: str, subject: str, **facts: Any) -> None:
        self.audit.note(None, event, actor, subject, facts)

    def period(self, since: datetime = NOON, until: datetime | None = None) -> Period:
        return period_of(verify_audit(self.home, backend=self.audit.backend), self.audit, since, until or self.at)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_who_decided_how_much_and_how_long_they_looked(house: House) -> None:
    for n, (who, kind, tier, dwell) in enumerate([
        ("kim", "approve", 1, 4.0), ("Kim", "approve", 1, 8.0), ("kim", "edit", 2, 2.0), ("lee", "reject", 2, 30.0),
        ("lee", "approve", 3, 1.0),
    ]):  # fmt: skip
        house.opened(f"r{n}", tier=tier, kind="compliance" if n == 3 else "tool", tool="pay" if tier > 1 else "book")
        house.said(f"r{n}", who, kind, dwell_s=dwell)
    figures = house.period().figures
    assert figures is not None
    kim, lee = figures.persons
    assert (kim.name, kim.types, kim.looked_s, kim.looked) == (
        "kim", {"approve": 2, "edit": 1, "reject": 0, "answer": 0}, 4.0, 3,
    )  # fmt: skip
    assert (lee.quick_high, lee.types["reject"]) == (1, 1)
    assert figures.by_kind == {"tool": {"approve": 3, "edit": 1}, "compliance": {"reject": 1}}
    assert figures.by_tier == {"1": {"approve": 2}, "2": {"edit": 1, "reject": 1}, "3": {"approve": 1}}
    assert figures.looked_by_tier == {"1": 6.0, "2": 16.0, "3": 1.0}
    assert (figures.by_tool["pay"], figures.quick, figures.total) == ({"edit": 1, "reject": 1, "approve": 1}, 2, 5)
    assert figures.opened == {"tool": 4, "compliance": 1}


def test_only_what_stands_and_lies_within_counts(house: House) -> None:
    for name in ("before", "back", "late", "dead", "lost"):
        house.opened(name)
    house.said("before", "kim")
    house.at += timedelta(hours=1)
    held = (house.at + timedelta(minutes=5)).isoformat()
    house.said("back", "kim", held_until=held)
    house.decisions.undo("t-back", "back", "kim", house.at)
    house.said("lost", "kim")
    with pytest.raises(AlreadyDecided):
        house.said("lost", "lee", "reject")
    house.said("dead", "", "expire", channel="clock")
    house.at += timedelta(hours=1)
    until = house.at
    house.at += timedelta(seconds=1)
    house.said("late", "kim")
    figures = house.period(NOON + timedelta(minutes=30), until).figures
    assert figures is not None
    assert (figures.total, figures.expired, figures.opened) == (1, {"tool": 1}, {})
    assert figures.counts["taken_back"] == 1
    assert [one.taken_back for one in figures.persons] == [1]
    assert figures.refused == {"somebody was first": 1}


def test_halts_promotions_handovers_and_checks(house: House) -> None:
    house.note("runs.paused", "ann", "runs", why="the provider is down | again")
    house.at += timedelta(hours=2)
    since = house.at
    house.note("runs.resumed", "bob", "runs", paused_by="ann", at=NOON.isoformat())
    house.note("runs.paused", "ann", "runs", why="a drill")
    house.opened("p1", tier=3, tool="promote_adapter")
    house.said("p1", "mina")
    ledger = AuditedLedger(house.audit.backend, house.audit)
    ledger.begin("t-p1", "k", {**ACTION, "tool": "promote_adapter"}, "at_most_once")
    ledger.finish("t-p1", "k", {**outcome(), "tool": "promote_adapter", "at": house.at.isoformat()})
    house.note("champion.rolled_back", "mina", "promotion:2", reason="worse")
    house.note("shift.handed_over", "olga", "ho_1", to="ben", note="", reviews=["r1", "r2"], open=3, overdue=1)
    house.note("shift.taken_over", "ben", "ho_1", **{"from": "olga"})
    for name, said in (("c1", "reject"), ("c2", "approve"), ("c3", "expire")):
        house.note("check.seeded", "ann", f"t-{name}", card="ck", right=["reject"], tool="pay")
        house.opened(name, tool="pay")
        house.said(name, "" if said == "expire" else "kim", said)
    figures = house.period(since).figures
    assert figures is not None
    assert [(h.by, h.resumed_by) for h in figures.halts] == [("ann", "bob"), ("ann", "")]
    assert [(p.by, p.thread) for p in figures.promotions] == [(["mina"], "t-p1")]
    assert [(h.by, h.to, h.reviews, bool(h.taken_at)) for h in figures.handovers] == [("olga", "ben", 2, True)]
    assert figures.checks == {"put_in": 3, "seen": 1, "missed": 1, "nobody": 1}
    assert (figures.total, figures.expired) == (1, {}), "checks are no decisions about anything"
    [kim] = [one for one in figures.persons if one.name == "kim"]
    assert (kim.checks_seen, kim.checks_missed, kim.types["reject"]) == (1, 1, 0)
    assert figures.counts["rolled_back"] == 1


def test_a_chain_that_does_not_verify_counts_for_nothing_and_is_named(house: House) -> None:
    for name in ("good", "bad"):
        house.opened(name)
        house.said(name, "kim")
    changed_by_hand(house.audit.backend, "t-bad", "audit", '"approve"', '"reject"')
    made = house.period()
    assert made.figures is not None
    assert (made.verified.whole, made.verified.left_out, made.figures.total) == (False, ["t-bad"], 1)
    changed_by_hand(house.audit.backend, None, "audit", "thread.anchored", "thread.anchorad")
    made = house.period()
    assert (made.figures, made.verified.whole) == (None, False)


Rows = Callable[[], list[tuple[Any, ...]]]


def test_the_report_on_the_command_line(shell: Shell) -> None:
    thread, review = shell.paused()
    assert shell("approve", review, "--user", "김대리 | <b>").code == 0
    today = datetime.now().astimezone().date().isoformat()
    made = shell("audit", "report", "--from", today)
    assert made.code == 0, made
    assert made.out.startswith("# Human decisions from ")
    assert "The audit chains verify" in made.out
    assert "| 김대리 \\| \\<b\\> | 1 | 0 | 0 | 0 |" in made.out
    korean = shell("audit", "report", "--from", today, "--to", today, "--lang", "ko").out
    assert korean.startswith("# 사람의 결재")
    assert "| 김대리 \\| \\<b\\> | 1 | 0 | 0 | 0 |" in korean
    assert not [line for line in korean.splitlines() if line.startswith("#") and line.isascii()]
    document = shell("audit", "report", "--from", today, "--json").json
    assert document["figures"]["by_kind"] == {"tool": {"approve": 1}}
    assert "audit.exported" in [r["event"] for r in shell("audit", "list", "--json").json]
    assert shell("audit", "report", "--from", "2026-01-02", "--to", "2026-01-01").code == 2
    assert shell("audit", "report", "--from", "soon").code == 2
    with shell.backend() as kept:
        changed_by_hand(kept, thread, "audit", '"approve"', '"reject"')
    broken = shell("audit", "report", "--from", today)
    assert (broken.code, "THE AUDIT CHAINS DO NOT VERIFY" in broken.out) == (70, True)
    assert f"Nothing counts of these conversations: {thread.replace('_', chr(92) + '_')}" in broken.out
    assert "김대리" not in broken.out
    assert shell("audit", "report", "--from", today, "--json").json["verified"]["left_out"] == [thread]
