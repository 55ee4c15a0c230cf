"""Act: does one effect through the ledger. The gate sits here, at the point of execution, and fails closed.

Nothing runs whose arguments :func:`nodes.gate.allowed_args` does not give, that :mod:`nodes.last_look` holds back, or
that differs by a bit from what the review showed. An effect is written down as intent before it starts and as outcome
after it ends; where an intent is found without an outcome, the tool's own record is asked, a keyed effect is retried,
and anything else goes to a person.
"""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime

from nodes.comply import outcome_id, refusal_message
from nodes.gate import (
    action_of,
    allowed_args,
    decided,
    effect_key,
    pending_proposals,
    short_id,
    spec_of,
)
from nodes.judging import open_here, recheck_call
from nodes.last_look import held_back, is_recorded
from nodes.ports import Deps, thread_of
from nodes.wording import say
from state import JSON, Action, AgentState, Outcome, PassingFault, Proposal, ToolSpec, UserError, Verdict


def act(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Run the first pending proposal that may run, once; return its outcome and tool message.

    A tool that raises UserError (or its own kind of it) has failed for good: outcome ``failed``. A PassingFault and any
    other exception leave the intent open and stop the run, so that resuming decides by the ledger's rules.
    """
    for proposal in pending_proposals(state):
        args = allowed_args(state, proposal)
        if args is not None:
            return _run(state, runtime, proposal, args)
    return {}


def _run(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, args: dict[str, JSON]) -> dict[str, Any]:
    ledger, toolbox, thread_id = runtime.context.ledger, runtime.context.toolbox, thread_of(runtime)
    key = effect_key(thread_id, proposal, args, state.get("turn", ""))
    begun = ledger.begun(thread_id, key)
    # What has begun is what was written down then, whatever its tool is by now and whether its server answers.
    spec = toolbox.look(proposal["tool"]) if begun is None else spec_of(toolbox, proposal["tool"])
    action = begun or action_of(proposal, spec, args)
    verdict = _verdict(state, runtime, proposal, args, begun)
    if begun is None and spec is not None and spec["effect_class"] == "read":
        held = held_back(state, runtime, proposal, action, verdict)
        if isinstance(held, dict):
            return {"reviews": {held["id"]: held}}
        return _done(state, runtime, proposal, _called(runtime, proposal, action, "", held), verdict)
    with ledger.lease(thread_id, key):
        # What has begun may have happened: it is recovered, whatever the rules say of it by now.
        held = None if ledger.begun(thread_id, key) else held_back(state, runtime, proposal, action, verdict)
        if isinstance(held, dict):
            return {"reviews": {held["id"]: held}}
        stood = ledger.begin(thread_id, key, action, spec["recovery"] if spec else "at_most_once")
        if isinstance(stood, dict) and stood["status"] != "in_doubt":
            return _done(state, runtime, proposal, stood, verdict)
        if stood != "fresh":
            outcome = _recovered(state, runtime, proposal, spec, action, key)
        else:
            outcome = _called(runtime, proposal, action, key, held if spec else say("changed", state["language"]))
        ended = ledger.finish(thread_id, key, outcome)
    if ended["status"] == "in_doubt":
        return _doubt(state, runtime, proposal, spec, action, ended["error"])
    return _done(state, runtime, proposal, ended, verdict)


def _verdict(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, args: dict[str, JSON], begun: Action | None
) -> Verdict:
    """What the rules say now; of what has begun, the verdict of then where its server cannot be asked any more."""
    try:
        return recheck_call(state, runtime, proposal, args)
    except PassingFault:
        if begun is None:
            raise
        found: Verdict = (state.get("verdicts") or {})[f"call:{proposal['id']}"]
        return found


def _recovered(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, spec: ToolSpec | None, action: Action, key: str
) -> Outcome:
    """An intent without an outcome: a run died in between. Never a blind second try; in_doubt: a person must say."""
    recovery = spec["recovery"] if spec else "at_most_once"
    if recovery == "transactional":
        known = runtime.context.toolbox.settled(proposal["tool"], key)
        return known or _call(runtime, proposal, action, key=key)
    if recovery == "idempotent" and _is_still(runtime, proposal, action):
        return _call(runtime, proposal, action, key=key)
    found = decided(state, f"doubt:{proposal['id']}")
    if found is None or not is_recorded(runtime, found[1]):
        return _outcome(runtime, proposal, key, "in_doubt", None, "")
    said = found[1]
    if said["type"] == "answer":
        return runtime.context.toolbox.probe(proposal["tool"], action["args"], key=key)
    happened = said["type"] == "approve"
    text = "" if happened else say("settled_no", state["language"], by=said["by"])
    return _outcome(runtime, proposal, key, "done" if happened else "failed", None, text)


def _is_still(runtime: Runtime[Deps], proposal: Proposal, action: Action) -> bool:
    """Whether the tool is the one that was begun: another one need not know the key again."""
    now = runtime.context.toolbox.look(proposal["tool"])
    return now is not None and now["schema_version"] == action["schema_version"]


def _doubt(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, spec: ToolSpec | None, action: Action, why: str
) -> dict[str, Any]:
    """A person must say whether it happened; ``why``: what a look-up found, where one was made."""
    deps, language = runtime.context, state["language"]
    what = deps.toolbox.describe(proposal["tool"], action["args"], language)
    summary = say("in_doubt", language, action=what)
    asked = sum(r["kind"] == "in_doubt" for r in (state.get("reviews") or {}).values())
    review = open_here(
        state,
        runtime,
        kind="in_doubt",
        subject=f"doubt:{proposal['id']}" + (f"#{asked}" if asked else ""),
        summary=f"{summary} {say('looked_up', language, found=why)}" if why else summary,
        action=action,
        may_look_up=bool(spec and spec.get("probe")),
    )
    return {"reviews": {review["id"]: review}}


def _called(runtime: Runtime[Deps], proposal: Proposal, action: Action, key: str, refused: str | None) -> Outcome:
    if refused is not None:
        return _outcome(runtime, proposal, key, "refused", None, refused)
    return _call(runtime, proposal, action, key=key)


def _call(runtime: Runtime[Deps], proposal: Proposal, action: Action, *, key: str) -> Outcome:
    try:
        toolbox, version = runtime.context.toolbox, action["schema_version"]
        result: JSON = toolbox.run(proposal["tool"], action["args"], key=key, version=version)
    except UserError as error:
        return _outcome(runtime, proposal, key, "failed", None, str(error))
    return _outcome(runtime, proposal, key, "done", result, "")


def _edited(state: AgentState, proposal: Proposal) -> list[str]:
    """What tells the model that another call than its own has run: it would take its own for unfulfilled."""
    found = decided(state, f"call:{proposal['id']}")
    if found is None or (args := allowed_args(state, proposal)) in (None, proposal["args"]):
        return []
    by = found[1]["by"]
    return [say("edited_call", state["language"], by=by, args=json.dumps(args, ensure_ascii=False))]


def _tell(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, outcome: Outcome, verdict: Verdict) -> None:
    """Where a rule lets the call pass but wants somebody told: into the outbox, before the outcome is in the state."""
    stored = (state.get("verdicts") or {}).get(f"call:{proposal['id']}")
    passed = stored if stored is not None and stored["outcome"] == "notify" else verdict
    if passed["outcome"] == "notify" and decided(state, f"call:{proposal['id']}") is None:
        thread_id, why = thread_of(runtime), [reason["text"] for reason in passed["why"]]
        facts = {"call": proposal["id"], "tool": outcome["tool"], "status": outcome["status"], "why": why}
        notice_id = short_id("nt", thread_id, state.get("turn", ""), proposal["id"])
        runtime.context.outbox.put(thread_id, notice_id, "call.passed", facts)


def _outcome(runtime: Runtime[Deps], proposal: Proposal, key: str, status: Any, result: JSON, error: str) -> Outcome:
    at = runtime.context.clock.now().isoformat()
    return Outcome(key=key, tool=proposal["tool"], status=status, result=result, error=error, at=at)


def _why(state: AgentState, runtime: Runtime[Deps], outcome: Outcome) -> str:
    """What the conversation is told of a call that came to nothing; the outcome keeps the words of its tool."""
    if outcome["status"] == "refused":
        return outcome["error"]
    language = state["language"]
    return say("failed", language, reason=runtime.context.told(outcome["error"], language))


def _done(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, outcome: Outcome, verdict: Verdict
) -> dict[str, Any]:
    _tell(state, runtime, proposal, outcome, verdict)
    if outcome["status"] == "done":
        lines = runtime.context.toolbox.tell(proposal["tool"], outcome["result"], state["language"])
        lines += _edited(state, proposal)
        message = ToolMessage(
            content="\n".join(lines),
            artifact=outcome["result"],
            tool_call_id=proposal["id"],
            name=proposal["tool"],
            id=outcome_id(state, proposal),
        )
    else:
        message = refusal_message(state, proposal, _why(state, runtime, outcome))
    return {"outcomes": {proposal["id"]: outcome}, "messages": [message]}
