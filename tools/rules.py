"""Reads policy files: TOML in, rules out, and every mistake refused with file, line, rule and field. Judges nothing.

A rule::

    [[rule]]
    id = "refund-large"
    text = "Refunds above KRW 100,000 need a manager."
    text_ko = "10만 원이 넘는 환불은 매니저가 결재합니다."
    on = "call"                        # or "answer"
    tool = "issue_refund"              # name or glob; leave out for any
    when = "args.amount > 100000"      # CEL over the subject; leave out for always
    outcome = "ask"                    # auto, notify, ask, forbid
    tier = 3
    votes = 2                          # people who must approve, from tier 3 on
    self_approval = false              # the requester is none of them; the default where votes > 1
    roles = ["manager"]
    reason = "required"                # whoever approves, edited or not, writes why; "optional" unless it is said
    due = "2h"
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, cast, get_args

from state import JSON, TOP_TIER, Kind, RuleOutcome, UserError
from tools.expressions import cel
from tools.pii import TYPES, texts_of, types_in

VARIABLES = (
    "on", "tool", "known", "args", "effect_class", "reversible", "text", "citations", "abstained", "language", "trust",
    "evidence", "requester", "pii",
)  # fmt: skip
"""What a condition may speak of: the keys of a subject, and ``pii``: the types of personal data found in it."""

FUNCTIONS = frozenset(
    "size contains startsWith endsWith matches has int uint double string bool bytes duration timestamp type dyn"
    " min max getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear getHours getMinutes".split()
)
SEVERITIES = ("low", "medium", "high")
ASKING_KINDS = ("tool", "compliance", "approval", "correction")
HIGHEST_TIER = 9
SHORTEST_DUE_S, LONGEST_DUE_S = 60, 90 * 86_400
_DUE = re.compile(r"(\d{1,6})\s*([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_CAPITALS = re.compile(r"""["']([A-Z]{2,}_[A-Z_]+)["']""")
_BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_]\w*)\s*,")


class BrokenPolicy(UserError):
    """A policy file that cannot be taken as it is; nothing of it applies."""


class ConditionFailed(Exception):
    """A condition that could not be evaluated for a subject; ``str(e)`` says why in one line."""


@dataclass(frozen=True)
class Rule:
    """One rule, checked."""

    id: str
    text: str
    text_ko: str
    on: Literal["call", "answer"]
    tool: str
    """Name or glob; "" is any."""
    when: str
    outcome: RuleOutcome
    kind: Kind
    severity: Literal["low", "medium", "high"]
    tier: int
    votes: int
    roles: tuple[str, ...]
    due_s: int | None
    hard: bool
    signed_by: str
    self_approval: bool
    """Whether whoever made the request may approve it."""
    reason: Literal["optional", "required"] = "optional"
    """Whether an approval is given with a written reason."""
    condition: Any = None
    """The compiled form of ``when``."""
    line: int = 0
    """Where the rule begins in its file, from 1."""

    def concerns(self, subject: Mapping[str, JSON]) -> bool:
        """Whether the rule is about this call or answer at all, its condition aside."""
        return self.on == subject["on"] and (not self.tool or fnmatchcase(str(subject["tool"]), self.tool))

    def names_a_tool(self) -> bool:
        """Whether the rule says which tools it means, instead of all of them."""
        return bool(self.tool.strip("*?"))

    def holds(self, subject: Mapping[str, JSON]) -> bool:
        """Whether the condition is true.

        Raises:
            ConditionFailed: it cannot be evaluated, or is neither true nor false.
        """
        if self.condition is None:
            return True
        try:
            value = self._evaluated(subject)
        except (
            Exception
        ) as error:  # the evaluator raises what it likes; each of them must end in a question, not a pass
            reason = re.split(r"\.\s|\n", str(error).strip() or "no message", maxsplit=1)[0]
            raise ConditionFailed(f"{type(error).__name__}: {reason}") from error
        if not isinstance(value, bool):
            raise ConditionFailed(f"it gives {type(value).__name__}, not true or false")
        return value

    def _evaluated(self, subject: Mapping[str, JSON]) -> JSON:
        """The condition's value; personal data is looked for only where the value hangs on it."""
        names = dict(subject)
        if "pii" in names or "pii" not in self.condition.variables():
            return self.condition.execute(names)
        with contextlib.suppress(Exception):  # what fails without ``pii`` is asked again with it
            return self.condition.execute(names)
        names["pii"] = types_in(texts_of(subject))
        return self.condition.execute(names)


def read_rules(path: Path, *, hard: bool = False) -> tuple[list[Rule], bytes]:
    """The rules of a file in order, and its bytes; ``hard`` marks every one of them as hard.

    Raises:
        BrokenPolicy: naming file, line where there is one, rule and field.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        raise BrokenPolicy(f"{path.name}: cannot be read ({error.strerror}); give the policy file's path") from error
    except UnicodeDecodeError as error:
        raise BrokenPolicy(f"{path.name}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokenPolicy(f"{path.name}: is no valid TOML: {error}") from error
    reader = _Reader(path.name, text)
    tables = document.pop("rule", [])
    if document:
        key = next(iter(document))
        raise reader.broken(None, key, "is no key of a policy file; only [[rule]] tables are")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise reader.broken(None, "rule", "must be written as [[rule]] tables")
    rules = [reader.rule(number, table, hard) for number, table in enumerate(tables)]
    for number, rule in enumerate(rules):
        if rule.id in {earlier.id for earlier in rules[:number]}:
            raise reader.broken(number, "id", f"{rule.id!r} is used twice; give each rule its own")
    return rules, raw


class _Reader:
    """One file's text, for messages that know the line."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = text.splitlines()
        self.headers = [n for n, line in enumerate(self.lines) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
        self.ids: dict[int, str] = {}

    def broken(self, number: int | None, field: str, what: str) -> BrokenPolicy:
        line = self._line(number, field)
        where = f"{self.name}:{line}" if line else self.name
        rule = "" if number is None else f" rule {self.ids.get(number) or f'number {number + 1}'!r},"
        return BrokenPolicy(f"{where}:{rule} field {field!r}: {what}")

    def _line(self, number: int | None, field: str) -> int | None:
        start, end = 0, len(self.lines)
        if number is not None:
            if number >= len(self.headers):
                return None
            start = self.headers[number]
            end = self.headers[number + 1] if number + 1 < len(self.headers) else end
        for n in range(start, end):
            if re.match(rf"\s*[\"']?{re.escape(field)}[\"']?\s*=|\s*\[+\s*{re.escape(field)}\s*\]+", self.lines[n]):
                return n + 1
        return start + 1 if number is not None else None

    def rule(self, number: int, table: dict[str, Any], hard: bool) -> Rule:
        if isinstance(table.get("id"), str):
            self.ids[number] = table["id"]
        for key in table:
            if key not in _FIELDS:
                raise self.broken(number, key, f"is unknown; a rule has {', '.join(_FIELDS)}")
        for key in ("id", "text", "on", "outcome"):
            if key not in table:
                raise self.broken(number, key, "is missing")
        values: dict[str, Any] = {}
        for key, (read, default) in _FIELDS.items():
            try:
                values[key] = read(table[key]) if key in table else default
            except ValueError as error:
                raise self.broken(number, key, str(error)) from error
        self._refuse_contradictions(number, values)
        if values["self_approval"] is None:
            values["self_approval"] = values["votes"] == 1
        due = values.pop("due")
        asks_for = values.pop("kind") or ("tool" if values["on"] == "call" else "approval")
        severity = values.pop("severity") or {"ask": "medium", "forbid": "high"}.get(values["outcome"], "low")
        values["hard"] = hard or values["hard"]
        values["text_ko"] = values["text_ko"] or values["text"]
        condition = cel.compile(values["when"]) if values["when"] else None
        return Rule(
            **values,
            kind=cast("Kind", asks_for),
            severity=cast("Any", severity),
            due_s=due,
            condition=condition,
            line=self.headers[number] + 1 if number < len(self.headers) else 0,
        )

    def _refuse_contradictions(self, number: int, values: dict[str, Any]) -> None:
        if values["on"] == "answer" and values["tool"]:
            raise self.broken(number, "tool", 'an answer has no tool; leave it out, or write on = "call"')
        if values["outcome"] != "ask":
            for key in ("votes", "roles", "due", "tier", "kind", "self_approval", "reason"):
                if values[key] != _FIELDS[key][1]:
                    other = values["outcome"]
                    raise self.broken(number, key, f"only a rule that asks has {key}; this one has outcome {other!r}")
        if values["votes"] > 1 and values["tier"] < TOP_TIER:
            raise self.broken(number, "votes", f"several votes are for tier {TOP_TIER} and above; raise the tier")
        if values["signed_by"] and values["outcome"] not in ("auto", "notify"):
            raise self.broken(number, "signed_by", "only a rule with outcome 'auto' or 'notify' is signed")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be text, not {value!r}")
    return value.strip()


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, not {value!r}")
        return value

    return read


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _roles(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(role, str) and role for role in value):
        raise ValueError(f"must be a list of role names, not {value!r}")
    return tuple(value)


def _due(value: Any) -> int:
    match = _DUE.fullmatch(value) if isinstance(value, str) else None
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not SHORTEST_DUE_S <= seconds <= LONGEST_DUE_S:
        raise ValueError(f"must be a time from 1m to 90d, like 15m, 2h or 1d, not {value!r}")
    return seconds


def read_condition(value: Any, names: Sequence[str] = VARIABLES) -> str:
    """A condition's source, checked: it compiles, speaks of ``names`` alone and calls what is there.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence.
    """
    source = _text(value)
    try:
        program = cel.compile(source)
    except Exception as error:  # a parser may raise what it likes: the file is refused either way
        found = re.search(r"<input>:(\d+):(\d+): ([^\n]*)", str(error))
        where = f" at character {found[2]}: {found[3].split(' expecting ')[0][:160]}" if found else ""
        raise ValueError(f"is no CEL expression{where}") from error
    known = {*names, *_BOUND.findall(source)}
    unknown = [name for name in program.variables() if name not in known]
    if unknown:
        raise ValueError(f"speaks of {unknown[0]!r}, which a subject does not have; it has {', '.join(names)}")
    strange = [name for name in program.functions() if re.match(r"[A-Za-z]", name) and name not in FUNCTIONS]
    if strange:
        raise ValueError(f"calls {strange[0]!r}, which is no function here; there are {', '.join(sorted(FUNCTIONS))}")
    misspelt = [word for word in _CAPITALS.findall(source) if "pii" in program.variables() and word not in TYPES]
    if misspelt:
        raise ValueError(f"compares pii with {misspelt[0]!r}; its types are {', '.join(TYPES)}")
    return source


_FIELDS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "id": (_text, ""),
    "text": (_text, ""),
    "text_ko": (_text, ""),
    "on": (_one_of("call", "answer"), ""),
    "tool": (_text, ""),
    "when": (read_condition, ""),
    "outcome": (_one_of(*get_args(RuleOutcome)), ""),
    "kind": (_one_of(*ASKING_KINDS), ""),
    "severity": (_one_of(*SEVERITIES), ""),
    "tier": (_whole(0, HIGHEST_TIER), 1),
    "votes": (_whole(1, 9), 1),
    "roles": (_roles, ()),
    "due": (_due, None),
    "hard": (_flag, False),
    "signed_by": (_text, ""),
    "self_approval": (_flag, None),
    "reason": (_one_of("optional", "required"), "optional"),
}
