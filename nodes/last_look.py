"""The last look, at the instant of an effect: nothing runs because the thread's state says that it may (ADR 14).

The state can be written by others than the nodes: by ``update_state``, a server's state route, an edited fork. What
counts here is the record of decisions, and what the policy says of the arguments that are about to run.
"""

from __future__ import annotations

from typing import Final

from langgraph.runtime import Runtime

from nodes.gate import as_decided, decided, enough, review_id, short_id
from nodes.judging import call_review
from nodes.ports import Deps, thread_of
from nodes.wording import say
from state import Action, AgentState, Decision, Language, Proposal, Reason, Review, Verdict, untouched

_RULE: Final = "built-in:not-in-the-record"


def held_back(
    state: AgentState, runtime: Runtime[Deps], proposal: Proposal, action: Action, verdict: Verdict
) -> str | Review | None:
    """None where the call may run; else why it is refused, in a sentence, or the review that asks a person about it.

    ``verdict`` is what the policy says of ``action`` now.
    """
    found = decided(state, f"call:{proposal['id']}")
    if found is not None and _changed(state, runtime, action, *found):
        return say("changed", state["language"])
    if verdict["outcome"] == "forbid":
        return say("forbidden", state["language"], reason="; ".join(r["text"] for r in verdict["why"]))
    if verdict["outcome"] == "ask" and not (found and _permits(state, runtime, proposal, verdict, *found)):
        last = found[0]["id"] if found else ""
        subject = f"call:{proposal['id']}#{short_id('look', last, verdict['policy_version'])}"
        asked = Verdict(**{**verdict, "why": [*verdict["why"], _reason(state["language"])]})
        return call_review(state, runtime, proposal, subject, asked, action["args"])
    return None


def is_recorded(runtime: Runtime[Deps], decision: Decision) -> bool:
    """Whether a decision of the state is one of the thread's record, and nobody can take it back any more."""
    found = runtime.context.decisions.progress(thread_of(runtime)).get(decision["review_id"], untouched())
    return found["released"] and found["decision"] == decision


def _changed(state: AgentState, runtime: Runtime[Deps], action: Action, review: Review, decision: Decision) -> bool:
    """Whether what is about to run is not what the person saw (or, edited, not what the policy judged).

    ``comply`` asks again where it sees that; this is the last look.
    """
    if decision["review_id"] != review["id"] or not is_recorded(runtime, decision):
        return True
    evidence = (p["id"] for p in state.get("passages") or [])
    return not as_decided(review, decision, action, runtime.context.policy.version, evidence)


def _permits(
    state: AgentState,
    runtime: Runtime[Deps],
    proposal: Proposal,
    verdict: Verdict,
    review: Review,
    decision: Decision,
) -> bool:
    """Whether the decision is about this call of this turn, and of those whom the rules want to be asked."""
    own_id = review_id(review["thread_id"], state.get("turn", ""), review["subject"], review["kind"], review["digest"])
    if review["id"] != own_id or review["subject"].split("#")[0] != f"call:{proposal['id']}":
        return False
    votes = runtime.context.decisions.progress(thread_of(runtime)).get(review["id"], untouched())["votes"]
    approvals = [*votes, decision] if decision["type"] in ("approve", "edit") else []
    return enough(verdict=verdict, review=review, approvals=approvals, requester=state.get("requester", ""))


def _reason(language: Language) -> Reason:
    texts: dict[Language, str] = {"en": say("not_in_the_record", "en"), "ko": say("not_in_the_record", "ko")}
    return Reason(rule_id=_RULE, text=texts[language], severity="high", hard=True, texts=texts)
