"""Messages that were handed out and have come back, to be handed out again instead of being made again.

LangGraph asks for the whole conversation when a turn begins and lets go of it when the turn has ended, and making a
thousand fresh messages costs more than all else that a saver does for a turn. So a list's messages stay remembered
when they are handed out, and are handed out again once nobody else can see them: neither a message nor anything in it
that can be changed has another holder than we, which CPython counts. What the last holder did to them is then found
by comparing them with what they should be (``copies.Items``). Whoever asks while somebody holds them gets fresh ones,
so no two callers ever share a message. Where holders are not counted one by one (PyPy, free threading), nothing is
lent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from checkpoints.values.messages import Made

LEND_MIN = 32
"""Shorter lists are made anew."""

LOANS_MAX = 2
"""Of one list: a caller who keeps a turn's result until the next turn has ended always holds one of them."""

_count: Callable[[Any], int] = getattr(sys, "getrefcount", lambda value: 0)


class Loan:
    """The messages of one list, as they were handed out."""

    __slots__ = ("extras", "fields", "messages", "parts")

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.fields: list[dict[str, Any]] = []
        self.parts: list[Any] = []
        self.extras: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self.messages)

    def extend(self, made: Made) -> None:
        """More messages are handed out behind these."""
        self.messages += made.messages
        self.fields += made.fields
        self.parts += made.parts
        self.extras += made.extras

    def is_back(self) -> bool:
        """Whether nobody else holds a message or a part of one. What was done to them is not looked at."""
        return (
            _held(self.messages, _ONCE)
            and _held(self.fields, _TWICE)  # by us and by their message
            and _held(self.parts, _TWICE)
            and _held(self.extras, _TWICE)
        )


def parts_of(value: Any) -> Iterator[Any]:
    """Every container in a dict or list of plain values, the outermost left out."""
    for v in value.values() if type(value) is dict else value:
        if isinstance(v, (dict, list, tuple)):
            if type(v) is not tuple:
                yield v
            yield from parts_of(v)
        elif isinstance(v, (set, bytearray)):
            yield v


def _held(values: list[Any], count: int) -> bool:
    return list(map(_count, values)).count(count) == len(values)


def _counts() -> tuple[int, int]:
    """What is counted of a value in one container, and of one that a second container holds too."""
    values = [object()]
    once = next(map(_count, values))
    second = {"": values[0]}
    twice = next(map(_count, values))
    del second
    return once, twice


_ONCE, _TWICE = _counts()
LENDS = _TWICE == _ONCE + 1 and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether holders are counted one by one."""
