"""A decision point: one decided review with what the model had before it and what it said. Vocabulary; no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

from state import JSON, Decision, Prompt, Review

Message = dict[str, JSON]
"""A message in OpenAI's form, but for the arguments of calls, which are objects."""

NO_REVIEW: Final = "no_review"
NO_PROMPT: Final = "no_prompt"
NOT_RENDERED: Final = "not_rendered"
HASH_DIFFERS: Final = "hash_differs"
ERASED: Final = "erased"
OPTED_OUT: Final = "opted_out"
ASKED_BY_A_RULE: Final = "asked_by_a_rule"
IN_DOUBT: Final = "in_doubt"


class Point(TypedDict):
    """One decided review. Where ``lacks`` is set it teaches nothing, and parts of it may be None or empty."""

    thread_id: str
    checkpoint_id: str  # of the state that asked
    review: Review | None
    decision: Decision
    votes: list[Decision]  # approvals of several people, where they were wanted
    undone: bool  # somebody took back what they had said of it
    prompt: Prompt | None
    messages: list[Message]  # what the model read, oldest first
    lacks: str  # why nobody can show what the model had before it; "" where that was shown


def told(messages: Sequence[BaseMessage]) -> list[Message]:
    """Messages of a conversation as a point and a row hold them; an AI message keeps its calls."""
    return [_told(message) for message in messages]


def _told(message: BaseMessage) -> Message:
    if isinstance(message, AIMessage):
        calls: list[JSON] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
            for call in message.tool_calls
        ]
        return {"role": "assistant", "content": message.text, **({"tool_calls": calls} if calls else {})}
    if isinstance(message, ToolMessage):
        return {"role": "tool", "content": message.text, "tool_call_id": message.tool_call_id}
    return {"role": "user", "content": message.text}


def untold(rows: Sequence[Mapping[str, Any]]) -> list[AnyMessage]:
    """The other way round: what the renderers read."""
    return list(_untold(rows))


def _untold(rows: Sequence[Mapping[str, Any]]) -> Iterator[AnyMessage]:
    for row in rows:
        match row["role"]:
            case "assistant":
                calls = [(call["id"], call["function"]) for call in row.get("tool_calls") or []]
                yield AIMessage(
                    row["content"] or "",
                    tool_calls=[
                        {"name": f["name"], "args": arguments_of(f), "id": i, "type": "tool_call"} for i, f in calls
                    ],
                )
            case "tool":
                yield ToolMessage(row["content"], tool_call_id=row["tool_call_id"])
            case _:
                yield HumanMessage(row["content"])


def arguments_of(function: Mapping[str, Any]) -> dict[str, JSON]:
    """The arguments of a call, object or JSON text."""
    given = function["arguments"]
    return dict(json.loads(given) if isinstance(given, str) else given)


__all__ = [
    "ASKED_BY_A_RULE", "ERASED", "HASH_DIFFERS", "IN_DOUBT", "NOT_RENDERED", "NO_PROMPT", "NO_REVIEW", "OPTED_OUT",
    "Message", "Point", "arguments_of", "told", "untold",
]  # fmt: skip
