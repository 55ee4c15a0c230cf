"""What an OpenAI-compatible server sent, made fit for langchain-openai, which believes all of it.

The library ends a streamed call that was cut off by closing its strings and brackets, takes the last of two equal keys,
fails on arguments that are no object, and adds up what a stream repeats: running totals, names, reasons. Here calls are
whole or sent back, and what is said twice counts once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from adapters.errors import UnreadableCall, UnreadableReply
from adapters.forms.parsing import arguments

MOST_TOKENS: Final = 10**9
"""What one reply can cost at most: more is no count."""
ONCE: Final = ("finish_reason", "model_name", "system_fingerprint", "service_tier")
CUT: Final = ("length", "content_filter")
"""Reasons for which a reply is not whole."""


def whole_call(name: object, told: object) -> str:
    """The arguments of a call as JSON of one object, encoded once; as they came where they are no JSON at all.

    What is no JSON the library keeps beside the message, as it stands.

    Raises:
        UnreadableCall: They are JSON of something else, or give a value twice.
    """
    text = told if isinstance(told, str) else json.dumps(told)
    try:
        return json.dumps(arguments(text, str(name)), ensure_ascii=False)
    except UnreadableReply as problem:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
        raise UnreadableCall(str(problem), said=_call(name, text)) from None


def tidied(response: Any) -> Any:
    """A completion as the client read it, its calls whole and its usage counts or none; changed in place.

    Raises UnreadableCall.
    """
    usage = getattr(response, "usage", None)
    if usage is not None:
        counts = counted(_get(usage, "prompt_tokens"), _get(usage, "completion_tokens"))
        for key, count in zip(("prompt_tokens", "completion_tokens", "total_tokens"), counts or (0, 0, 0), strict=True):
            _set(usage, key, count)
        if counts is None:
            response.usage = None
    for choice in getattr(response, "choices", None) or ():
        for call in getattr(getattr(choice, "message", None), "tool_calls", None) or ():
            function = getattr(call, "function", None)
            if function is not None and hasattr(function, "arguments"):
                try:
                    function.arguments = whole_call(getattr(function, "name", ""), function.arguments)
                except UnreadableCall as problem:
                    problem.usage = usage_of(counts) if usage is not None else None
                    raise
    return response


def counted(read: object, written: object) -> tuple[int, int, int] | None:
    """Tokens read, written and both; None where that is no count, or nothing was read, which no reply can be."""
    if not all(type(n) is int and 0 <= n <= MOST_TOKENS for n in (read, written)) or not (read or written):
        return None
    assert isinstance(read, int)
    assert isinstance(written, int)
    return read, written, read + written


def usage_of(counts: tuple[int, int, int] | None) -> UsageMetadata | None:
    """The same as LangChain keeps it."""
    return counts and UsageMetadata(input_tokens=counts[0], output_tokens=counts[1], total_tokens=counts[2])


class Streamed:
    """A reply as its pieces come."""

    def __init__(self) -> None:
        self.ended = False
        self._usage: UsageMetadata | None = None
        self._known: set[str] = set()
        self._text = ""
        self._calls: dict[object, list[str]] = {}

    def piece(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        """The piece without what an earlier one said already; usage waits for the end."""
        message = chunk.message
        if not isinstance(message, AIMessageChunk):
            return chunk
        usage = message.usage_metadata
        if usage is not None:
            self._usage = usage_of(counted(usage["input_tokens"], usage["output_tokens"]))
        self._text += message.text
        for part in message.tool_call_chunks:
            call = self._calls.setdefault(part["index"], ["", ""])
            call[0] += part["name"] or ""
            call[1] += part["args"] or ""
        told = {**(chunk.generation_info or {}), **message.response_metadata}
        self.ended = self.ended or bool(told.get("finish_reason"))
        info, metadata = self._once(chunk.generation_info or {}), self._once(message.response_metadata)
        self._known.update(key for key in ONCE if told.get(key))
        message = message.model_copy(update={"usage_metadata": None, "response_metadata": metadata})
        return ChatGenerationChunk(message=message, generation_info=info or None)

    def _once(self, told: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in told.items() if key not in self._known}

    def rest(self) -> ChatGenerationChunk | None:
        """What comes after the last piece: the usage, where the server told any.

        Raises:
            UnreadableCall: A call is not whole.
        """
        for name, told in self._calls.values():
            try:
                arguments(told, name)
            except UnreadableReply as problem:
                said = "\n".join([self._text, *(_call(*call) for call in self._calls.values())]).strip()
                raise UnreadableCall(str(problem), said=said, usage=self._usage) from None
        return self._usage and ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=self._usage))


def _call(name: object, told: str) -> str:
    return json.dumps({"name": str(name), "arguments": told}, ensure_ascii=False)


def _get(usage: Any, key: str) -> object:
    return usage.get(key) if isinstance(usage, Mapping) else getattr(usage, key, None)


def _set(usage: Any, key: str, value: int) -> None:
    if isinstance(usage, dict):
        usage[key] = value
    else:
        setattr(usage, key, value)


__all__ = ["CUT", "Streamed", "counted", "tidied", "usage_of", "whole_call"]
