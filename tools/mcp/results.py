"""What an MCP tool answered, as a plain record of bounded size, and that record as lines for a conversation.

An answer is a stranger's text: it is cleaned of what hides or reorders words, cut, and whatever is no text (an image, a
sound, a link) is named and left out.
"""

from __future__ import annotations

import json
import math
import textwrap
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from state import JSON, Language
from tools.wording import LONGEST_SHOWN, shown, wordless

if TYPE_CHECKING:
    from mcp.types import CallToolResult

LONGEST: Final = 16_000
"""Characters of an answer that are kept."""
LONGEST_STRUCTURED: Final = 32_000
"""Characters of the JSON of its structured part; a longer one is left out whole."""
LINES: Final = 60
"""Lines of it that the conversation gets."""
_LEFT: Final = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Categories of signs that are taken out, but for the line's end."""


def record_of(answer: CallToolResult) -> dict[str, JSON]:
    """``{"text", "structured", "left_out"}`` of an answer."""
    texts: list[str] = []
    left: list[str] = []
    for part in answer.content:
        text, what = _part(part)
        texts += [text] if text else []
        left += [what] if what else []
    whole = clean("\n".join(texts))
    if len(whole) > LONGEST:
        left.append(f"text, {len(whole) - LONGEST:,} characters more")
        whole = whole[:LONGEST]
    structured: JSON = answer.structuredContent
    size = 0 if structured is None else len(json.dumps(structured, ensure_ascii=False, default=str))
    if size > LONGEST_STRUCTURED:
        left.append(f"structured answer, {size:,} characters")
        structured = None
    return {"text": whole, "structured": _cleaned(structured), "left_out": left}


def _part(part: Any) -> tuple[str, str]:
    """(text, what is left out) of one block of an answer."""
    kind = getattr(part, "type", "")
    if kind == "text":
        return str(part.text), ""
    if kind in ("image", "audio"):
        return "", f"{kind} {shown(part.mimeType)}, {len(part.data) * 3 // 4:,} bytes"
    if kind == "resource":
        inner = part.resource
        if hasattr(inner, "text"):
            return str(inner.text), ""
        return "", f"file {shown(inner.mimeType or '')}, {len(inner.blob) * 3 // 4:,} bytes"
    if kind == "resource_link":
        return "", f"link {shown(str(part.uri))}"
    return "", f"{shown(str(kind))}"


def clean(text: str) -> str:
    """The text without signs that nobody sees."""
    spaced = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(c for c in spaced if c == "\n" or unicodedata.category(c) not in _LEFT)


def _cleaned(value: JSON) -> JSON:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > 2**53 - 1:
        return str(value)  # no file of ours holds it exactly, and what was done is written down whatever it answered
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(one) for key, one in value.items()}
    return value


def telling(name: str, language: Language) -> Callable[[Any], list[str]]:
    """Lines of an answer's record, as a tool's ``tells``."""

    def told(record: Any) -> list[str]:
        text = record["text"] or ("" if record["structured"] is None else _json(record["structured"]))
        lines = [piece for line in text.split("\n") if line.strip() for piece in _wrapped(line)]
        left = [str(one) for one in record["left_out"]]
        if len(lines) > LINES:
            left.append(f"{len(lines) - LINES} 줄" if language == "ko" else f"{len(lines) - LINES} lines")
            lines = lines[:LINES]
        if not lines:
            lines = [wordless(name, language)]
        if left:
            listed = ", ".join(left)
            lines.append(f"(뺀 것: {listed})" if language == "ko" else f"(left out: {listed})")
        return lines

    return told


def _json(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(" ".join(line.split()), LONGEST_SHOWN) if len(line) > LONGEST_SHOWN else [line]
