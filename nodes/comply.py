"""Comply: asks the policy about every proposal and draft, once, and opens the reviews that it wants.

It also settles what will never run: an invalid, forbidden or rejected call gets its outcome and a tool message here,
so that ``act`` only ever sees calls that may run. A decided call comes back through this node because an edited call
is a different call: it gets a verdict of its own, and is asked again where that verdict is stricter than the review. So
is a call whose tool, rules or evidence changed after it was approved.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime

from nodes.gate import (
    action_of,
    as_decided,
    covers,
    decided,
    edited_subject,
    pending_proposals,
    short_id,
    text_action,
)
from nodes.judging import call_review, judge_call, open_here, subject_of
from nodes.ports import Deps, thread_of
from nodes.wording import clip, say
from state import AgentState, Decision, Draft, Outcome, Proposal, Review, Verdict


class _Findings:
    """What one pass of the node writes."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.reviews: dict[str, Review] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.messages: list[ToolMessage] = []

    def update(self) -> dict[str, Any]:
        """What the node writes: never nothing.

        LangGraph tells nobody of a step that wrote nothing, and whoever stops runs between two steps would hear of this
        one when ``act`` has begun.
        """
        found = {"reviews": self.reviews, "outcomes": self.outcomes, "messages": self.messages}
        return {"verdicts": self.verdicts, **{key: value for key, value in found.items() if value}}


def comply(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Write verdicts and reviews for what has none; write refused outcomes for what must not run."""
    findings = _Findings()
    for proposal in pending_proposals(state):
        _comply_call(state, runtime, proposal, findings)
    draft = state.get("draft")
    if draft is not None and not pending_proposals(state):
        _comply_draft(state, runtime, draft, findings)
    return findings.update()


def _comply_call(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, findings: _Findings) -> None:
    language, subject = state["language"], f"call:{proposal['id']}"
    if proposal["problems"]:
        why = "; ".join(proposal["problems"])
        told = say("invalid", language, reason=runtime.context.told(why, language))
        _refuse(state, runtime, proposal, say("invalid", language, reason=why), findings, told=told)
        return
    verdict = (state.get("verdicts") or {}).get(subject)
    if verdict is None:
        verdict = judge_call(state, runtime, proposal, subject)
        findings.verdicts[subject] = verdict
        if verdict["outcome"] == "ask":
            _open(state, runtime, proposal, subject, verdict, proposal["args"], findings)
    if verdict["outcome"] == "forbid":
        _forbid(state, runtime, proposal, verdict, findings)
    found = decided(state, subject)
    if found is None:
        return
    review, decision = found
    if decision["type"] == "expire":
        _refuse(state, runtime, proposal, say("expired", language, due=review["due_at"]), findings)
    elif decision["type"] == "reject":
        reason = decision["reason"] or decision["message"] or say("no_reason", language)
        _refuse(state, runtime, proposal, say("rejected", language, by=decision["by"], reason=reason), findings)
    elif not _as_approved(state, runtime, proposal, review, decision):
        _ask_again(state, runtime, proposal, review, decision, findings)
    elif decision["type"] == "edit":
        _comply_edit(state, runtime, proposal, review, decision, findings)


def _as_approved(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, review: Review, decision: Decision
) -> bool:
    """Whether the call is still what the person decided about: same schema, same rules, same evidence."""
    deps = runtime.context
    action = action_of(proposal, deps.toolbox.look(proposal["tool"]), _decided_args(review, decision))
    return as_decided(review, decision, action, deps.policy.version, (p["id"] for p in state.get("passages") or []))


def _decided_args(review: Review, decision: Decision) -> dict[str, Any]:
    edited = decision["edited_args"] if decision["type"] == "edit" else None
    return dict(review["action"]["args"] if edited is None else edited)


def _ask_again(
    state: AgentState,
    runtime: Runtime[Deps],
    proposal: Proposal,
    review: Review,
    decision: Decision,
    findings: _Findings,
) -> None:
    """What was approved is not what would run: a person looks again, whatever the rules say of it by now."""
    subject = f"call:{proposal['id']}#{short_id('again', review['id'], runtime.context.policy.version)}"
    args = _decided_args(review, decision)
    if verdict := _judge_anew(state, runtime, proposal, subject, args, findings):
        _open(state, runtime, proposal, subject, verdict, args, findings)


def _comply_edit(
    state: AgentState,
    runtime: Runtime[Deps],
    proposal: Proposal,
    review: Review,
    decision: Decision,
    findings: _Findings,
) -> None:
    subject, args = edited_subject(review, decision), _decided_args(review, decision)
    if subject in (state.get("verdicts") or {}):
        return
    verdict = _judge_anew(state, runtime, proposal, subject, args, findings)
    if verdict and not covers(verdict=verdict, review=review, decision=decision):
        _open(state, runtime, proposal, subject, verdict, args, findings)


def _judge_anew(
    state: AgentState,
    runtime: Runtime[Deps],
    proposal: Proposal,
    subject: str,
    args: dict[str, Any],
    findings: _Findings,
) -> Verdict | None:
    """The verdict on a call with the arguments that a person decided; None where it is forbidden, and refused."""
    now = Proposal(id=proposal["id"], tool=proposal["tool"], args=args, problems=[])
    verdict = findings.verdicts[subject] = judge_call(state, runtime, now, subject)
    if verdict["outcome"] != "forbid":
        return verdict
    _forbid(state, runtime, proposal, verdict, findings)
    return None


def _forbid(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, verdict: Verdict, findings: _Findings
) -> None:
    reason = "; ".join(r["text"] for r in verdict["why"])
    _refuse(state, runtime, proposal, say("forbidden", state["language"], reason=reason), findings)


def _comply_draft(state: AgentState, runtime: Runtime[Deps], draft: Draft, findings: _Findings) -> None:
    subject = draft_subject(state)
    if subject in (state.get("verdicts") or {}):
        return
    verdict = runtime.context.policy.judge(subject, subject_of(state, runtime, draft=draft))
    findings.verdicts[subject] = verdict
    if verdict["outcome"] == "ask":
        review = open_here(
            state,
            runtime,
            kind=verdict["kind"] if verdict["kind"] in ("compliance", "correction") else "approval",
            subject=subject,
            summary=_headline(state, verdict, draft),
            action=text_action(draft["text"]),
            verdict=verdict,
        )
        findings.reviews[review["id"]] = review


def _headline(state: AgentState, verdict: Verdict, draft: Draft) -> str:
    text, language = clip(draft["text"]), state["language"]
    weighed = state.get("evidence")
    if verdict["kind"] == "correction" and weighed and weighed["about"]:
        return say("contradiction", language, first=weighed["about"][0], second=weighed["about"][1], text=text)
    return say("weak_evidence" if verdict["kind"] == "correction" else "approve_answer", language, text=text)


def draft_subject(state: AgentState) -> str:
    """The verdict key of this round's draft: a regenerated draft is judged anew."""
    return f"draft:{state.get('rounds', 0)}"


def _open(
    state: AgentState,
    runtime: Runtime[Deps],
    proposal: Proposal,
    subject: str,
    verdict: Verdict,
    args: dict[str, Any],
    findings: _Findings,
) -> None:
    review = call_review(state, runtime, proposal, subject, verdict, args)
    findings.reviews[review["id"]] = review


def _refuse(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, text: str, findings: _Findings, *, told: str = ""
) -> None:
    """``told``: what the conversation is told, where it is not what is kept."""
    if proposal["id"] in findings.outcomes:
        return
    findings.outcomes[proposal["id"]] = Outcome(
        key=short_id("none", thread_of(runtime), proposal["id"]),
        tool=proposal["tool"],
        status="refused",
        result=None,
        error=text,
        at=runtime.context.clock.now().isoformat(),
    )
    findings.messages.append(refusal_message(state, proposal, told or text))


def refusal_message(state: AgentState, proposal: Proposal, text: str) -> ToolMessage:
    """The tool message of a call that did not run."""
    return ToolMessage(
        content=text,
        tool_call_id=proposal["id"],
        name=proposal["tool"],
        status="error",
        id=outcome_id(state, proposal),
    )


def outcome_id(state: AgentState, proposal: Proposal) -> str:
    """The id of a call's tool message: a replay writes it again, not twice, and a later turn's is another one."""
    return "-".join(part for part in ("out", state.get("turn", ""), proposal["id"]) if part)
