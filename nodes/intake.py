"""Intake: turns the newest human message into a question and clears the records of the turn before."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime

from nodes.gate import open_reviews
from nodes.ports import Deps
from state import AgentState, Conflict, Language, UserError, fresh

HANGUL_SHARE = 0.2
"""Share of Hangul among the letters above which a text counts as Korean: names in Latin letters are common in it."""


def language_of(text: str) -> Language:
    """``"ko"`` when at least a fifth of the letters are Hangul syllables, else ``"en"``."""
    letters = [c for c in text if c.isalpha()]
    hangul = sum("가" <= c <= "힣" for c in letters)
    return "ko" if letters and hangul / len(letters) >= HANGUL_SHARE else "en"


def intake(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Set ``question`` and ``language``; start every per-turn record afresh.

    Raises:
        Conflict: a review of this thread is still open (new input would silently discard it).
        UserError: the newest message is not a human one, or has no text.
    """
    waiting = open_reviews(state)
    if waiting:
        raise Conflict(
            f"review {waiting[0]['id']} is still open on this thread; decide it before sending a new message"
        )
    messages = state.get("messages") or []
    last = messages[-1] if messages else None
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
