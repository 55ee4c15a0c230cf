"""The policy: which rule wins, what is built in, and how a broken file is refused."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes import ports
from tools.policy import FilePolicy, load_policy
from tools.rules import BrokenPolicy
from tools.standing import Standing

SAMPLE = Path(__file__).parents[2] / "dojang" / "sample" / "policy.toml"


def subject(**changes: Any) -> dict[str, Any]:
    return {
        "on": "call",
        "tool": "book_room",
        "known": True,
        "args": {},
        "effect_class": "write",
        "reversible": True,
        "text": "",
        "citations": 0,
        "abstained": False,
        "language": "en",
        "trust": "trusted",
        "evidence": "good",
        "requester": "local",
        **changes,
    }


IRREVERSIBLE = {"tool": "issue_refund", "effect_class": "irreversible", "reversible": False}


def rule(**fields: Any) -> str:
    values = {"id": "r", "text": "Said.", "on": "call", "outcome": "ask", **fields}
    return "[[rule]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    return str(value).replace("(", "[").replace(")", "]")


@pytest.fixture
def policy(tmp_path: Path) -> Any:
    def make(*rules: str, hard: str = "") -> FilePolicy:
        path, hard_path = tmp_path / "policy.toml", tmp_path / "hard.toml"
        path.write_text("\n".join(rules), encoding="utf-8")
        hard_path.write_text(hard, encoding="utf-8")
        return load_policy(path, hard_path if hard else None)

    return make


@pytest.mark.parametrize(
    ("changes", "outcome", "tier", "roles", "why"),
    [
        ({"tool": "search_hotels", "effect_class": "read"}, "auto", 0, [], ["read-freely"]),
        ({"tool": "find_booking", "effect_class": "read"}, "auto", 0, [], ["read-freely"]),
        ({}, "ask", 1, [], ["booking"]),
        ({"tool": "cancel_booking", "reversible": False}, "ask", 1, [], ["cancellation"]),
        ({**IRREVERSIBLE, "args": {"amount": 100_000}}, "ask", 2, [], ["refund"]),
        ({**IRREVERSIBLE, "args": {"amount": 100_001}}, "ask", 3, ["manager"], ["refund", "refund-large"]),
        ({**IRREVERSIBLE, "args": {}}, "ask", 3, ["manager"], ["refund", "refund-large"]),
        ({**IRREVERSIBLE, "args": {"amount": "much"}}, "ask", 3, ["manager"], ["refund", "refund-large"]),
        ({**IRREVERSIBLE, "tool": "send_message"}, "ask", 1, [], ["message"]),
        ({"tool": "new_write"}, "ask", 1, [], ["default.write"]),
        ({"tool": "nothing", "known": False}, "forbid", 0, [], ["default.unknown_tool"]),
        ({"effect_class": "strange", "tool": "x"}, "ask", 1, [], ["default.write"]),
    ],
)  # fmt: skip
def test_the_sample_policy_on_calls(
    changes: dict[str, Any], outcome: str, tier: int, roles: list[str], why: list[str]
) -> None:
    verdict = load_policy(SAMPLE).judge("c1", subject(**changes))
    assert (verdict["outcome"], verdict["tier"], verdict["roles"], verdict["votes"]) == (outcome, tier, roles, 1)
    assert [reason["rule_id"] for reason in verdict["why"]] == why
    assert verdict["kind"] == "tool"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("50,000원을 환불해 드리겠습니다 [1].", "ask"),
        ("5만 원을 보상해 드릴게요.", "ask"),
        ("십만 원을 환불해 드립니다.", "ask"),
        ("５０，０００원 환불", "ask"),
        ("환\u200b불 금액은 30000원입니다.", "ask"),
        ("You will get a refund of KRW 80,000 [2].", "ask"),
        ("We will compensate you with $50.", "ask"),
        ("Refund: 120000", "ask"),
        ("체크인 7일 전까지 취소하면 전액 환불됩니다 [1].", "auto"),
        ("Cancel 7 days before and the refund is full [1].", "auto"),
        ("디럭스 객실은 1박에 180,000원입니다 [1].", "auto"),
        ("Breakfast is from 7 to 10 [3].", "auto"),
    ],
)
def test_the_sample_policy_on_answers(text: str, outcome: str) -> None:
    verdict = load_policy(SAMPLE).judge(
        "draft", subject(on="answer", tool="", effect_class="", text=text, language="ko")
    )
    assert verdict["outcome"] == outcome
    assert verdict["kind"] == "approval"


def test_the_reasons_are_in_the_language_of_the_subject() -> None:
    why = load_policy(SAMPLE).judge("c", subject(language="ko"))["why"]
    assert why[0]["text"] == "예약은 사람이 확인한 뒤에 합니다."


def test_the_strictest_rule_wins_and_all_are_listed(policy: Any) -> None:
    made = policy(
        rule(id="a", outcome="auto", tool="book_room"),
        rule(id="b", outcome="notify", tool="book_room"),
        rule(id="c", outcome="ask", tier=1, due="1d", roles=["clerk", "manager"]),
        rule(id="d", outcome="ask", tier=3, votes=2, due="2h", roles=["manager", "owner"], kind="compliance"),
        rule(id="e", outcome="ask", tier=2, due="15m"),
    )
    verdict = made.judge("c", subject())
    assert [reason["rule_id"] for reason in verdict["why"]] == ["a", "b", "c", "d", "e"]
    assert (verdict["outcome"], verdict["kind"]) == ("ask", "compliance")
    assert (verdict["tier"], verdict["votes"], verdict["due_s"], verdict["roles"]) == (3, 2, 900, ["manager"])
    stricter = policy(rule(id="a", outcome="auto", tool="book_room"), rule(id="f", outcome="forbid", tool="book_*"))
    assert stricter.judge("c", subject())["outcome"] == "forbid"


def test_roles_without_a_common_one_are_those_of_the_highest_tier(policy: Any) -> None:
    made = policy(rule(id="a", tier=1, roles=["clerk"]), rule(id="b", tier=2, roles=["manager"]))
    assert made.judge("c", subject())["roles"] == ["manager"]


def test_one_rule_that_wants_a_reason_is_enough(policy: Any) -> None:
    free, why = rule(id="free", tier=2), rule(id="why", when="args.amount > 5", reason="required")
    judged = policy(free, why)
    wants = [judged.judge("call:1", subject(args={"amount": amount}))["wants_reason"] for amount in (1, 9)]
    assert wants == [False, True]


@pytest.mark.parametrize("outcome", ["auto", "notify"])
@pytest.mark.parametrize(
    ("fields", "changes", "passes"),
    [
        ({}, {}, False),
        ({"tool": "*"}, {}, False),
        ({"tool": "book_*"}, {}, True),
        ({"tool": "book_room"}, {"reversible": False}, False),
        ({"tool": "issue_refund"}, IRREVERSIBLE, False),
        ({"tool": "issue_refund", "signed_by": "김매니저"}, IRREVERSIBLE, True),
        ({"signed_by": "김매니저"}, IRREVERSIBLE, False),
        ({"tool": "book_room", "signed_by": "x"}, {"effect_class": "odd"}, False),
        ({"tool": "find_*"}, {"tool": "find_booking", "effect_class": "read"}, True),
    ],
)
def test_what_an_automatic_rule_may_let_pass(
    policy: Any, outcome: str, fields: dict[str, Any], changes: dict[str, Any], passes: bool
) -> None:
    verdict = policy(rule(outcome=outcome, **fields)).judge("c", subject(**changes))
    assert verdict["outcome"] == (outcome if passes else "ask")
    assert verdict["why"][0]["rule_id"] == "r"
    assert passes or verdict["why"][0]["severity"] == "high"


@pytest.mark.parametrize(
    "when", ["args.amount > 1", "args.name > 1", "size(args.name) > 1 && args.x", '"text"', 'text.matches("[")']
)
@pytest.mark.parametrize("outcome", ["auto", "notify", "ask", "forbid"])
def test_a_rule_that_cannot_be_evaluated_asks(policy: Any, when: str, outcome: str) -> None:
    for effect_class in ("read", "write"):
        made = policy(rule(outcome=outcome, tool="book_room", when=when))
        verdict = made.judge("c", subject(args={"name": "kim"}, effect_class=effect_class))
        assert verdict["outcome"] == "ask"
        assert "could not be evaluated" in verdict["why"][0]["text"]


def test_an_unknown_tool_is_forbidden_whatever_the_file_says(policy: Any) -> None:
    made = policy(rule(outcome="auto", tool="ghost", signed_by="owner"))
    assert made.judge("c", subject(tool="ghost", known=False, effect_class="read"))["outcome"] == "forbid"


def test_evidence_that_is_not_trusted_never_relaxes(policy: Any) -> None:
    made = policy(rule(id="soft", outcome="auto", tool="book_room", when='trust != "trusted"'))
    assert made.judge("c", subject(trust="untrusted"))["outcome"] == "ask"
    made = policy(
        rule(id="strict", outcome="forbid", when='trust == "trusted"'),
        rule(id="soft", tool="book_room", outcome="auto"),
    )
    assert made.judge("c", subject(trust="untrusted"))["outcome"] == "forbid"


outcomes = st.sampled_from(["auto", "notify", "ask", "forbid"])
RULES = st.lists(
    st.tuples(
        outcomes, st.sampled_from(['trust == "trusted"', 'trust == "untrusted"', "args.n > 3", "reversible", "true"])
    ),
    max_size=4,
)


@settings(deadline=None)  # the machine may be busy
@given(
    rules=RULES, n=st.integers(0, 6) | st.none(), reversible=st.booleans(), effect=st.sampled_from(["read", "write"])
)
def test_untrusted_is_never_milder_than_trusted(
    tmp_path_factory: pytest.TempPathFactory,
    rules: list[tuple[str, str]],
    n: int | None,
    reversible: bool,
    effect: str,
) -> None:
    path = tmp_path_factory.mktemp("p") / "policy.toml"
    text = [
        rule(id=f"r{i}", outcome=o, when=w, tool="book_room", **({"tier": i} if o == "ask" else {}))
        for i, (o, w) in enumerate(rules)
    ]
    path.write_text("\n".join(text), encoding="utf-8")
    made = load_policy(path)
    order = ["auto", "notify", "ask", "forbid"]
    args = {} if n is None else {"n": n}
    seen = {
        t: made.judge("c", subject(trust=t, args=args, reversible=reversible, effect_class=effect))
        for t in ("trusted", "untrusted")
    }
    assert order.index(seen["untrusted"]["outcome"]) >= order.index(seen["trusted"]["outcome"])
    if seen["untrusted"]["outcome"] == seen["trusted"]["outcome"]:
        assert seen["untrusted"]["tier"] >= seen["trusted"]["tier"]


def test_hard_rules_stand_first_and_cannot_be_replaced(policy: Any, tmp_path: Path) -> None:
    made = policy(
        rule(id="soft", outcome="auto", tool="book_room"), hard=rule(id="law", outcome="forbid", tool="book_room")
    )
    verdict = made.judge("c", subject())
    assert verdict["outcome"] == "forbid"
    assert [(reason["rule_id"], reason["hard"]) for reason in verdict["why"]] == [("law", True), ("soft", False)]
    with pytest.raises(BrokenPolicy) as error:
        policy(rule(id="law", outcome="auto", tool="book_room"), hard=rule(id="law", outcome="forbid"))
    assert str(error.value) == "policy.toml: rule 'law', field 'id': is a hard rule of hard.toml; rename it"
    assert policy(rule(hard=True)).judge("c", subject())["why"][0]["hard"] is True


def test_the_policy_fits_the_port() -> None:
    port: ports.Policy = load_policy(SAMPLE)
    assert port.judge("c", cast("ports.Subject", subject()))["policy_version"] == port.version


def test_the_version_is_that_of_the_contents(policy: Any) -> None:
    one = policy(rule()).version
    assert policy(rule()).version == one
    assert policy(rule(tier=2)).version != one
    assert policy(rule(), hard=rule(id="law")).version != one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[rule]\n",
            "policy.toml: is no valid TOML: Expected ']]' at the end of an array declaration (at line 1, column 7)",
        ),
        ("\nmode = 1\n", "policy.toml:2: field 'mode': is no key of a policy file; only [[rule]] tables are"),
        ("[rule]\nid = 'a'\n", "policy.toml:1: field 'rule': must be written as [[rule]] tables"),
        (
            rule() + "color = 'red'\n",
            "policy.toml:6: rule 'r', field 'color': is unknown; a rule has id, text, text_ko, on, tool, when, "
            "outcome, kind, severity, tier, votes, roles, due, hard, signed_by, self_approval, reason",
        ),
        (
            rule(outcome="maybe"),
            "policy.toml:5: rule 'r', field 'outcome': must be one of auto, notify, ask, forbid, not 'maybe'",
        ),
        ("[[rule]]\ntext = 'x'\n", "policy.toml:1: rule 'number 1', field 'id': is missing"),
        (
            rule() + "\n" + rule(id="s", when="args.amount >"),
            "policy.toml:12: rule 's', field 'when': is no CEL expression at character 14: Syntax error: mismatched "
            "input '<EOF>'",
        ),
        (
            rule(when="arg.amount > 1"),
            "policy.toml:6: rule 'r', field 'when': speaks of 'arg', which a subject does not have; it has on, tool, "
            "known, args, effect_class, reversible, text, citations, abstained, language, trust, evidence, requester, "
            "pii",
        ),
        (rule() + "\n" + rule(), "policy.toml:8: rule 'r', field 'id': 'r' is used twice; give each rule its own"),
        (
            rule(due="soon"),
            "policy.toml:6: rule 'r', field 'due': must be a time from 1m to 90d, like 15m, 2h or 1d, not 'soon'",
        ),
        (rule(tier=99), "policy.toml:6: rule 'r', field 'tier': must be a whole number from 0 to 9, not 99"),
        (rule(votes=0), "policy.toml:6: rule 'r', field 'votes': must be a whole number from 1 to 9, not 0"),
        (
            rule(kind="feedback"),
            "policy.toml:6: rule 'r', field 'kind': must be one of tool, compliance, approval, correction, "
            "not 'feedback'",
        ),
        (rule(roles="x"), "policy.toml:6: rule 'r', field 'roles': must be a list of role names, not 'x'"),
        (
            rule(on="answer", tool="x"),
            "policy.toml:6: rule 'r', field 'tool': an answer has no tool; leave it out, or write on = \"call\"",
        ),
        (
            rule(outcome="auto", votes=2),
            "policy.toml:6: rule 'r', field 'votes': only a rule that asks has votes; this one has outcome 'auto'",
        ),
        (
            rule(votes=2, tier=2),
            "policy.toml:6: rule 'r', field 'votes': several votes are for tier 3 and above; raise the tier",
        ),
        (
            rule(self_approval="no"),
            "policy.toml:6: rule 'r', field 'self_approval': must be true or false, not 'no'",
        ),
        (
            rule(reason="please"),
            "policy.toml:6: rule 'r', field 'reason': must be one of optional, required, not 'please'",
        ),
        (
            rule(outcome="notify", reason="required"),
            "policy.toml:6: rule 'r', field 'reason': only a rule that asks has reason; this one has outcome 'notify'",
        ),
        (
            rule(signed_by="x"),
            "policy.toml:6: rule 'r', field 'signed_by': only a rule with outcome 'auto' or 'notify' is signed",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BrokenPolicy) as error:
        load_policy(path)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_function_that_is_not_there_is_found_when_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(rule(when="now() > 1"), encoding="utf-8")
    with pytest.raises(
        BrokenPolicy, match=r"policy\.toml:6: rule 'r', field 'when': calls 'now', which is no function here"
    ):
        load_policy(path)


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenPolicy, match=r"none\.toml: cannot be read \(No such file or directory\)"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenPolicy, match=r"b\.toml: is not UTF-8 at byte 0"):
        load_policy(tmp_path / "b.toml")


def test_functions_and_bound_names_are_taken(policy: Any) -> None:
    made = policy(rule(when='args.tags.exists(t, t.startsWith("v")) && size(text) == 0', outcome="forbid"))
    assert made.judge("c", subject(args={"tags": ["a", "vip"]}))["outcome"] == "forbid"


def test_the_rule_of_the_docs_lets_nothing_consequential_pass_without_a_reason(policy: Any, tmp_path: Path) -> None:
    """The block of docs/policy.md as it stands, against a rule that somebody signed and an approval in advance."""
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    [block] = [one for one in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if 'id = "why"' in one]
    free = rule(id="free", tool="issue_refund", outcome="auto", signed_by="Kim")
    judged = policy(free, hard=block)
    standing = Standing(tmp_path / "standing.jsonl")
    standing.allow(by="Kim", tool="book_room", condition="true", max_uses=9, lasts=timedelta(days=1), irreversible=True)
    judged.standing = standing
    for call in (subject(), subject(**IRREVERSIBLE), subject(tool="other", effect_class="write", reversible=False)):
        verdict = judged.judge("call:1", call)
        assert (verdict["outcome"], verdict["wants_reason"]) == ("ask", True), call["tool"]
    assert judged.judge("call:1", subject(tool="search_hotels", effect_class="read"))["outcome"] == "auto"
