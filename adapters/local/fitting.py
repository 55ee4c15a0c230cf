"""Makes a conversation fit into a context, and says what it left out. Knows no model: lengths come from the caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from adapters.errors import PromptTooLong

M = TypeVar("M", bound=BaseMessage)
PROBE = "·"


class LeftOut(TypedDict):
    """What of a conversation was not read, because it did not fit."""

    messages: int  # the oldest ones
    evidence: int  # the last sentences of the evidence
    context: int  # tokens that there was room for, reply included


def fit(read: Callable[[Sequence[M]], list[int]], messages: Sequence[M], room: int) -> tuple[list[int], list[M], int]:
    """(tokens, messages, how many were left out): without as many of the oldest turns as it takes to fit.

    System messages stay; a turn is left out whole, from its human message to the next. If the newest turn alone does
    not fit, its tokens come back nevertheless, for the caller to refuse.

    Args:
        read: Tokens of a prompt with these messages.
        messages: The conversation.
        room: How many tokens there may be.
    """
    whole = list(messages)
    ids = read(whole)
    if len(ids) <= room:
        return ids, whole, 0
    cuts = [n for n, message in enumerate(whole) if isinstance(message, HumanMessage)][1:]
    low, high = 0, len(cuts)  # the first cut after which it fits
    best: tuple[list[int], list[M]] | None = None
    while low < high:
        middle = (low + high) // 2
        kept = _from(whole, cuts[middle])
        ids = read(kept)
        if len(ids) <= room:
            best, high = (ids, kept), middle
        else:
            low = middle + 1
    if best is None:
        kept = _from(whole, cuts[-1]) if cuts else whole
        best = (read(kept), kept)
    return best[0], best[1], len(whole) - len(best[1])


def _from(messages: Sequence[M], cut: int) -> list[M]:
    return [m for n, m in enumerate(messages) if n >= cut or isinstance(m, SystemMessage)]


def cut_call(name: str, context: int, prompt: int) -> PromptTooLong:
    """What a call is refused with that came to the end of the context before its own, after ``prompt`` tokens."""
    return PromptTooLong(
        f"the call does not fit into the {context} tokens of {name} after a prompt of {prompt}; shorten the "
        "conversation, give fewer passages or offer fewer tools"
    )


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    for n, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return n
    return min(len(first), len(second))
