"""Intake: turns the newest human message into a question and clears the records of the turn before.

A request with two readings is asked about here, before anything is looked up for it. Its verdict is stored in the
state; with the answer the node is entered again and takes the two together as the question.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.runtime import Runtime

from nodes.gate import allowed_args, decided, open_review, open_reviews, pending_proposals, text_action
from nodes.ports import Deps, thread_of
from nodes.readings import read
from nodes.wording import say
from state import AgentState, Draft, Language, Reading, UserError, composed, fresh, language_of


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
    if answered := _answered(state):
        return answered
    if not isinstance(last, HumanMessage):
        raise UserError("a run starts with a human message; send one under 'messages'")
    message = _composed(last)
    question = message.text.strip()
    if not question:
        raise UserError("the message has no text; write a question or a request")
    language = language_of(question)
    reading = read(question, language, first=not any(m.type == "human" for m in messages[:-1]))
    asked = _ask(runtime, last, question, language, reading) if reading["grade"] == "ambiguous" else {}
    if message is not last:
        asked["messages"] = [message, *asked.get("messages", [])]
    return {
        "question": question,
        "language": language,
        "turn": last.id or "",
        "requester": last.name or runtime.context.requester,
        "adapter": state.get("adapter", runtime.context.adapter),  # a thread keeps the one that it began with
        "reading": reading,
        "passages": [],
        "draft": None,
        "answer": None,
        "rounds": 0,
        "proposals": fresh(),
        "verdicts": fresh(),
        "reviews": fresh(),
        "decisions": fresh(),
        "outcomes": fresh(),
        **asked,
    }


def _composed(message: HumanMessage) -> HumanMessage:
    """The message in NFC, under its id: what the model reads and what stands in arguments are found in each other."""
    parts = message.content if isinstance(message.content, list) else [message.content]
    content = [
        composed(part)
        if isinstance(part, str)
        else {**part, "text": composed(part["text"])}
        if isinstance(part.get("text"), str)
        else part
        for part in parts
    ]
    if content == parts:
        return message
    return message.model_copy(update={"content": content if isinstance(message.content, list) else content[0]})


def turn_is_open(state: AgentState) -> bool:
    """Whether the turn before this message still waits for a person, or for a call that may run."""
    return bool(open_reviews(state)) or any(allowed_args(state, p) is not None for p in pending_proposals(state))


def _not_taken(state: AgentState, message: Any) -> dict[str, Any]:
    """Told as the answer, not in the conversation: between a call and its result no model takes another message."""
    waiting = ", ".join(review["id"] for review in open_reviews(state))
    text = say("still_waiting" if waiting else "still_running", state["language"], reviews=waiting)
    told = Draft(text=text, citations=[], abstained=True, speaker="dojang")
    return {"messages": [RemoveMessage(id=message.id)], "answer": told}


def _subject(message: AnyMessage) -> str:
    return f"question:{message.id}:reading"


def _ask(
    runtime: Runtime[Deps], message: HumanMessage, question: str, language: Language, reading: Reading
) -> dict[str, Any]:
    """The clarification of a request that can be read in two ways."""
    words, readings = reading["words"], " / ".join(reading["readings"])
    text = say("ask_reading", language, words=words, readings=readings) if readings else ""
    review = open_review(
        thread_id=thread_of(runtime),
        kind="clarification",
        subject=_subject(message),
        summary=say("two_readings" if readings else "no_reading", language, words=words),
        action=text_action(question),
        evidence=[],
        policy_version=runtime.context.policy.version,
        now=runtime.context.clock.now(),
        question=text or say("ask_meant", language, words=words),
        turn=message.id or "",
        requester=message.name or runtime.context.requester,
    )
    asked = AIMessage(content=review["question"], id=f"ask-{review['id']}", name="dojang")
    return {"reviews": fresh({review["id"]: review}), "messages": [asked]}


def _answered(state: AgentState) -> dict[str, Any]:
    """The question with what a person said of it; {} where this is another turn, or nothing was asked."""
    reading = state.get("reading")
    if reading is None or reading["grade"] == "clear":
        return {}
    messages = state.get("messages") or []
    for review in (state.get("reviews") or {}).values():
        found = decided(state, review["subject"])
        if review["subject"].endswith(":reading") and found is not None and messages:
            if messages[-1].id != f"answer-{review['id']}":
                return {}
            said = composed(found[1]["message"])
            clear = Reading(grade="clear", words=reading["words"], readings=[said])
            return {"question": f"{state['question']} ({said})", "reading": clear}
    return {}
