"""Answer: releases a draft that may be released. Only here does a draft enter the conversation.

Where it is wanted, a person is asked afterwards what they think of it; nothing waits for that but the record.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import Runtime

from nodes.comply import draft_subject
from nodes.gate import decided, text_action
from nodes.judging import open_here
from nodes.ports import Deps
from nodes.wording import clip, say
from state import AgentState, BrokenInvariant, Draft


def answer(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Set ``answer`` and append the message.

    Raises:
        BrokenInvariant: the draft has no verdict, or one that asks and nobody said yes (the gate fails closed).
    """
    draft = state.get("draft")
    if draft is None:
        raise BrokenInvariant("there is no draft to release; the routing is wrong")
    subject = draft_subject(state)
    verdict = (state.get("verdicts") or {}).get(subject)
    if verdict is None:
        raise BrokenInvariant(f"draft {subject} was never judged; it is not released")
    if verdict["outcome"] == "forbid":
        reason = "; ".join(r["text"] for r in verdict["why"])
        text = say("withheld", state["language"], reason=reason)
        draft = Draft(text=text, citations=[], abstained=True, speaker="dojang")
    elif verdict["outcome"] == "ask":
        found = decided(state, subject)
        if found is None or found[1]["type"] not in ("approve", "edit"):
            raise BrokenInvariant(f"draft {subject} needs a person's approval and has none; it is not released")
    human = next((m.id for m in reversed(state["messages"]) if isinstance(m, HumanMessage)), "")
    message = AIMessage(
        content=draft["text"],
        id=f"answer-{human}-{state.get('rounds', 0)}",
        name="dojang",
        response_metadata={"speaker": draft["speaker"], "citations": draft["citations"]},
    )
    return {"answer": draft, "messages": [message], **_feedback(state, runtime, draft)}


def _feedback(state: AgentState, runtime: Runtime[Deps], draft: Draft) -> dict[str, Any]:
    wanted = runtime.context.feedback
    if wanted == "never" or (wanted == "abstained" and not draft["abstained"]):
        return {}
    review = open_here(
        state,
        runtime,
        kind="feedback",
        subject=f"answer:{state.get('rounds', 0)}",
        summary=say("feedback", state["language"], text=clip(draft["text"])),
        action=text_action(draft["text"]),
    )
    return {"reviews": {review["id"]: review}}
