"""The sample policy says what its cases say; broken files of cases are refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.policy import load_policy
from tools.policy_cases import BrokenCases, read_cases, try_cases
from tools.toolbox import Toolbox

SAMPLE = Path(__file__).parents[2] / "dojang" / "sample"
SPECS = Toolbox.open().offered()


def test_the_sample_policy_does_what_its_cases_say() -> None:
    cases = read_cases(SAMPLE / "policy-tests.toml", SPECS)
    tried = try_cases(load_policy(SAMPLE / "policy.toml", SAMPLE / "hard.toml"), cases)
    assert len(tried) >= 15
    assert [(t.case.name, t.wrong) for t in tried if t.wrong] == []


def test_every_rule_of_the_sample_has_a_case_or_a_test_of_its_own() -> None:
    cases = read_cases(SAMPLE / "policy-tests.toml", SPECS)
    policy = load_policy(SAMPLE / "policy.toml", SAMPLE / "hard.toml")
    said = {reason["rule_id"] for tried in try_cases(policy, cases) for reason in tried.verdict["why"]}
    tested_elsewhere = {"cancellation", "contradictory-evidence", "weak-evidence"}
    assert {rule.id for rule in policy.rules} <= said | tested_elsewhere


def test_without_the_hard_file_the_foreign_system_is_only_asked_about() -> None:
    cases = read_cases(SAMPLE / "policy-tests.toml", SPECS)
    wrong = [t for t in try_cases(load_policy(SAMPLE / "policy.toml"), cases) if t.wrong]
    assert [(t.case.name, t.wrong) for t in wrong] == [
        (
            "a card number never goes to a foreign system",
            ("outcome is ask, not forbid", "rule 'foreign-system-identity' had no say"),
        )
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.toml: has no cases; write [[case]] tables"),
        ("mode = 1\n", "c.toml: 'mode' is no key of a file of cases; only [[case]] are"),
        ("[[case]\n", "c.toml: is no valid TOML: Expected ']]' at the end of an array declaration"),
        ("\n[[case]]\ntool = 'x'\n", "c.toml:2: case without a name, field 'name': is missing"),
        ("[[case]]\nname = '가'\ntool = 'x'\n", "c.toml:1: case '가', field 'outcome': is missing"),
        (
            "[[case]]\nname = 'a'\ntool = 'x'\noutcome = 'maybe'\n",
            "c.toml:1: case 'a', field 'outcome': must be one of auto, notify, ask, forbid, not 'maybe'",
        ),
        (
            "[[case]]\nname = 'a'\ntool = 'x'\ntext = 'y'\noutcome = 'ask'\n",
            "c.toml:1: case 'a', field 'tool': a case has either a tool (a call) or a text (an answer)",
        ),
        (
            "[[case]]\nname = 'a'\ntool = 'x'\noutcome = 'ask'\nteir = 3\n",
            "c.toml:1: case 'a', field 'teir': is unknown; a case has name, tool, args, text, known,",
        ),
        (
            "[[case]]\nname = 'a'\ntool = 'x'\noutcome = 'ask'\ntier = true\n",
            "c.toml:1: case 'a', field 'tier': must be a whole number from 0, not True",
        ),
    ],
)
def test_a_broken_file_of_cases_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BrokenCases) as error:
        read_cases(path, SPECS)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_missing_or_binary_file_of_cases(tmp_path: Path) -> None:
    with pytest.raises(BrokenCases, match=r"none\.toml: cannot be read \(No such file or directory\)"):
        read_cases(tmp_path / "none.toml", SPECS)
    (tmp_path / "b.toml").write_bytes(b"\xff")
    with pytest.raises(BrokenCases, match=r"b\.toml: is not UTF-8 at byte 0"):
        read_cases(tmp_path / "b.toml", SPECS)
