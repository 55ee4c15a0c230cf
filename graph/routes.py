"""Which way a thread goes next. Pure functions of the state; the drawing in the docs is made from these types.

Several calls of one turn fan out with ``Send``, one review each. A router behind such a task sees only its own task's
writes, never its siblings', so a decided call always goes back to ``comply``, whose router sees them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, assert_never

from langgraph.types import Send

from nodes.gate import allowed_args, open_reviews, pending_proposals
from nodes.intake import turn_is_open
from nodes.review import ReviewTask
from state import AgentState, Kind, Review


def send_reviews(state: AgentState) -> list[Send]:
    """One execution of the door for each open review."""
    return [Send("review", _task(state, review)) for review in open_reviews(state)]


def _task(state: AgentState, review: Review) -> ReviewTask:
    task = ReviewTask(review=review, language=state["language"], draft=state.get("draft"))
    return {**task, "adapter": state["adapter"]} if "adapter" in state else task


def after_intake(state: AgentState) -> Literal["retrieve", "comply"] | Sequence[Send]:
    """A new turn begins; or the one before goes on, whose records intake has left as they were."""
    return send_reviews(state) or ("comply" if turn_is_open(state) else "retrieve")


def after_answer(state: AgentState) -> Literal["__end__"] | Sequence[Send]:
    """The end, or what a person thinks of the answer, where that is wanted."""
    return send_reviews(state) or "__end__"


def after_generate(state: AgentState) -> Literal["comply"] | Sequence[Send]:
    """A question goes to the door; proposals and drafts go to the policy."""
    return send_reviews(state) or "comply"


def after_comply(state: AgentState) -> Literal["act", "generate", "answer"] | Sequence[Send]:
    """Whoever must be asked is asked first; then what may run runs; refused calls go back to the model."""
    if waiting := send_reviews(state):
        return waiting
    if any(allowed_args(state, proposal) is not None for proposal in pending_proposals(state)):
        return "act"
    return "answer" if state.get("draft") is not None else "generate"


def after_review(state: AgentState) -> Literal["comply", "intake", "generate", "answer", "act", "__end__"]:
    """By the kind of the review that was decided last. All reviews of one fan-out are about calls."""
    decided = [r for r in (state.get("reviews") or {}).values() if r["id"] in (state.get("decisions") or {})]
    newest = decided[-1]
    said = (state.get("decisions") or {})[newest["id"]]["type"]
    kind: Kind = newest["kind"]
    if newest["subject"].startswith("draft"):
        return "answer" if said in ("approve", "edit") else "__end__" if said == "expire" else "generate"
    match kind:
        case "tool" | "compliance":
            return "comply"
        case "clarification":
            if said != "answer":
                return "__end__"
            return "intake" if newest["subject"].endswith(":reading") else "generate"
        case "correction" | "approval":
            return "generate"  # about something else than a draft: the model speaks again
        case "in_doubt":
            return "act"
        case "feedback":
            return "__end__"
        case _:
            assert_never(kind)


def after_act(state: AgentState) -> Literal["act", "generate"] | Sequence[Send]:
    """One effect an execution: the next one, a person where an outcome is in doubt, or the model's next turn."""
    if waiting := send_reviews(state):
        return waiting
    if any(allowed_args(state, proposal) is not None for proposal in pending_proposals(state)):
        return "act"
    return "generate"
