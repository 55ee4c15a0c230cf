"""Policy: the rules with their texts, tried on a call or an answer, their cases, and what would have gone otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field

from dojang.policy_replay import replayed
from dojang.server.access.callers import workspace_of
from dojang.server.api.paging import Word
from dojang.server.api.problems import BAD
from dojang.server.models import Model, ReasonModel
from dojang.server.programs import ProgramRoute
from dojang.settings import SAMPLE
from dojang.trying import Tried, described, rule_as_json, tried
from state import Kind, RuleOutcome, UserError
from tools.policy_cases import read_cases, try_cases

router = APIRouter(tags=["policy"], route_class=ProgramRoute, responses=BAD)
_RULE: dict[str, Any] = {
    "id": "refund-large", "hard": False, "on": "call", "tool": "issue_refund", "when": "args.amount > 100000",
    "outcome": "ask", "kind": "compliance", "tier": 3, "line": 41, "text": "Large refunds go to a manager.",
    "text_ko": "큰 환불은 매니저가 결재합니다.", "votes": 1, "roles": ["manager"], "signed_by": "",
    "reason": "optional",
}  # fmt: skip
_VERDICT: dict[str, Any] = {
    "subject": "explained", "outcome": "ask", "kind": "compliance",
    "why": [{"rule_id": "refund-large", "text": "Large refunds go to a manager.", "severity": "high", "hard": False}],
    "tier": 3, "votes": 1, "roles": ["manager"], "due_s": 86400, "policy_version": "8d0e2f4a6e02",
    "self_approval": True, "wants_reason": False,
}  # fmt: skip


class RuleModel(Model):
    """A rule as it stands in its file."""

    id: str
    hard: bool
    on: Literal["call", "answer"]
    tool: str = Field(description="name or pattern; empty: any")
    when: str = Field(description="the condition, in CEL")
    outcome: RuleOutcome
    kind: str
    tier: int
    line: int
    text: str
    text_ko: str
    votes: int
    roles: list[str]
    signed_by: str
    reason: Literal["optional", "required"] = Field(description="whether an approval needs a written one")


class PolicyModel(Model):
    """The rules in force, hard ones first."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": "8d0e2f4a6e02", "rules": [_RULE]}]}
    )

    version: str
    rules: list[RuleModel]


class TriedIn(Model):
    """A call with its arguments, or the text of an answer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"tool": "issue_refund", "args": {"booking_id": "BK-2041", "amount": 150000}},
                {"text": "The refund is paid within 7 days."},
            ]
        },
    )

    tool: Word = Field("", max_length=200)
    args: dict[str, Any] = Field({}, description="of the call")
    text: str = Field("", max_length=20_000)
    trust: Literal["trusted", "untrusted"] = Field("trusted", description="of the evidence that it rests on")


class VerdictModel(Model):
    """What the rules say."""

    subject: str
    outcome: RuleOutcome
    kind: Kind
    why: list[ReasonModel]
    tier: int
    votes: int
    roles: list[str]
    due_s: int
    policy_version: str
    self_approval: bool = True
    wants_reason: bool = False


class RuleSaid(Model):
    """Why a rule had a say, or none."""

    id: str
    matched: bool
    because: str


class TriedOut(Model):
    """The verdict, and every rule; nothing was counted or run."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "verdict": _VERDICT,
                    "rules": [{"id": "refund-large", "matched": True, "because": "args.amount > 100000 holds"}],
                    "notes": [],
                }
            ]
        },
    )

    verdict: VerdictModel
    rules: list[RuleSaid]
    notes: list[str] = Field(description="what is odd about the arguments")


class CaseModel(Model):
    """A case, and which of its expectations were not met."""

    name: str
    line: int
    wrong: list[str]
    verdict: VerdictModel


class CasesModel(Model):
    """The cases that come with Dojang, judged by the rules in force."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"cases": [{"name": "a large refund", "line": 3, "wrong": [], "verdict": _VERDICT}], "not_met": 0}
            ]
        },
    )

    cases: list[CaseModel]
    not_met: int


class ReplayedModel(Model):
    """What was judged then, and what the rules say of it now."""

    thread_id: str
    at: str
    subject: str
    tool: str
    text: str
    changed: bool
    was: VerdictModel
    now: VerdictModel


class ReplayModel(Model):
    """What would go otherwise under the rules of now."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "judged": 1,
                    "changed": [
                        {
                            "thread_id": "th_9f3c1a2b4d", "at": "2026-11-22T09:00:00+00:00", "subject": "call:call_1",
                            "tool": "issue_refund", "text": "", "changed": True, "was": {**_VERDICT, "tier": 2},
                            "now": _VERDICT,
                        }
                    ],
                }
            ]
        },
    )  # fmt: skip

    judged: int = Field(description="how much was judged since then")
    changed: list[ReplayedModel] = Field(description="oldest first, at most ``limit``")


@router.get("/policy", response_model=PolicyModel)
def show_policy(request: Request) -> Any:
    """The rules in force, with their texts in both languages."""
    policy = workspace_of(request).parts.policy
    rules = [
        {
            **rule_as_json(rule), "text": rule.text, "text_ko": rule.text_ko, "votes": rule.votes,
            "roles": list(rule.roles), "signed_by": rule.signed_by, "reason": rule.reason,
        }
        for rule in policy.rules
    ]  # fmt: skip
    return {"version": policy.version, "rules": rules}


@router.post("/policy/check", response_model=TriedOut)
def check_call(request: Request, body: TriedIn) -> Any:
    """Which tier a call or an answer of yours would have, and why. Counts nothing, runs nothing."""
    if bool(body.tool) == bool(body.text):
        raise UserError("give either a tool, with its args, or the text of an answer")
    workspace = workspace_of(request)
    said = Tried(tool=body.tool, args=body.args, text=body.text, trust=body.trust, requester=workspace.user)
    language = workspace.settings.language or "en"
    return tried(workspace.parts.policy, workspace.parts.describer(), said, language).as_json()


@router.get("/policy/test", response_model=CasesModel)
def test_policy(request: Request) -> Any:
    """The cases that come with Dojang, as `dojang policy test` judges them."""
    workspace = workspace_of(request)
    cases = read_cases(SAMPLE / "policy-tests.toml", described(workspace.settings).offered())
    found = try_cases(workspace.parts.policy, cases)
    told = [{"name": t.case.name, "line": t.case.line, "wrong": list(t.wrong), "verdict": t.verdict} for t in found]
    return {"cases": told, "not_met": sum(bool(t.wrong) for t in found)}


@router.get("/policy/replay", response_model=ReplayModel)
def replay_policy(
    request: Request,
    since: Annotated[datetime, Query(description="from this moment on")],
    limit: Annotated[int, Query(ge=1, le=1000, description="at most so many that would go otherwise")] = 100,
) -> Any:
    """What was really judged since then, judged by the rules of now. Reads every session; runs nothing."""
    workspace = workspace_of(request)
    start = since if since.tzinfo else since.astimezone()
    found = replayed(workspace.settings, workspace.parts.policy, start)
    changed = [one.as_json() for one in found if one.changed]
    return {"judged": len(found), "changed": changed[:limit]}
