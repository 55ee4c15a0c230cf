"""Intake: turns the newest human message into a question and clears the records of the turn before."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage, RemoveMessage
from langgraph.runtime import Runtime

from nodes.gate import allowed_args, open_reviews, pending_proposals
from nodes.ports import Deps
from nodes.wording import say
from state import AgentState, Draft, Language, UserError, fresh

HANGUL_SHARE = 0.2
"""Share of Hangul among the letters above which a text counts as Korean: names in Latin letters are common in it."""


def language_of(text: str) -> Language:
    """``"ko"`` when at least a fifth of the letters are Hangul syllables, else ``"en"``."""
    letters = [c for c in text if c.isalpha()]
    hangul = sum("가" <= c <= "힣" for c in letters)
    return "ko" if letters and hangul / len(letters) >= HANGUL_SHARE else "en"


def intake(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Set ``question`` and ``language``; start every per-turn record afresh.

    LangGraph lets new input discard a pause, and a call that was approved and has not run yet. Here the message is not
    taken, the answer says why, and the turn before it goes on where it was (``after_intake``).

    Raises:
        UserError: the newest message is not a human one, or has no text.
    """
    messages = state.get("messages") or []
    last = messages[-1] if messages else None
    if turn_is_open(state):
        return _not_taken(state, last)
    if not isinstance(last, HumanMessage):
        raise UserError("a run starts with a human message; send one under 'messages'")
    question = last.text.strip()
    if not question:
        raise UserError("the message has no text; write a question or a request")
    return {
        "question": question,
        "language": language_of(question),
        "passages": [],
        "draft": None,
        "answer": None,
        "rounds": 0,
        "proposals": fresh(),
        "verdicts": fresh(),
        "reviews": fresh(),
        "decisions": fresh(),
        "outcomes": fresh(),
    }


def turn_is_open(state: AgentState) -> bool:
    """Whether the turn before this message still waits for a person, or for a call that may run."""
    return bool(open_reviews(state)) or any(allowed_args(state, p) is not None for p in pending_proposals(state))


def _not_taken(state: AgentState, message: Any) -> dict[str, Any]:
    """Told as the answer, not in the conversation: between a call and its result no model takes another message."""
    waiting = ", ".join(review["id"] for review in open_reviews(state))
    text = say("still_waiting" if waiting else "still_running", state["language"], reviews=waiting)
    told = Draft(text=text, citations=[], abstained=True, speaker="dojang")
    return {"messages": [RemoveMessage(id=message.id)], "answer": told}
