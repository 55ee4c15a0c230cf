"""The text that each way of speaking puts before the model, as one string, and its hash.

The hash is kept with what was said; ``adapters.speakers.proving`` renders what was kept again and compares.
Whoever changes what is read gives its form another number, else decisions of before are taken for changed ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage

from adapters.forms.courtesy import unthanked
from adapters.local.templates import agent_turn
from adapters.prompt import Turn, asked, lead, purpose, render, request_of, signature, spaced, turns_of
from adapters.speakers.evidence import gather
from state import Language, Passage, Rendered, ToolSpec

READING: Final = "reading/2"
THANKED: Final = "reading/1"
"""As ``READING``, with the thanks at the end of what a user said: the hash was made of them, read or not."""
NUMBERED: Final = "numbered/1"
ENDPOINT: Final = "endpoint/1"
STRICT: Final = "endpoint/1 strict"


def rendered(form: str, text: str, today: str = "", left_out: Mapping[str, Any] | None = None) -> Rendered:
    """How a prompt was rendered; ``left_out`` counts the messages and sentences that did not fit."""
    told = Rendered(form=form, today=today, sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
    if left_out:
        told |= {"messages": int(left_out["messages"]), "evidence": int(left_out["evidence"])}
    return told


def unthanked_turns(messages: Sequence[AnyMessage]) -> list[Turn]:
    """The conversation without the thanks at the end of what a user said, in which a reason or a name could be seen."""
    turns = turns_of(messages)
    return [t._replace(content=unthanked(t.content)) if t.role == "user" else t for t in turns]


def reading_text(
    messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], *, thanked: bool = False
) -> str:
    """All that a base of ours reads in one turn: the conversation, what it tells apart, and the request.

    For a call with dates both days of a range are read in words of their own (``forms.datewords.spelled``), which
    follows from this text.

    ``thanked``: with the thanks that are not read, as turns of the form ``THANKED`` were hashed.
    """
    evidence, pending = gather(messages, passages)
    turns = turns_of(messages) if thanked else unthanked_turns(messages)
    parts = [render(turns), *(signature(tool) for tool in tools)]
    if pending:
        return "\n".join([*parts, *(spaced(row.text) for row in evidence)])
    leads = [lead(purpose(tool), tool=True) for tool in tools] + [lead(row.text) for row in evidence]
    return "\n".join([*parts, *leads, asked(request_of(turns))])


def numbered_text(
    tokenizer: Any,
    messages: Sequence[AnyMessage],
    passages: Sequence[Passage],
    tools: Sequence[ToolSpec],
    language: Language,
    today: str,
    left_out: Mapping[str, Any] | None = None,
) -> str:
    """The prompt of a checkpoint from elsewhere, without what did not fit."""
    gone, dropped = (int(left_out.get(key, 0)) for key in ("messages", "evidence")) if left_out else (0, 0)
    sentences = [row.text for row in gather(messages, passages)[0]]
    return agent_turn(tokenizer, messages[gone:], tools, sentences[: len(sentences) - dropped], language, today)


def endpoint_text(system: str, messages: Sequence[AnyMessage], offered: Sequence[Mapping[str, Any]]) -> str:
    """What an endpoint is sent, as JSON: its own server makes text of it."""
    rows: list[Any] = [["system", system]]
    for message in messages:
        calls = [[call["name"], call["args"]] for call in message.tool_calls] if isinstance(message, AIMessage) else []
        rows.append([message.type, message.content, *([calls] if calls else [])])
    return json.dumps([rows, list(offered)], ensure_ascii=False, sort_keys=True)


__all__ = [
    "ENDPOINT", "NUMBERED", "READING", "STRICT", "THANKED", "endpoint_text", "numbered_text", "reading_text",
    "rendered", "unthanked_turns",
]  # fmt: skip
