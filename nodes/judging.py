"""What the policy is asked about a call or a draft, and the review that its "ask" opens. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph.runtime import Runtime

from nodes.gate import action_of, effect_key, open_review, spec_of
from nodes.ports import Deps, Subject, thread_of
from state import JSON, Action, AgentState, Draft, Kind, Proposal, Review, Verdict, files_of


def judge_call(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, subject: str) -> Verdict:
    """The verdict on a call, for the state: asked for once."""
    return runtime.context.policy.judge(subject, subject_of(state, runtime, proposal=proposal))


def recheck_call(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, args: Mapping[str, JSON]) -> Verdict:
    """What the rules say of a call, with the arguments that are about to run, at the instant of its execution."""
    now = Proposal(id=proposal["id"], tool=proposal["tool"], args=dict(args), problems=[])
    return runtime.context.policy.recheck(f"call:{proposal['id']}", subject_of(state, runtime, proposal=now))


def subject_of(
    state: AgentState, runtime: Runtime[Deps], *, proposal: Proposal | None = None, draft: Draft | None = None
) -> Subject:
    """What the rules see."""
    spec = runtime.context.toolbox.look(proposal["tool"]) if proposal else None
    turn = state.get("turn", "")
    subject = Subject(
        on="call" if proposal else "answer",
        tool=proposal["tool"] if proposal else "",
        known=spec is not None,
        args=proposal["args"] if proposal else {},
        effect_class=spec["effect_class"] if spec else ("irreversible" if proposal else "read"),
        reversible=spec["reversible"] if spec else proposal is None,
        text=draft["text"] if draft else "",
        citations=len(draft["citations"]) if draft else 0,
        abstained=draft["abstained"] if draft else False,
        language=state["language"],
        trust=_trust(state, runtime),
        evidence=_evidence(state),
        requester=state.get("requester") or runtime.context.requester,
        key=effect_key(thread_of(runtime), proposal, proposal["args"], turn) if proposal else "",
    )
    if spec is not None and spec.get("drift"):
        subject["drift"] = spec["drift"]
    return subject


def _trust(state: AgentState, runtime: Runtime[Deps]) -> str:
    """Untrusted as soon as a passage is, a file came with the message, or a tool of others has had its say."""
    if any(passage["trust"] == "untrusted" for passage in state.get("passages") or []) or _came_with_files(state):
        return "untrusted"
    heard = {one["tool"] for one in (state.get("outcomes") or {}).values() if one["status"] in ("done", "failed")}
    specs = [spec_of(runtime.context.toolbox, name) for name in heard]
    return "untrusted" if any(spec and spec.get("trust") == "untrusted" for spec in specs) else "trusted"


def _evidence(state: AgentState) -> str:
    """An answer that tells what a tool did, or what stands in an attached file, does not rest on retrieved passages."""
    weighed = state.get("evidence")
    told_by_others = state.get("outcomes") or _came_with_files(state)
    return "good" if weighed is None or told_by_others else weighed["grade"]


def _came_with_files(state: AgentState) -> bool:
    """Whether files came with the message of this turn: what they say is theirs, and whose they are nobody knows."""
    turn = state.get("turn", "")
    return any(files_of(message) for message in state.get("messages") or [] if message.id == turn)


def call_review(
    state: AgentState,
    runtime: Runtime[Deps],
    proposal: Proposal,
    subject: str,
    verdict: Verdict,
    args: Mapping[str, JSON],
) -> Review:
    """The review of a call with these arguments."""
    toolbox = runtime.context.toolbox
    return open_here(
        state,
        runtime,
        kind=verdict["kind"],
        subject=subject,
        summary=toolbox.describe(proposal["tool"], args, state["language"]),
        action=action_of(proposal, toolbox.look(proposal["tool"]), args),
        verdict=verdict,
    )


def open_here(
    state: AgentState,
    runtime: Runtime[Deps],
    *,
    kind: Kind,
    subject: str,
    summary: str,
    action: Action,
    question: str = "",
    verdict: Verdict | None = None,
    may_look_up: bool = False,
) -> Review:
    """A new review of what this turn has come to: with its passages, its rules, its requester, and the time by now."""
    return open_review(
        thread_id=thread_of(runtime),
        kind=kind,
        subject=subject,
        summary=summary,
        action=action,
        evidence=state.get("passages") or [],
        policy_version=verdict["policy_version"] if verdict else runtime.context.policy.version,
        now=runtime.context.clock.now(),
        question=question,
        verdict=verdict,
        turn=state.get("turn", ""),
        requester=state.get("requester", ""),
        may_look_up=may_look_up,
    )
