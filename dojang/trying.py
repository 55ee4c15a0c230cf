"""The rules, tried on a call or an answer: counts nothing, runs nothing, needs neither model nor database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from state import JSON, Language, Trust, Verdict, language_of
from tools.policy_cases import answer_subject, call_subject

if TYPE_CHECKING:
    from dojang.settings import Settings
    from tools.policy import Explained, FilePolicy
    from tools.rules import Rule
    from tools.toolbox import Toolbox


@dataclass(frozen=True)
class Tried:
    """What is tried: a call of ``tool``, or an answer where that is ""."""

    tool: str = ""
    args: Mapping[str, JSON] | None = None
    text: str = ""
    trust: Trust = "trusted"
    requester: str = ""


@dataclass(frozen=True)
class Found:
    """The verdict, every rule with why it had a say or none, and what is odd about the arguments."""

    verdict: Verdict
    rules: list[Explained]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        rules = [{"id": e.rule.id, "matched": e.matched, "because": e.because} for e in self.rules]
        return {"verdict": self.verdict, "rules": rules, "notes": self.notes}


def tried(policy: FilePolicy, toolbox: Toolbox, said: Tried, language: Language) -> Found:
    """What the policy would say. ``language``: of the call; an answer has its own."""
    about = {"trust": said.trust, "requester": said.requester}
    notes: list[str] = []
    if said.tool:
        checked = toolbox.check(said.tool, dict(said.args or {}))
        notes = [*checked["problems"], *(f"{name}: is missing" for name in checked["missing"])]
        subject = call_subject(toolbox.offered(), said.tool, checked["args"], language=language, **about)
    else:
        subject = answer_subject(said.text, language=language_of(said.text), **about)
    return Found(policy.consider("explained", subject), policy.explain(subject, language), notes)


def rule_as_json(r: Rule) -> dict[str, Any]:
    """A rule as lists have it."""
    asks = r.outcome == "ask"
    return {
        "id": r.id, "hard": r.hard, "on": r.on, "tool": r.tool, "when": r.when.strip(), "outcome": r.outcome,
        "kind": r.kind if asks else "", "tier": r.tier if asks else 0, "line": r.line,
    }  # fmt: skip


def described(settings: Settings) -> Toolbox:
    """The tools without their database: they are described here, never run."""
    from dojang.chosen import mcp_servers_of
    from tools.toolbox import Toolbox, local_today

    today, servers = settings.today, mcp_servers_of(settings, connects=False)
    return Toolbox.open(settings.tools, today=local_today if today is None else lambda: today, mcp=servers)
