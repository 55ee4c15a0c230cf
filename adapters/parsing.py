"""Reads what a model wrote when nothing constrained it: a tool call in one of the usual shapes, or text.

Tolerant of form, closed to meaning: the first JSON object counts, ``parameters`` or ``arguments`` (an object, or a
string that holds one), code fences and Llama's python tag around it; but a name that was not offered is refused, and
something that looks like a call and cannot be read is refused too, never passed on as an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

from adapters.errors import UnreadableReply
from state import JSON

_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*|\s*```\s*$")
_LOOKS_LIKE_CALL = re.compile(r'\{\s*"(name|function|tool|tool_name|parameters|arguments)"\s*:')
_SPECIALS = re.compile(r"<\|(?:python_tag|eot_id|eom_id|end_of_text|begin_of_text)\|>")


class Call(NamedTuple):
    """A tool call as the model wrote it; the arguments are not yet checked against the tool's schema."""

    name: str
    args: dict[str, JSON]


def parse_reply(text: str, offered: Collection[str]) -> Call | str:
    """The call that ``text`` holds, or the text itself.

    Raises:
        UnreadableReply: A call of a tool that was not offered, or an object that begins like a call and cannot be read.
    """
    body = _FENCE.sub("", _SPECIALS.sub("", text)).strip()
    match = _LOOKS_LIKE_CALL.search(body)
    if match is None:
        return body
    value, _ = _first_object(body[match.start() :])
    function = value.get("function")
    if isinstance(function, dict):
        value = function
    name = value.get("name", value.get("tool", value.get("tool_name", function)))
    if not isinstance(name, str):
        raise UnreadableReply(f"the model began a tool call without a tool's name: {_short(body)}")
    return Call(checked_name(name, offered), arguments(value.get("parameters", value.get("arguments", {})), name))


def checked_name(name: str, offered: Collection[str]) -> str:
    """The name, if it was offered."""
    if name not in offered:
        known = ", ".join(sorted(offered)) or "none"
        raise UnreadableReply(f"the model called {name[:80]!r}, which was not offered (offered: {known}); ask again")
    return name


def arguments(value: JSON, name: str) -> dict[str, JSON]:
    """Arguments as an object; a string that holds one is read once."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            raise UnreadableReply(f"the arguments of {name!r} are not JSON: {_short(value)}; ask again") from None
    if not isinstance(value, dict):
        raise UnreadableReply(f"the arguments of {name!r} are no object: {_short(str(value))}; ask again")
    return value


def _first_object(text: str) -> tuple[dict[str, Any], int]:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise UnreadableReply(
            f"the model began a tool call that is not valid JSON: {_short(text)}; ask again"
        ) from None
    if not isinstance(value, dict):
        raise UnreadableReply(f"the model's tool call is no object: {_short(text)}; ask again")
    return value, end


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "…"
