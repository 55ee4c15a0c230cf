"""The gate: what is asked, and what exactly is approved. Pure functions over the vocabulary; no I/O.

A review is bound to what will run by its digest: SHA-256 over the canonical JSON (RFC 8785) of tool, schema version,
arguments, policy version and evidence ids. ``act`` computes it again from what it is about to run.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import rfc8785

from nodes.ports import Toolbox
from state import (
    JSON,
    Action,
    AgentState,
    Decision,
    DecisionType,
    Kind,
    PassageRef,
    Proposal,
    Reason,
    Review,
    ToolSpec,
    Verdict,
    person_of,
)

ALLOWED: Final[dict[Kind, list[DecisionType]]] = {
    "tool": ["approve", "edit", "reject"],
    "compliance": ["approve", "edit", "reject"],
    "approval": ["approve", "edit", "reject"],
    "clarification": ["answer", "reject"],
    "correction": ["approve", "edit", "answer", "reject"],
    "feedback": ["approve", "answer", "reject"],
    "in_doubt": ["approve", "reject"],
}
"""What a person may say to each kind. ``in_doubt``: approve means "it happened", reject "it did not"; where the tool
has a probe, also answer, which means "look it up"."""

LOOK_IT_UP: Final = "look it up"
LOOK_UP_SCHEMA: Final[dict[str, JSON]] = {"type": "string", "enum": [LOOK_IT_UP]}

QUESTION_DUE_S: Final = 24 * 3600
"""Deadline of a review that no policy rule opened (clarification, in_doubt), in seconds."""

ANSWER_SCHEMA: Final[dict[str, JSON]] = {"type": "string", "minLength": 1, "maxLength": 20_000}


DEEPEST: Final = 32
"""Levels of nesting that arguments may have."""


def unfit(value: JSON, depth: int = 0) -> str:
    """Why a value can be neither digested nor compared by a rule, such as no number; "" where it can.

    RFC 8785 has only what JSON holds exactly. A rule like ``args.amount > 100000`` says no of "not a number".
    """
    if isinstance(value, str):
        return "" if _is_text(value) else "a text has half a character in it"
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int):
        return "" if abs(value) <= 2**53 - 1 else f"{str(value)[:20]}… is too large a number to be kept exactly"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is no number"
    if depth >= DEEPEST:
        return f"it is nested more than {DEEPEST} levels deep"
    if isinstance(value, Mapping):
        inner: Iterable[JSON] = (part for item in value.items() for part in item)
    elif isinstance(value, list | tuple):
        inner = value
    else:
        return f"a {type(value).__name__} is nothing that JSON holds"
    return next((why for part in inner if (why := unfit(part, depth + 1))), "")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def digest_of(action: Action, policy_version: str, evidence: Iterable[str]) -> str:
    """``sha256:<hex>`` of the canonical JSON of everything that an approval covers."""
    canonical = rfc8785.dumps(
        {
            "tool": action["tool"],
            "schema_version": action["schema_version"],
            "args": action["args"],
            "policy_version": policy_version,
            "evidence": sorted(evidence),
        }
    )
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def short_id(prefix: str, *parts: str) -> str:
    """A stable id from what it names: the same step, run again after a crash, opens the same review."""
    return f"{prefix}_{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def action_of(proposal: Proposal, spec: ToolSpec | None, args: Mapping[str, JSON] | None = None) -> Action:
    """The action that a proposal stands for, with other arguments where a person edited them."""
    return Action(
        tool=proposal["tool"],
        schema_version=spec["schema_version"] if spec else "unknown",
        args=dict(proposal["args"] if args is None else args),
        effect_class=spec["effect_class"] if spec else "irreversible",
        reversible=spec["reversible"] if spec else False,
    )


def text_action(text: str) -> Action:
    """The action of a review that is about words: a draft, a question."""
    return Action(tool="", schema_version="text/1", args={"text": text}, effect_class="read", reversible=True)


def spec_of(toolbox: Toolbox, name: str) -> ToolSpec | None:
    """The spec of a tool as it was accepted, else None; :meth:`nodes.ports.Toolbox.look` says what it is now."""
    return toolbox.spec(name)


def open_review(
    *,
    thread_id: str,
    kind: Kind,
    subject: str,
    summary: str,
    action: Action,
    evidence: Sequence[PassageRef],
    policy_version: str,
    now: datetime,
    question: str = "",
    verdict: Verdict | None = None,
    turn: str = "",
    requester: str = "",
    may_look_up: bool = False,
) -> Review:
    """A new review. Tier, votes, roles and deadline come from the verdict where a rule asked for it.

    ``turn``: the message that it goes back to. A later turn that asks the very same is another review, with a decision
    of its own.
    ``may_look_up``: the tool can say itself whether an effect in doubt happened.
    """
    digest = digest_of(action, policy_version, (p["id"] for p in evidence))
    due_s = verdict["due_s"] if verdict else QUESTION_DUE_S
    why = verdict["why"] if verdict else [Reason(rule_id=f"built-in:{kind}", text=summary, severity="low", hard=True)]
    return Review(
        id=review_id(thread_id, turn, subject, kind, digest),
        thread_id=thread_id,
        kind=kind,
        subject=subject,
        summary=summary,
        question=question,
        action=action,
        why=why,
        evidence=list(evidence),
        allowed=[*ALLOWED[kind], "answer"] if may_look_up else ALLOWED[kind],
        answer_schema=LOOK_UP_SCHEMA if may_look_up else ANSWER_SCHEMA,
        policy_version=policy_version,
        digest=digest,
        tier=verdict["tier"] if verdict else 0,
        votes_needed=verdict["votes"] if verdict else 1,
        roles=verdict["roles"] if verdict else [],
        created_at=now.isoformat(),
        due_at=(now + timedelta(seconds=due_s)).isoformat(),
        escalate_at=(now + timedelta(seconds=due_s / 2)).isoformat(),
        requester=requester,
        self_approval=verdict.get("self_approval", True) if verdict else True,
        wants_reason=verdict.get("wants_reason", False) if verdict else False,
    )


def review_id(thread_id: str, turn: str, subject: str, kind: Kind, digest: str) -> str:
    """A review's id is made of what it asks: nobody can move its decision to another call."""
    return short_id("rv", thread_id, *([turn] if turn else []), subject, kind, digest)


def effect_key(thread_id: str, proposal: Proposal, args: Mapping[str, JSON], turn: str = "") -> str:
    """The effect's name in the ledger and for the tool: the approved call and its arguments, nothing that can drift.

    Policy and schema version are left out on purpose: a changed rule must find the intent of the run before it. The
    turn is in it because models count their calls anew; a thread of an older version has none.
    """
    arguments = rfc8785.dumps(dict(args)).decode()
    return short_id("fx", thread_id, *([turn] if turn else []), proposal["id"], proposal["tool"], arguments)


def request_of(review: Review) -> dict[str, Any]:
    """What ``interrupt()`` shows: LangChain's HITLRequest with our review beside it, for every LangGraph client."""
    name = review["action"]["tool"] or {"clarification": "ask_user"}.get(review["kind"], "answer")
    wire = {"approve": "approve", "edit": "edit", "reject": "reject", "answer": "respond"}
    return {
        "action_requests": [{"name": name, "args": review["action"]["args"], "description": review["summary"]}],
        "review_configs": [{"action_name": name, "allowed_decisions": [wire[d] for d in review["allowed"]]}],
        "review": review,
    }


def open_reviews(state: AgentState) -> list[Review]:
    """The reviews of this turn that nobody has decided, in the order in which they were opened."""
    decisions = state.get("decisions") or {}
    return [review for review in (state.get("reviews") or {}).values() if review["id"] not in decisions]


def decided(state: AgentState, subject: str) -> tuple[Review, Decision] | None:
    """The newest review about a subject with its decision; None while it is open, or when nobody was asked.

    An edited call that had to be asked again has a second review: only the newest counts.
    """
    about = _about(state, subject)
    if not about:
        return None
    decision = (state.get("decisions") or {}).get(about[-1]["id"])
    return (about[-1], decision) if decision else None


def _about(state: AgentState, subject: str) -> list[Review]:
    return [r for r in (state.get("reviews") or {}).values() if r["subject"].split("#")[0] == subject]


def pending_proposals(state: AgentState) -> list[Proposal]:
    """Proposals of this turn that have no outcome yet, in the order in which the model made them."""
    done = state.get("outcomes") or {}
    return [p for p in (state.get("proposals") or {}).values() if p["id"] not in done]


def allowed_args(state: AgentState, proposal: Proposal) -> dict[str, JSON] | None:
    """The arguments with which a pending proposal may run now, or None: not yet, or never.

    A verdict that lets it run (auto, notify) allows the arguments as proposed, unless ``act`` opened a review all the
    same; "ask" needs an approval, or an edit whose arguments the policy has let through. Anything else, a missing
    verdict included, allows nothing. Whether what the state says is true is for :mod:`nodes.last_look`.
    """
    verdicts, subject = state.get("verdicts") or {}, f"call:{proposal['id']}"
    verdict = verdicts.get(subject)
    if verdict is None or verdict["outcome"] == "forbid":
        return None
    if verdict["outcome"] in ("auto", "notify") and not _about(state, subject):
        return dict(proposal["args"])
    found = decided(state, subject)
    if found is None:
        return None
    review, decision = found
    if decision["type"] == "approve":
        return dict(review["action"]["args"])
    if decision["type"] == "edit" and decision["edited_args"] is not None:
        judged = verdicts.get(edited_subject(review, decision))
        if judged and covers(verdict=judged, review=review, decision=decision):
            return dict(decision["edited_args"])
    return None


def edited_subject(review: Review, decision: Decision) -> str:
    """The verdict key of an edited call: a different call, so a verdict of its own."""
    return f"{review['subject'].split('#')[0]}#{short_id('edit', review['id'], decision['at'], decision['by'])}"


def covers(*, verdict: Verdict, review: Review, decision: Decision) -> bool:
    """Whether the one person whose edit it is was asked at least as strictly as ``verdict`` wants of the edited call.

    An edit is the word of one person: where several votes are wanted, it is asked about anew, and the votes begin anew.
    """
    if verdict["outcome"] == "forbid":
        return False
    if verdict["outcome"] != "ask":
        return True
    own = person_of(decision["by"]) == person_of(review.get("requester", "")) and not verdict.get("self_approval", True)
    unsaid = verdict.get("wants_reason", False) and not is_reason(decision["reason"])
    return verdict["votes"] <= 1 and _as_strict(verdict, review) and not own and not unsaid


def enough(*, verdict: Verdict, review: Review, approvals: Iterable[Decision], requester: str) -> bool:
    """Whether those who approved are as many, and were asked as strictly, as ``verdict`` wants."""
    wanted = verdict.get("wants_reason", False)
    people = {person_of(said["by"]) for said in approvals if not wanted or is_reason(said["reason"])}
    if not verdict.get("self_approval", True):
        people.discard(person_of(requester))
    return len(people) >= verdict["votes"] and _as_strict(verdict, review)


def is_reason(text: str) -> bool:
    """Whether a text says anything at all; a dot or an invisible sign does not."""
    return any(letter.isalnum() for letter in text)


def _as_strict(verdict: Verdict, review: Review) -> bool:
    roles_kept = not verdict["roles"] or (bool(review["roles"]) and set(review["roles"]) <= set(verdict["roles"]))
    return verdict["tier"] <= review["tier"] and roles_kept


def as_decided(
    review: Review, decision: Decision, action: Action, policy_version: str, evidence: Iterable[str]
) -> bool:
    """Whether what is about to run is to the bit what the person saw (or, edited, under what they saw)."""
    if decision["digest"] != review["digest"]:
        return False
    if decision["type"] == "edit":
        same_schema = action["schema_version"] == review["action"]["schema_version"]
        return same_schema and review["policy_version"] == policy_version
    return digest_of(action, policy_version, evidence) == review["digest"]
