"""dojang policy …: check, test, explain, replay, and approvals in advance, over the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dojang.noted import lines_of
from dojang.settings import SAMPLE
from tests.dojang.conftest import Shell

RULE = "[[rule]]\nid = 'r'\ntext = 'Said.'\non = 'call'\noutcome = '{outcome}'\n"
CARD = "카드번호는 4111-1111-1111-1111입니다."


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A policy under which nobody books anything."""
    path = tmp_path / "strict.toml"
    path.write_text(RULE.format(outcome="forbid") + "tool = 'book_room'\n", encoding="utf-8")
    return path


def test_check_lists_the_rules_hard_ones_first(shell: Shell) -> None:
    result = shell("policy", "check")
    assert result.code == 0
    assert result.out.splitlines()[1].startswith("foreign-system-identity  hard")
    assert "12 rules, version " in result.err
    listed = shell("--json", "policy", "check").json
    assert {rule["id"] for rule in listed["rules"]} >= {"booking", "refund-large", "message-personal-data"}
    korean = shell("policy", "check", "--lang", "ko")
    assert "예약은 사람이 확인한 뒤에 합니다." in korean.out


def test_check_names_the_place_of_a_mistake(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(RULE.format(outcome="maybe"), encoding="utf-8")
    result = shell("policy", "check", "--policy", "p.toml")
    assert (result.code, result.out) == (2, "")
    assert "p.toml:5: rule 'r', field 'outcome': must be one of auto, notify, ask, forbid" in result.err
    (tmp_path / "p.toml").write_text(RULE.format(outcome="ask") + "when = 'pii == [\"KR_RNN\"]'\n", encoding="utf-8")
    assert "field 'when': compares pii with 'KR_RNN'" in shell("policy", "check", "--policy", "p.toml").err


def test_the_sample_passes_its_own_cases_and_another_policy_does_not(shell: Shell, strict: Path) -> None:
    result = shell("policy", "test")
    assert (result.code, result.out) == (0, "17 cases, 0 not met\n")
    failed = shell("policy", "test", "--policy", str(strict))
    assert failed.code == 1
    assert "a booking is asked about (line 10): outcome is forbid, not ask" in failed.out
    assert [t["name"] for t in shell("--json", "policy", "test").json] != []
    assert shell("policy", "test", "none.toml").code == 2


def test_explain_says_which_rules_had_a_say_and_why_the_others_had_none(shell: Shell) -> None:
    refund = ["--tool", "issue_refund", "--args", '{"booking_id": "BK-2041", "amount": 150000}']
    result = shell("policy", "explain", *refund)
    assert result.out.startswith("asks (tool call, tier 3)")
    assert "refund-large: matched, args.amount > 100000 is true" in result.out
    assert "booking: no, it is about 'book_room', not 'issue_refund'" in result.out
    small = shell("--json", "policy", "explain", "--tool", "issue_refund", "--args", '{"amount": 5}').json
    because = {rule["id"]: (rule["matched"], rule["because"]) for rule in small["rules"]}
    assert because["refund-large"] == (False, "args.amount > 100000 is false")
    korean = shell("policy", "explain", "--text", CARD, "--lang", "ko")
    assert korean.out.startswith("묻습니다(규정 검토, 2등급)")
    assert "answer-personal-data: 걸림, 참: pii.exists" in korean.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either --tool NAME (with --args JSON) or --text TEXT"),
        (["--tool", "x", "--text", "y"], "give either --tool"),
        (["--tool", "x", "--args", "{"], "--args is no JSON"),
        (["--tool", "x", "--args", "[1]"], "--args must be a JSON object"),
    ],
)
def test_explain_refuses_what_it_cannot_judge(shell: Shell, words: list[str], said: str) -> None:
    result = shell("policy", "explain", *words)
    assert result.code == 2
    assert said in result.err


def test_replay_shows_whose_outcome_would_change_and_touches_nothing(shell: Shell, strict: Path) -> None:
    thread, review = shell.paused()
    assert shell("edit", review, "--set", "guests=1").code == 0
    before = shell.kept()
    same = shell("policy", "replay", "--since", "2020-01-01")
    assert (same.code, same.out.splitlines()[-1].endswith("0 would change")) == (0, True)
    judged = shell("--json", "policy", "replay", "--since", "2020-01-01", "--policy", str(strict)).json
    changed = [one for one in judged if one["changed"]]
    assert [(one["tool"], one["was"]["outcome"], one["now"]["outcome"]) for one in changed] == [
        ("book_room", "ask", "forbid"),
        ("book_room", "ask", "forbid"),
    ]
    assert ["#" in one["subject"] for one in changed] == [False, True]
    assert {one["thread_id"] for one in judged} == {thread}
    assert any(one["subject"].startswith("draft") for one in judged)
    text = shell("policy", "replay", "--since", "2020-01-01", "--policy", str(strict)).out
    assert f"{thread} book_room: asks (tool call, tier 1) → is forbidden" in text
    assert shell("--json", "policy", "replay", "--since", "2100-01-01").json == []
    assert shell.kept() == before


def test_replay_of_nothing_and_of_no_date(shell: Shell) -> None:
    assert shell("policy", "replay", "--since", "2020-01-01").out == "0 judged, 0 would change\n"
    assert not shell.home.exists()
    wrong = shell("policy", "replay", "--since", "yesterday")
    assert (wrong.code, "'yesterday' is no date" in wrong.err) == (2, True)


def test_what_was_allowed_in_advance_runs_unasked_once_and_then_asks(shell: Shell) -> None:
    given = shell("policy", "allow", "book_room", "--when", "args.guests <= 2", "--uses", "1", "--for", "8h", "--json")
    assert given.code == 0, given
    approval = given.json["id"]
    ran = shell("ask", "please book it", "--json")
    assert ran.code == 0, ran
    assert [outcome["status"] for outcome in ran.json["outcomes"]] == ["done"]
    assert shell("--json", "policy", "standing").json[0]["uses"] == 1
    assert shell("ask", "please book it").code == 3
    assert shell("policy", "standing").out.splitlines()[1].split()[:3] == [approval, "used", "up"]


def test_revoked_means_asked(shell: Shell) -> None:
    words = ["policy", "allow", "book_room", "--when", "true", "--uses", "5", "--for", "1d", "--json"]
    approval = shell(*words).json["id"]
    ended = shell("policy", "revoke", approval, "--user", "박지배인")
    assert (ended.code, ended.out) == (0, f"{approval} is revoked by 박지배인\n")
    assert shell("ask", "please book it").code == 3
    assert shell("policy", "revoke", approval).code == 4
    assert shell("policy", "revoke", "sa_none").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["book_rooms", "--when", "true", "--uses", "1", "--for", "1h"], "there is no tool 'book_rooms'"),
        (["book_room", "--when", "tool == 'x'", "--uses", "1", "--for", "1h"], "the condition speaks of 'tool'"),
        (["book_room", "--when", "true", "--uses", "0", "--for", "1h"], "max_uses must be a whole number from 1"),
        (["book_room", "--when", "true", "--uses", "1", "--for", "91d"], "lasts from 1 second to 90 days"),
        (["book_room", "--when", "true", "--uses", "1", "--for", "long"], "'long' is no time"),
    ],
)
def test_a_boundless_approval_is_refused_and_nothing_is_written(shell: Shell, words: list[str], said: str) -> None:
    result = shell("policy", "allow", *words)
    assert result.code == 2, result
    assert said in result.err
    assert not (shell.home / "standing.jsonl").exists()


def test_a_damaged_file_of_approvals_is_told_and_lets_nothing_pass(shell: Shell) -> None:
    shell("policy", "allow", "book_room", "--when", "true", "--uses", "5", "--for", "1d")
    with shell.backend() as kept, (lines := lines_of(shell.home, kept)).locked():
        lines.append(json.dumps({"op": "give"}).encode())
    told = shell("policy", "standing")
    assert (told.code, f"{lines.name}:2: cannot be read" in told.err) == (70, True)
    assert shell("ask", "please book it").code == 3


def test_the_hard_rules_are_those_of_the_settings(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "law.toml").write_text(RULE.format(outcome="forbid").replace("'r'", "'law'"), encoding="utf-8")
    monkeypatch.setenv("DOJANG_HARD_POLICY", str(tmp_path / "law.toml"))
    assert shell("--json", "policy", "check").json["rules"][0]["id"] == "law"
    assert shell("ask", "please book it", "--json").json["outcomes"][0]["status"] == "refused"
    assert (SAMPLE / "hard.toml").is_file()


def test_an_approval_whose_rule_wants_a_reason_says_it(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "why.toml"
    path.write_text(
        '[[rule]]\nid = "why"\ntext = "A booking is let through with a reason."\non = "call"\ntool = "book_room"\n'
        'outcome = "ask"\nreason = "required"\n',
        encoding="utf-8",
    )
    shell.monkeypatch.setenv("DOJANG_POLICY", str(path))
    asked = shell("ask", "please book it")
    review = asked.one("rv")
    assert f"dojang approve {review} --reason …" in asked.out + asked.err
    assert "a written reason" in shell("show", review).out
    assert "승인하려면 사유를 적어야 합니다" in shell("approve", review, "--lang", "ko").err
    assert shell("edit", review, "--set", "guests=1").code == 2
    assert shell("show", review, "--json").json["decision"] is None
    assert shell("approve", review, "--reason", "손님 확인함").code == 0
    assert shell("show", review, "--json").json["decision"]["reason"] == "손님 확인함"
