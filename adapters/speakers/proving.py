"""Shows whether a kept turn is what the model had before it: rendered again by the code that serves, the hash the same.

A decision teaches only where that can be shown. Knows no session file: messages come from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AnyMessage

from adapters.speakers.endpoint import offered_tools, system_prompt
from adapters.speakers.rendering import (
    ENDPOINT,
    NUMBERED,
    READING,
    STRICT,
    THANKED,
    endpoint_text,
    numbered_text,
    reading_text,
    rendered,
)
from state import Prompt, Rendered


def again(prompt: Prompt, messages: Sequence[AnyMessage], tokenizer: Any = None) -> Rendered | None:
    """A kept turn's prompt rendered anew from ``messages``; None where nobody here can render its form.

    ``tokenizer``: of the base that spoke, for the forms that take its chat template.
    """
    noted = prompt["rendered"]
    form, today = noted["form"], noted["today"]
    left_out = {"messages": noted["messages"], "evidence": noted.get("evidence", 0)} if "messages" in noted else None
    passages, tools, language = prompt["passages"], prompt["tools"], prompt["language"]
    if form in (READING, THANKED):
        return rendered(form, reading_text(messages, passages, tools, thanked=form == THANKED), today, left_out)
    if form == NUMBERED and tokenizer is not None:
        text = numbered_text(tokenizer, messages, passages, tools, language, today, left_out)
        return rendered(form, text, today, left_out)
    if form in (ENDPOINT, STRICT):
        offered = offered_tools(tools, strict=form == STRICT) if tools else []
        return rendered(form, endpoint_text(system_prompt(passages, language, today), messages, offered), today)
    return None


__all__ = ["again"]
