"""Review: the one door at which the graph stops. Its first statement is the interrupt, its result a decision."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from nodes.door import answer_model
from nodes.gate import request_of
from nodes.ports import Deps, thread_of
from nodes.wording import say
from state import Decision, Draft, Language, Review, composed


class ReviewTask(TypedDict):
    """What ``Send`` hands to one execution of this node: one review, never more."""

    review: Review
    language: Language
    draft: Draft | None
    adapter: NotRequired[str]  # who speaks in the thread; absent in reviews that older versions sent


def review(state: ReviewTask, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Wait for a person; return the decision and what it directly changes in the state."""
    said = interrupt(
        request_of(state["review"]), response_schema=answer_model(state["review"], runtime.context, thread_of(runtime))
    )
    decision: Decision = said.decision  # type: ignore[attr-defined]  # the model is made per review
    update: dict[str, Any] = {"decisions": {decision["review_id"]: decision}}
    if state["review"]["kind"] == "clarification" and decision["type"] == "answer":
        text = composed(decision["message"])
        answer = HumanMessage(content=text, id=f"answer-{decision['review_id']}", name=decision["by"])
        update["messages"] = [answer]
    elif state["review"]["subject"].startswith("draft") and state["draft"] is not None:
        update |= _after_draft(state, state["draft"], decision)
    return update


def _after_draft(state: ReviewTask, draft: Draft, decision: Decision) -> dict[str, Any]:
    if decision["type"] == "edit":
        # The words are the operator's now; the citations stay, because they say what the person had before them.
        return {
            "draft": {
                **draft,
                "text": decision["message"],
                "speaker": f"{draft['speaker']}, edited by {decision['by']}",
            }
        }
    if decision["type"] == "expire":
        return {"draft": None}
    if decision["type"] == "answer":
        text = say("corrected", state["language"], by=decision["by"], text=decision["message"])
        return {
            "draft": None,
            "messages": [HumanMessage(content=text, id=f"corrected-{decision['review_id']}", name=decision["by"])],
        }
    if decision["type"] == "reject":
        reason = decision["reason"] or decision["message"] or say("no_reason", state["language"])
        text = say("draft_rejected", state["language"], by=decision["by"], reason=reason)
        return {
            "draft": None,
            "messages": [HumanMessage(content=text, id=f"rejected-{decision['review_id']}", name=decision["by"])],
        }
    return {}
