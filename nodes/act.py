"""Act: does one effect through the ledger. The gate sits here, at the point of execution, and fails closed.

Nothing runs whose arguments :func:`nodes.gate.allowed_args` does not give, and nothing that differs by a bit from what
the review showed. An effect is written down as intent before it starts and as outcome after it ends; where an intent is
found without an outcome, the tool's own record is asked, a keyed effect is retried, and anything else goes to a person.
"""

from __future__ import annotations

from typing import Any

import rfc8785
from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime

from nodes.comply import refusal_message
from nodes.gate import action_of, allowed_args, decided, digest_of, open_review, pending_proposals, short_id, spec_of
from nodes.ports import Deps
from nodes.wording import say
from state import JSON, Action, AgentState, Outcome, Proposal, ToolSpec, UserError


def act(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Run the first pending proposal that may run, once; return its outcome and tool message.

    A tool that raises UserError (or its own kind of it) has failed for good: outcome ``failed``. A PassingFault and any
    other exception leave the intent open and stop the run, so that resuming decides by the ledger's rules.
    """
    for proposal in pending_proposals(state):
        args = allowed_args(state, proposal)
        if args is not None:
            spec = spec_of(runtime.context.toolbox, proposal["tool"])
            return _run(state, runtime, proposal, spec, action_of(proposal, spec, args))
    return {}


def effect_key(thread_id: str, proposal: Proposal, action: Action) -> str:
    """The effect's name in the ledger and for the tool: the approved call and its arguments, nothing that can drift.

    Policy and schema version are left out on purpose: a changed rule must find the intent of the run before it.
    """
    arguments = rfc8785.dumps(action["args"]).decode()
    return short_id("fx", thread_id, proposal["id"], action["tool"], arguments)


def _run(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, spec: ToolSpec | None, action: Action
) -> dict[str, Any]:
    deps, thread_id = runtime.context, _thread_id(runtime)
    if spec is not None and spec["effect_class"] == "read":
        return _done(state, runtime, proposal, _call(runtime, proposal, action, key=""))
    key = effect_key(thread_id, proposal, action)
    begun = deps.ledger.begin(thread_id, key, action, spec["recovery"] if spec else "at_most_once")
    if begun == "open":
        return _recover(state, runtime, proposal, spec, action, key)
    if isinstance(begun, dict):
        return _done(state, runtime, proposal, begun)
    if spec is None or _changed(state, runtime, proposal, action):
        outcome = _outcome(runtime, proposal, key, "refused", None, say("changed", state["language"]))
    else:
        outcome = _call(runtime, proposal, action, key=key)
    return _done(state, runtime, proposal, deps.ledger.finish(thread_id, key, outcome))


def _changed(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, action: Action) -> bool:
    """Whether what is about to run is not what the person saw (or, edited, not what the policy judged)."""
    version = runtime.context.policy.version
    found = decided(state, f"call:{proposal['id']}")
    if found is None:
        return bool((state.get("verdicts") or {})[f"call:{proposal['id']}"]["policy_version"] != version)
    review, decision = found
    if decision["digest"] != review["digest"]:
        return True
    if decision["type"] == "edit":
        same_schema = action["schema_version"] == review["action"]["schema_version"]
        return not same_schema or review["policy_version"] != version
    return digest_of(action, version, (p["id"] for p in state.get("passages") or [])) != review["digest"]


def _recover(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, spec: ToolSpec | None, action: Action, key: str
) -> dict[str, Any]:
    """An intent without an outcome: a run died in between. Never a blind second try."""
    deps, thread_id = runtime.context, _thread_id(runtime)
    recovery = spec["recovery"] if spec else "at_most_once"
    if recovery == "transactional":
        known = deps.toolbox.settled(proposal["tool"], key)
        outcome = known or _call(runtime, proposal, action, key=key)
    elif recovery == "idempotent":
        outcome = _call(runtime, proposal, action, key=key)
    else:
        settled = decided(state, f"doubt:{proposal['id']}")
        if settled is None:
            return _doubt(state, runtime, proposal, action)
        happened, by = settled[1]["type"] == "approve", settled[1]["by"]
        text = say("settled_yes" if happened else "settled_no", state["language"], by=by)
        outcome = _outcome(runtime, proposal, key, "done" if happened else "failed", None, "" if happened else text)
    return _done(state, runtime, proposal, deps.ledger.finish(thread_id, key, outcome))


def _doubt(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, action: Action) -> dict[str, Any]:
    deps, language = runtime.context, state["language"]
    what = deps.toolbox.describe(proposal["tool"], action["args"], language)
    review = open_review(
        thread_id=_thread_id(runtime),
        kind="in_doubt",
        subject=f"doubt:{proposal['id']}",
        summary=say("in_doubt", language, action=what),
        action=action,
        evidence=state.get("passages") or [],
        policy_version=deps.policy.version,
        now=deps.clock.now(),
    )
    return {"reviews": {review["id"]: review}}


def _call(runtime: Runtime[Deps], proposal: Proposal, action: Action, *, key: str) -> Outcome:
    try:
        result: JSON = runtime.context.toolbox.run(proposal["tool"], action["args"], key=key)
    except UserError as error:
        return _outcome(runtime, proposal, key, "failed", None, str(error))
    return _outcome(runtime, proposal, key, "done", result, "")


def _outcome(runtime: Runtime[Deps], proposal: Proposal, key: str, status: Any, result: JSON, error: str) -> Outcome:
    at = runtime.context.clock.now().isoformat()
    return Outcome(key=key, tool=proposal["tool"], status=status, result=result, error=error, at=at)


def _done(state: AgentState, runtime: Runtime[Deps], proposal: Proposal, outcome: Outcome) -> dict[str, Any]:
    if outcome["status"] == "done":
        lines = runtime.context.toolbox.tell(proposal["tool"], outcome["result"], state["language"])
        message = ToolMessage(
            content="\n".join(lines),
            artifact=outcome["result"],
            tool_call_id=proposal["id"],
            name=proposal["tool"],
            id=f"out-{proposal['id']}",
        )
    else:
        refused = outcome["status"] == "refused"
        text = outcome["error"] if refused else say("failed", state["language"], reason=outcome["error"])
        message = refusal_message(proposal, text)
    return {"outcomes": {proposal["id"]: outcome}, "messages": [message]}


def _thread_id(runtime: Runtime[Deps]) -> str:
    info = runtime.execution_info
    return (info.thread_id if info else None) or ""
