"""The rules that say which call or answer needs whom. Fails closed: what no rule knows is asked about or refused.

Of the rules that match, the strictest wins: forbid, ask, notify, auto. Built in, and not relaxed by any file:

- a tool that does not exist is forbidden;
- a call that is no read and that no rule matches is asked about; so is a call whose effect class is not known;
- a rule whose condition cannot be evaluated asks;
- ``auto`` and ``notify`` let a call that changes something pass only where the rule names the tool, and one that cannot
  be undone only where the rule also names who signed it (``signed_by``);
- evidence that is not trusted is judged as if it were trusted too, and the stricter verdict holds.

A standing approval (`tools.standing`) of a named person may turn "ask" into "notify" for a call that soft rules of tier
2 or below ask about; never where a built-in or hard rule asks, a condition failed, several votes, a role or a written
reason are wanted, or evidence is not trusted.

Roles of several rules that ask: those that all of them accept; where there are none such, those of the highest tier.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from state import JSON, TOP_TIER, Kind, Language, Reason, RuleOutcome, Verdict
from tools.rules import BrokenPolicy, ConditionFailed, Rule, read_rules
from tools.standing import HIGHEST_STANDING_TIER, Standing, StandingApproval

STRICTNESS: dict[RuleOutcome, int] = {"auto": 0, "notify": 1, "ask": 2, "forbid": 3}
DEFAULT_DUE_S = 86_400
DEFAULT_TIER = 1
BUILT_IN = b"dojang policy defaults 1"
"""Part of the version: when the built-in rules change, an old approval asks again."""

_SENTENCES = {
    "default.unknown_tool": ("There is no such tool.", "없는 도구입니다."),
    "default.read": ("Reading changes nothing.", "조회만 하므로 바뀌는 것이 없습니다."),
    "default.write": (
        "No rule covers this call, and it changes something.",
        "이 호출에 맞는 규칙이 없고, 실행하면 바뀌는 것이 있습니다.",
    ),
    "default.drift": (
        "The server of this tool has changed it since it was accepted ({what}); what was accepted or approved of it "
        "holds no more.",
        "이 도구는 승인된 뒤에 서버 쪽에서 바뀌었습니다({what}). 그 전의 승인은 더 이상 유효하지 않습니다.",
    ),
    "guarded": (
        "This changes who answers from now on: a person decides it, each time.",
        "앞으로 누가 답할지가 바뀝니다. 매번 사람이 결재합니다.",
    ),
    "default.answer": ("No rule covers this answer.", "이 답변에 걸리는 규칙이 없습니다."),
}
_PARTS = {
    "server": ("its address", "주소"),
    "version": ("its version", "버전"),
    "description": ("its description", "설명"),
    "arguments": ("its arguments", "인자"),
    "hints": ("what it says of its effect", "효과에 대한 안내"),
}
"""In what a tool can differ from what was accepted."""
DRIFT_TIER = 2
_NOT_RELAXED = (
    "The rule lets this pass, but does not name the tool, or nobody signed it for a call that cannot be undone.",
    "통과시키는 규칙이지만 도구 이름이 없거나, 되돌릴 수 없는 호출에 대한 서명자가 없습니다.",
)
_FAILED = ("The rule could not be evaluated", "규칙을 판정할 수 없습니다")


@dataclass(frozen=True)
class _Finding:
    """One rule's say about one subject, or a built-in one."""

    outcome: RuleOutcome
    reason: Reason
    kind: Kind
    tier: int = DEFAULT_TIER
    votes: int = 1
    roles: tuple[str, ...] = ()
    due_s: int | None = None
    self_approval: bool = True
    wants_reason: bool = False
    whole: bool = True
    """Whether the rule says what its author meant: its condition held, and its outcome was allowed to it."""


@dataclass(frozen=True)
class Explained:
    """Why one rule had a say, or none."""

    rule: Rule
    matched: bool
    because: str
    """For a person; conditions are quoted as they are written."""


class FilePolicy:
    """Rules from files; satisfies ``nodes.ports.Policy`` by shape. Immutable: a changed file is another policy.

    Attributes:
        version: hash of the files' contents and of the built-in rules; standing approvals do not change it.
        rules: all rules, hard ones first.
        standing: approvals given in advance; None where there are none to consult.
    """

    def __init__(self, rules: Sequence[Rule], version: str, *, standing: Standing | None = None) -> None:
        self.rules = tuple(rules)
        self.version = version
        self.standing = standing
        self._guarded: frozenset[str] = frozenset()

    def guarding(self, *tools: str) -> FilePolicy:
        """The same rules, with one more that no file relaxes: calls of these tools ask at the top tier, each time.

        Rules may want more (votes, roles, another person than the requester) or forbid it. No approval in advance
        holds.
        """
        guarded = FilePolicy(self.rules, self.version)
        guarded._guarded = frozenset(tools)
        return guarded

    def judge(self, subject_id: str, subject: Mapping[str, Any]) -> Verdict:
        """The verdict on a call or an answer (keys as in ``nodes.ports.Subject``); odd arguments never raise.

        Writes nothing, except that the use of a standing approval is counted, durably, before its verdict is given:
        once a ``key``.
        """
        verdict, approval = self._considered(subject_id, subject)
        if approval is None or self.standing is None:
            return verdict
        if self.standing.counted(subject) is None:
            approval = self.standing.use(approval.id, subject_id, subject["tool"], key=str(subject.get("key", "")))
        return verdict if approval is None else _relaxed(verdict, approval, subject)

    def recheck(self, subject_id: str, subject: Mapping[str, Any]) -> Verdict:
        """The verdict at the instant of execution.

        An approval in advance holds only if :meth:`judge` counted its use for this very call (``key``), and has not
        ended since.
        """
        verdict, approval = self._considered(subject_id, subject, counted=True)
        return verdict if approval is None else _relaxed(verdict, approval, subject)

    def consider(self, subject_id: str, subject: Mapping[str, Any]) -> Verdict:
        """What :meth:`judge` would say now; counts nothing."""
        verdict, approval = self._considered(subject_id, subject)
        return verdict if approval is None else _relaxed(verdict, approval, subject)

    def explain(self, subject: Mapping[str, Any], language: Language = "en") -> list[Explained]:
        """Every rule of the files, in order, and why it had a say about the subject or none."""
        seen = _normalised(subject)
        views = [seen] if seen["trust"] == "trusted" else [seen, {**seen, "trust": "trusted"}]
        return [_explained(rule, views, language == "ko") for rule in self.rules]

    def _considered(
        self, subject_id: str, subject: Mapping[str, Any], *, counted: bool = False
    ) -> tuple[Verdict, StandingApproval | None]:
        seen = _normalised(subject)
        findings = self._findings(seen)
        if seen["trust"] != "trusted":
            findings = _united(findings, self._findings({**seen, "trust": "trusted"}))
        verdict = self._verdict(subject_id, findings, seen)
        if self.standing is None or verdict["outcome"] != "ask" or not _may_stand(findings, seen):
            return verdict, None
        return verdict, self.standing.counted(seen) or (None if counted else self.standing.covering(seen))

    def _findings(self, subject: Mapping[str, JSON]) -> list[_Finding]:
        found = [finding for rule in self.rules if (finding := _finding(rule, subject)) is not None]
        if subject["on"] == "call" and subject["tool"] in self._guarded:
            found = [_built_in("guarded", "ask", "high", subject, tier=TOP_TIER), *found]
        if subject.get("drift"):
            found = [_drifted(subject), *found]
        built_in = _default(subject, matched=bool(found))
        return [built_in, *found] if built_in is not None else found

    def _verdict(self, subject_id: str, findings: Sequence[_Finding], subject: Mapping[str, JSON]) -> Verdict:
        outcome = max((f.outcome for f in findings), key=STRICTNESS.__getitem__)
        asking = sorted((f for f in findings if f.outcome == "ask"), key=lambda f: (-f.tier, not f.reason["hard"]))
        asks = outcome == "ask"
        kinds: list[Kind] = [f.kind for f in asking]
        deadlines = [f.due_s for f in asking if f.due_s is not None]
        return Verdict(
            subject=subject_id,
            outcome=outcome,
            kind=("compliance" if "compliance" in kinds else kinds[0]) if asks else _kind(subject),
            why=[f.reason for f in findings],
            tier=max((f.tier for f in asking), default=0) if asks else 0,
            votes=max((f.votes for f in asking), default=1) if asks else 1,
            roles=_roles(asking) if asks else [],
            due_s=min(deadlines, default=DEFAULT_DUE_S) if asks else DEFAULT_DUE_S,
            policy_version=self.version,
            self_approval=all(f.self_approval for f in asking) if asks else True,
            wants_reason=asks and any(f.wants_reason for f in asking),
        )


def load_policy(path: Path, hard_path: Path | None = None, *, standing: Standing | None = None) -> FilePolicy:
    """Read a policy file and, beside it, a file of hard rules that it cannot override.

    ``standing``: approvals given in advance, consulted at every verdict.

    Raises:
        BrokenPolicy: naming file, line, rule and field; also when the policy repeats the id of a hard rule.
    """
    rules, raw = read_rules(path)
    hard, hard_raw = read_rules(hard_path, hard=True) if hard_path is not None else ([], b"")
    taken = {rule.id for rule in hard}
    for rule in rules:
        if rule.id in taken and hard_path is not None:
            raise BrokenPolicy(
                f"{path.name}: rule {rule.id!r}, field 'id': is a hard rule of {hard_path.name}; rename it"
            )
    digest = hashlib.sha256()
    for part in (BUILT_IN, raw, hard_raw):
        digest.update(len(part).to_bytes(8, "big") + part)
    return FilePolicy(
        [*hard, *sorted(rules, key=lambda rule: not rule.hard)], digest.hexdigest()[:16], standing=standing
    )


def _normalised(subject: Mapping[str, Any]) -> dict[str, JSON]:
    """The subject as rules read it: full-width digits and invisible signs must not hide a promise of money."""
    text = unicodedata.normalize("NFKC", str(subject["text"]))
    return {**subject, "text": "".join(c for c in text if unicodedata.category(c) != "Cf")}


def _finding(rule: Rule, subject: Mapping[str, JSON]) -> _Finding | None:
    if not rule.concerns(subject):
        return None
    outcome, note = rule.outcome, None
    korean = subject["language"] == "ko"
    try:
        if not rule.holds(subject):
            return None
    except ConditionFailed as error:
        outcome, note = "ask", (f"{_FAILED[0]} ({error}).", f"{_FAILED[1]} ({error}).")
    if outcome in ("auto", "notify") and not _may_relax(rule, subject):
        outcome, note = "ask", _NOT_RELAXED
    texts: dict[Language, str] = {
        "en": f"{rule.text} {note[0] if note else ''}".strip(),
        "ko": f"{rule.text_ko} {note[1] if note else ''}".strip(),
    }
    reason = Reason(
        rule_id=rule.id,
        text=texts["ko" if korean else "en"],
        severity="high" if note else rule.severity,
        hard=rule.hard,
        texts=texts,
    )
    return _Finding(
        outcome,
        reason,
        rule.kind,
        max(rule.tier, DEFAULT_TIER) if note else rule.tier,
        rule.votes,
        rule.roles,
        rule.due_s,
        rule.self_approval,
        rule.reason == "required",
        not note,
    )


def _explained(rule: Rule, views: Sequence[Mapping[str, JSON]], korean: bool) -> Explained:
    subject, when = views[0], rule.when.strip()

    def because(matched: bool, english: str, hangul: str) -> Explained:
        return Explained(rule, matched, hangul if korean else english)

    if rule.on != subject["on"]:
        calls = rule.on == "call"
        return because(
            False, f"it is about {'calls' if calls else 'answers'}", f"{'호출' if calls else '답변'} 규칙입니다"
        )
    if not rule.concerns(subject):
        tool = str(subject["tool"])
        return because(False, f"it is about {rule.tool!r}, not {tool!r}", f"{tool!r} 말고 {rule.tool!r} 규칙입니다")
    for view in views:
        try:
            if rule.holds(view):
                return because(
                    True,
                    f"{when} is true" if when else "it has no condition",
                    f"참: {when}" if when else "조건이 없습니다",
                )
        except ConditionFailed as error:
            return because(
                True,
                f"{when} could not be evaluated, so it asks: {error}",
                f"판정할 수 없어 묻습니다: {when} ({error})",
            )
    return because(False, f"{when} is false", f"거짓: {when}")


def _may_stand(findings: Sequence[_Finding], subject: Mapping[str, JSON]) -> bool:
    """Whether an approval given in advance may speak here at all."""
    if subject["on"] != "call" or subject["known"] is not True or subject["trust"] != "trusted":
        return False
    asking = [finding for finding in findings if finding.outcome == "ask"]
    return all(
        f.whole
        and not f.reason["hard"]
        and f.tier <= HIGHEST_STANDING_TIER
        and f.votes == 1
        and not f.roles
        and f.self_approval
        and not f.wants_reason
        for f in asking
    )


def _relaxed(verdict: Verdict, approval: StandingApproval, subject: Mapping[str, Any]) -> Verdict:
    reason = Reason(
        rule_id=f"standing:{approval.id}",
        text=approval.told("ko" if subject["language"] == "ko" else "en"),
        severity="low",
        hard=False,
        texts={"en": approval.told("en"), "ko": approval.told("ko")},
    )
    return Verdict(
        subject=verdict["subject"],
        outcome="notify",
        kind="tool",
        why=[*verdict["why"], reason],
        tier=0,
        votes=1,
        roles=[],
        due_s=DEFAULT_DUE_S,
        policy_version=verdict["policy_version"],
    )


def _may_relax(rule: Rule, subject: Mapping[str, JSON]) -> bool:
    if subject["on"] == "answer" or subject["effect_class"] == "read":
        return True
    undoable = subject["effect_class"] == "write" and subject["reversible"] is True
    signed = subject["effect_class"] in ("write", "irreversible") and bool(rule.signed_by)
    return rule.names_a_tool() and (undoable or signed)


def _default(subject: Mapping[str, JSON], *, matched: bool) -> _Finding | None:
    """What holds without any file; None where a rule has spoken and nothing built in is stricter."""
    if subject["on"] == "call" and subject["known"] is not True:
        return _built_in("default.unknown_tool", "forbid", "high", subject)
    if matched:
        return None
    if subject["on"] == "answer":
        return _built_in("default.answer", "auto", "low", subject)
    if subject["effect_class"] == "read":
        return _built_in("default.read", "auto", "low", subject)
    return _built_in("default.write", "ask", "medium", subject)


def _built_in(
    rule_id: str,
    outcome: RuleOutcome,
    severity: Literal["low", "medium", "high"],
    subject: Mapping[str, JSON],
    *,
    tier: int = DEFAULT_TIER,
) -> _Finding:
    english, korean = _SENTENCES[rule_id]
    text = korean if subject["language"] == "ko" else english
    texts: dict[Language, str] = {"en": english, "ko": korean}
    reason = Reason(rule_id=rule_id, text=text, severity=severity, hard=True, texts=texts)
    return _Finding(outcome, reason, _kind(subject), tier)


def _drifted(subject: Mapping[str, JSON]) -> _Finding:
    """A tool that is not what was accepted is asked about each time: no rule, no approval in advance lets it pass."""
    finding = _built_in("default.drift", "ask", "high", subject, tier=DRIFT_TIER)
    texts: dict[Language, str] = {
        "en": _SENTENCES["default.drift"][0].format(what=", ".join(_PARTS[part][0] for part in subject["drift"])),
        "ko": _SENTENCES["default.drift"][1].format(what=", ".join(_PARTS[part][1] for part in subject["drift"])),
    }
    text = texts["ko" if subject["language"] == "ko" else "en"]
    return replace(finding, reason=Reason(**{**finding.reason, "text": text, "texts": texts}))


def _kind(subject: Mapping[str, JSON]) -> Kind:
    return "tool" if subject["on"] == "call" else "approval"


def _united(first: Sequence[_Finding], second: Sequence[_Finding]) -> list[_Finding]:
    """Both lists, each finding once."""
    return [*first, *(finding for finding in second if finding not in first)]


def _roles(asking: Sequence[_Finding]) -> list[str]:
    named = [finding.roles for finding in asking if finding.roles]
    if not named:
        return []
    shared = [role for role in named[0] if all(role in roles for roles in named)]
    return shared or list(named[0])


__all__ = ["DEFAULT_DUE_S", "Explained", "FilePolicy", "load_policy"]
