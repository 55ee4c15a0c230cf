"""Cases for a policy, in a TOML file: what is judged, and what must come of it. Runs no tool and writes nothing.

A case::

    [[case]]
    name = "a large refund goes to a manager"
    tool = "issue_refund"              # or text = "…" for an answer
    args = {booking_id = "BK-2041", amount = 150000}
    outcome = "ask"                    # expected; kind, tier and rules too where they are given
    tier = 3
    rules = ["refund-large"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

from state import JSON, Kind, RuleOutcome, ToolSpec, UserError, Verdict, language_of


class BrokenCases(UserError):
    """A file of cases that cannot be read; nothing was tested."""


class Judge(Protocol):
    """A policy that says what it would say, and counts nothing."""

    def consider(self, subject_id: str, subject: Mapping[str, Any]) -> Verdict:
        """The verdict."""
        ...


@dataclass(frozen=True)
class Case:
    """One case: a subject and what is expected of its verdict. Empty expectations expect nothing."""

    name: str
    line: int
    subject: dict[str, Any]
    outcome: str
    kind: str = ""
    tier: int | None = None
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tried:
    """A case with its verdict; ``wrong`` has one line for each expectation that was not met."""

    case: Case
    verdict: Verdict
    wrong: tuple[str, ...]


def call_subject(specs: Sequence[ToolSpec], tool: str, args: Mapping[str, JSON], **others: Any) -> dict[str, Any]:
    """The subject that a call becomes, as ``nodes.comply`` makes it; an unknown tool counts as irreversible."""
    spec = next((spec for spec in specs if spec["name"] == tool), None)
    about = {
        "tool": tool,
        "known": spec is not None,
        "args": dict(args),
        "effect_class": spec["effect_class"] if spec else "irreversible",
        "reversible": spec["reversible"] if spec else False,
    }
    return {**_EMPTY, "on": "call", **about, **others}


def answer_subject(text: str, **others: Any) -> dict[str, Any]:
    """The subject that an answer becomes."""
    return {**_EMPTY, "on": "answer", "text": text, **others}


def read_cases(path: Path, specs: Sequence[ToolSpec]) -> list[Case]:
    """The cases of a file, in order.

    Raises:
        BrokenCases: naming file, line, case and field.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise BrokenCases(f"{path.name}: cannot be read ({error.strerror}); give the path of the cases") from error
    except UnicodeDecodeError as error:
        raise BrokenCases(f"{path.name}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokenCases(f"{path.name}: is no valid TOML: {error}") from error
    tables = document.pop("case", [])
    if document:
        raise BrokenCases(f"{path.name}: {next(iter(document))!r} is no key of a file of cases; only [[case]] are")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise BrokenCases(f"{path.name}: has no cases; write [[case]] tables")
    lines = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*case\s*\]\]", line)]
    lines += [0] * (len(tables) - len(lines))
    return [_case(path.name, line, table, specs) for line, table in zip(lines, tables, strict=False)]


def try_cases(policy: Judge, cases: Sequence[Case]) -> list[Tried]:
    """Each case judged; standing approvals are not consulted unless the policy was given them."""
    return [_tried(case, policy.consider(f"case:{case.name}", case.subject)) for case in cases]


def _tried(case: Case, verdict: Verdict) -> Tried:
    wrong = []
    for field, wanted, got in (
        ("outcome", case.outcome, verdict["outcome"]),
        ("kind", case.kind or verdict["kind"], verdict["kind"]),
        ("tier", verdict["tier"] if case.tier is None else case.tier, verdict["tier"]),
    ):
        if wanted != got:
            wrong.append(f"{field} is {got}, not {wanted}")
    said = [reason["rule_id"] for reason in verdict["why"]]
    wrong += [f"rule {rule!r} had no say" for rule in case.rules if rule not in said]
    return Tried(case, verdict, tuple(wrong))


def _case(file: str, line: int, table: dict[str, Any], specs: Sequence[ToolSpec]) -> Case:
    name = table.get("name")
    where = f"{file}:{line}: case {name!r}," if isinstance(name, str) else f"{file}:{line}: case without a name,"
    for key in table:
        if key not in _FIELDS:
            raise BrokenCases(f"{where} field {key!r}: is unknown; a case has {', '.join(_FIELDS)}")
    for key in ("name", "outcome"):
        if key not in table:
            raise BrokenCases(f"{where} field {key!r}: is missing")
    if ("tool" in table) == ("text" in table):
        raise BrokenCases(f"{where} field 'tool': a case has either a tool (a call) or a text (an answer)")
    for key, value in table.items():
        fits, wanted = _FIELDS[key]
        if not fits(value):
            raise BrokenCases(f"{where} field {key!r}: must be {wanted}, not {value!r}")
    about = {key: table[key] for key in _SUBJECT if key in table}
    if "tool" in table:
        subject = call_subject(specs, table["tool"], table.get("args", {}), **about)
    else:
        subject = answer_subject(table["text"], **{"language": language_of(table["text"]), **about})
    rules = tuple(table.get("rules", ()))
    return Case(table["name"], line, subject, table["outcome"], table.get("kind", ""), table.get("tier"), rules)


def _one_of(*choices: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in choices), f"one of {', '.join(choices)}"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_EMPTY: dict[str, Any] = {
    "tool": "", "known": False, "args": {}, "effect_class": "read", "reversible": True, "text": "", "citations": 0,
    "abstained": False, "language": "en", "trust": "trusted", "evidence": "good", "requester": "local",
}  # fmt: skip
_TEXT = (lambda value: isinstance(value, str) and bool(value), "text")
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_COUNT = (_whole, "a whole number from 0")
_SUBJECT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "known": _FLAG,
    "effect_class": _one_of("read", "write", "irreversible"),
    "reversible": _FLAG,
    "citations": _COUNT,
    "abstained": _FLAG,
    "language": _one_of("ko", "en"),
    "trust": _one_of("trusted", "untrusted"),
    "evidence": _one_of("good", "weak", "contradictory"),
    "requester": _TEXT,
}
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": _TEXT,
    "tool": _TEXT,
    "args": ((lambda value: isinstance(value, dict)), "a table of arguments"),
    "text": _TEXT,
    **_SUBJECT,
    "outcome": _one_of(*get_args(RuleOutcome)),
    "kind": _one_of(*get_args(Kind)),
    "tier": _COUNT,
    "rules": ((lambda v: isinstance(v, list) and all(isinstance(r, str) for r in v)), "a list of rule ids"),
}


__all__ = [
    "BrokenCases", "Case", "Tried", "answer_subject", "call_subject", "read_cases", "try_cases",
]  # fmt: skip
