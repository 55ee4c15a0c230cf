"""Standing approvals: what they may relax, how long, how often, and what happens to a damaged file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state import Conflict, UserError
from tests.tools.test_policy import IRREVERSIBLE, rule, subject
from tools.policy import FilePolicy, load_policy
from tools.standing import BrokenStanding, FileLines, Standing, StandingApproval, UnknownStanding

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Turned:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def standing(tmp_path: Path, clock: Turned) -> Standing:
    return Standing(tmp_path / "home" / "standing.jsonl", clock)


def path_of(standing: Standing) -> Path:
    """Its file."""
    lines = standing._lines
    assert isinstance(lines, FileLines)
    return lines.path


def allowed(standing: Standing, **changes: Any) -> StandingApproval:
    given = {
        "by": "김매니저",
        "tool": "book_room",
        "condition": "args.guests <= 2",
        "max_uses": 3,
        "lasts": timedelta(hours=8),
    }
    return standing.allow(**{**given, **changes})


Make = Callable[..., FilePolicy]


@pytest.fixture
def policy(tmp_path: Path, standing: Standing) -> Make:
    def make(*rules: str, hard: str = "") -> FilePolicy:
        path, hard_path = tmp_path / "policy.toml", tmp_path / "hard.toml"
        path.write_text("\n".join(rules), encoding="utf-8")
        hard_path.write_text(hard, encoding="utf-8")
        return load_policy(path, hard_path if hard else None, standing=standing)

    return make


TWO = {"args": {"guests": 2}}
SOFT = rule(tool="book_room", tier=2)


def test_a_covered_call_is_notified_and_names_who_allowed_it(policy: Make, standing: Standing) -> None:
    approval = allowed(standing)
    made = policy(SOFT)
    verdict = made.judge("call:1", subject(**TWO, language="ko"))
    assert (verdict["outcome"], verdict["tier"], verdict["roles"], verdict["votes"]) == ("notify", 0, [], 1)
    assert [reason["rule_id"] for reason in verdict["why"]] == ["r", f"standing:{approval.id}"]
    assert "김매니저 님이 미리 승인했습니다" in verdict["why"][-1]["text"]
    assert verdict["why"][-1]["hard"] is False
    assert verdict["policy_version"] == load_policy(path_of(standing).parents[1] / "policy.toml").version
    assert standing.get(approval.id).uses == 1


def test_considering_counts_nothing(policy: Make, standing: Standing) -> None:
    approval = allowed(standing, max_uses=1)
    made = policy(SOFT)
    assert [made.consider("call:1", subject(**TWO))["outcome"] for _ in range(3)] == ["notify"] * 3
    assert standing.get(approval.id).uses == 0


@pytest.mark.parametrize(
    ("changes", "rules", "hard"),
    [
        ({"args": {"guests": 3}}, [SOFT], ""),
        ({"args": {"guests": "two"}}, [SOFT], ""),
        ({"args": {}}, [SOFT], ""),
        ({**TWO, "tool": "cancel_booking"}, [rule()], ""),
        ({**TWO, "trust": "untrusted"}, [SOFT], ""),
        ({**TWO, "reversible": False}, [SOFT], ""),
        ({**TWO, "effect_class": "irreversible", "reversible": False}, [SOFT], ""),
        ({**TWO, "effect_class": "odd"}, [SOFT], ""),
        ({**TWO, "known": False}, [SOFT], ""),
        (TWO, [rule(tool="book_room", tier=3)], ""),
        (TWO, [SOFT, rule(id="s", tier=3)], ""),
        (TWO, [rule(hard=True)], ""),
        (TWO, [SOFT], rule(id="law")),
        (TWO, [], ""),
        (TWO, [rule(votes=2, tier=3)], ""),
        (TWO, [rule(self_approval=False)], ""),
        (TWO, [rule(roles=["manager"])], ""),
        (TWO, [rule(reason="required")], ""),
        (TWO, [rule(when="args.none > 1")], ""),
        (TWO, [SOFT, rule(id="f", outcome="forbid")], ""),
    ],
)
def test_what_a_standing_approval_never_relaxes(
    policy: Make, standing: Standing, changes: dict[str, Any], rules: list[str], hard: str
) -> None:
    approval = allowed(standing)
    made = policy(*rules, hard=hard)
    without = load_policy(path_of(standing).parents[1] / "policy.toml", path_of(standing).parents[1] / "hard.toml")
    verdict = made.judge("call:1", subject(**changes))
    assert verdict["outcome"] in ("ask", "forbid")
    if hard:
        assert verdict == without.judge("call:1", subject(**changes))
    assert standing.get(approval.id).uses == 0


def test_what_cannot_be_undone_needs_the_author_to_say_so(policy: Make, standing: Standing) -> None:
    refund = {**IRREVERSIBLE, "args": {"amount": 10_000}}
    small = {"tool": "issue_refund", "condition": "args.amount <= 20000"}
    made = policy(rule(tool="issue_refund", tier=2))
    allowed(standing, **small)
    assert made.judge("c", subject(**refund))["outcome"] == "ask"
    allowed(standing, **small, irreversible=True)
    assert made.judge("c", subject(**refund))["outcome"] == "notify"
    assert made.judge("c", subject(**{**refund, "args": {"amount": 20_001}}))["outcome"] == "ask"


def test_uses_time_and_revocation_end_it(policy: Make, standing: Standing, clock: Turned) -> None:
    made = policy(SOFT)

    def judge() -> str:
        return made.judge("c", subject(**TWO))["outcome"]

    first = allowed(standing, max_uses=2)
    assert [judge() for _ in range(3)] == ["notify", "notify", "ask"]
    assert standing.get(first.id).status(NOON) == "used up"
    second = allowed(standing, not_before=NOON + timedelta(hours=1), lasts=timedelta(hours=1))
    assert (judge(), standing.get(second.id).status(clock())) == ("ask", "not yet")
    clock.at = NOON + timedelta(hours=1)
    assert judge() == "notify"
    clock.at = NOON + timedelta(hours=2)
    assert (judge(), standing.get(second.id).status(clock())) == ("ask", "expired")
    third = allowed(standing)
    assert judge() == "notify"
    assert standing.revoke(third.id, by="박지배인").status(clock()) == "revoked"
    assert judge() == "ask"
    assert standing.revoke(third.id, by="박지배인").revoked_by == "박지배인"
    with pytest.raises(Conflict, match="was revoked by 박지배인 already"):
        standing.revoke(third.id, by="kim")
    with pytest.raises(UnknownStanding, match=r"there is no standing approval 'sa_0'; `dojang policy standing` lists"):
        standing.revoke("sa_0", by="kim")


def test_one_call_uses_it_once_and_no_other_is_let_through_by_that(
    policy: Make, standing: Standing, clock: Turned
) -> None:
    approval = allowed(standing, max_uses=1)
    made, call = policy(SOFT), subject(**TWO, key="fx_1")
    assert made.recheck("call:1", call)["outcome"] == "ask", "nobody has counted it"
    assert [made.judge("call:1", call)["outcome"] for _ in range(3)] == ["notify"] * 3, "judged again after a crash"
    assert (standing.get(approval.id).uses, made.recheck("call:1", call)["outcome"]) == (1, "notify")
    assert made.judge("call:1", {**call, "key": "fx_2"})["outcome"] == "ask"
    assert made.recheck("call:1", subject(**TWO))["outcome"] == "ask"
    assert made.recheck("call:1", {**call, "args": {"guests": 3}})["outcome"] == "ask"
    standing.revoke(approval.id, by="kim")
    assert [made.judge("call:1", call)["outcome"], made.recheck("call:1", call)["outcome"]] == ["ask", "ask"]


def test_many_at_once_use_it_no_more_often_than_allowed(policy: Make, standing: Standing) -> None:
    allowed(standing, max_uses=5)
    made, seen = policy(SOFT), []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(made.judge(f"call:{n}", subject(**TWO))["outcome"]))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == ["ask"] * 7 + ["notify"] * 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"by": " "}, "a standing approval needs the name of the person who gives it"),
        ({"tool": "book_*"}, "tool 'book_*': name one tool exactly; a standing approval takes no pattern"),
        ({"max_uses": 0}, "max_uses must be a whole number from 1 to 1000, not 0"),
        ({"max_uses": True}, "max_uses must be a whole number from 1 to 1000, not True"),
        ({"lasts": timedelta(days=91)}, "a standing approval lasts from 1 second to 90 days, not 91 days, 0:00:00"),
        ({"lasts": timedelta(0)}, "a standing approval lasts from 1 second to 90 days, not 0:00:00"),
        ({"condition": ""}, "the condition must be text, not ''"),
        ({"condition": "args.x >"}, "the condition is no CEL expression at character"),
        (
            {"condition": "requester == 'kim'"},
            "the condition speaks of 'requester', which a standing approval does not have; it has args",
        ),
        (
            {"not_before": datetime(2026, 11, 22)},
            "not_before has no time zone; write it like 2026-11-22T09:00+09:00",
        ),
    ],
)
def test_a_boundless_approval_is_refused(standing: Standing, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        allowed(standing, **changes)
    assert str(error.value).startswith(message)
    assert not path_of(standing).exists()


def test_the_file_is_private_and_only_grows(standing: Standing) -> None:
    approval = allowed(standing)
    before = path_of(standing).read_bytes()
    standing.use(approval.id, "call:1", "book_room")
    standing.revoke(approval.id, by="kim")
    assert path_of(standing).read_bytes().startswith(before)
    assert [json.loads(line)["op"] for line in path_of(standing).read_text("utf-8").splitlines()] == [
        "allow", "use", "revoke",
    ]  # fmt: skip
    assert path_of(standing).stat().st_mode & 0o777 == 0o600


def test_a_torn_tail_counts_for_nothing_and_is_cut_off(standing: Standing) -> None:
    approval = allowed(standing)
    whole = path_of(standing).read_bytes()
    path_of(standing).write_bytes(whole + b'{"op":"use","id":"' + approval.id.encode())
    assert standing.get(approval.id).uses == 0
    standing.use(approval.id, "call:1", "book_room")
    assert path_of(standing).read_bytes().startswith(whole)
    assert standing.get(approval.id).uses == 1


@pytest.mark.parametrize(
    "line",
    [b"{}", b"nonsense", b"[]", b'{"op":"use","id":"sa_x"}', b'{"op":"give","id":"sa_x"}', b"\xff", b"", b'{"op":[]}'],
)
def test_damage_lets_nothing_pass(policy: Make, standing: Standing, line: bytes) -> None:
    allowed(standing)
    path_of(standing).write_bytes(path_of(standing).read_bytes() + line + b"\n")
    assert policy(SOFT).judge("c", subject(**TWO))["outcome"] == "ask"
    with pytest.raises(BrokenStanding, match=r"standing\.jsonl:2: cannot be read .*no standing approval holds"):
        standing.all()
    with pytest.raises(BrokenStanding):
        allowed(standing)


def test_an_approval_with_a_field_of_the_wrong_type_is_damage(standing: Standing) -> None:
    allowed(standing)
    record = json.loads(path_of(standing).read_text("utf-8"))
    for field, value in [("max_uses", "9"), ("irreversible", "no"), ("expires_at", "2099-01-01"), ("tool", 1)]:
        path_of(standing).write_text(json.dumps({**record, field: value}) + "\n", encoding="utf-8")
        with pytest.raises(BrokenStanding):
            standing.all()


def test_a_use_that_cannot_be_written_asks(policy: Make, standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed(standing)
    made = policy(SOFT)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.standing.os.fsync", full)
    assert made.judge("c", subject(**TWO))["outcome"] == "ask"


def test_an_approval_that_is_gone_between_look_and_use_asks(policy: Make, standing: Standing) -> None:
    approval = allowed(standing, max_uses=1)
    stale = standing.covering({**subject(**TWO)})
    assert stale is not None
    assert standing.use(approval.id, "call:1", "book_room") is not None
    assert standing.use(stale.id, "call:2", "book_room") is None


@settings(deadline=None, max_examples=60)
@given(
    trust=st.sampled_from(["trusted", "untrusted"]),
    effect=st.sampled_from(["write", "irreversible", "odd"]),
    reversible=st.booleans(),
    tier=st.integers(0, 9),
    hard=st.booleans(),
    said=st.booleans(),
    guests=st.integers(0, 4) | st.none() | st.text(max_size=2),
)
def test_it_relaxes_only_what_its_author_could_mean(
    tmp_path_factory: pytest.TempPathFactory,
    trust: str,
    effect: str,
    reversible: bool,
    tier: int,
    hard: bool,
    said: bool,
    guests: object,
) -> None:
    folder = tmp_path_factory.mktemp("s")
    (folder / "policy.toml").write_text(rule(tool="book_room", tier=tier, hard=hard), encoding="utf-8")
    standing = Standing(folder / "standing.jsonl", lambda: NOON)
    allowed(standing, irreversible=said)
    made = load_policy(folder / "policy.toml", standing=standing)
    verdict = made.judge("c", subject(trust=trust, effect_class=effect, reversible=reversible, args={"guests": guests}))
    bounded = isinstance(guests, int) and guests <= 2
    undoable = effect == "write" and reversible
    expected = trust == "trusted" and not hard and tier <= 2 and bounded and (undoable or (said and effect != "odd"))
    assert verdict["outcome"] == ("notify" if expected else "ask")


def test_why_it_was_given_is_kept(standing: Standing, tmp_path: Path) -> None:
    plain, told = allowed(standing), allowed(standing, reason="the fair\nweek")
    assert [one.reason for one in standing.all()] == ["", "the fair week"]
    lines = (tmp_path / "home" / "standing.jsonl").read_text(encoding="utf-8").splitlines()
    assert ["reason" in json.loads(line) for line in lines] == [False, True]
    assert (plain.reason, told.reason) == ("", "the fair week")
    with pytest.raises(UserError, match="the reason has 501 characters"):
        allowed(standing, reason="x" * 501)
