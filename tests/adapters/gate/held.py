"""Held-out points and speakers that answer by a function, for tests of the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AnyMessage

from adapters.dataset.mapping import Taught, taught
from adapters.gate.replies import Reply
from adapters.gate.scores import reply_of
from dojang.flywheel.gating import read_value
from state import Generation, Language, Passage, ToolSpec
from tests.flywheel.made import point
from tests.graph.parts import calls

READS = read_value


def held(n: int, type: str = "approve", *, thread: str = "", tier: int = 1, language: str = "en", **how: Any) -> Any:
    """Held-out point ``n`` with its conversation and tier, as the gate is given it."""
    one = taught(point(n, type, **how))
    assert isinstance(one, Taught), one
    return {**one.held_out(), "thread": thread or f"t{n}", "tier": tier, "language": language}


def decided(of: Any) -> Reply:
    """The reply that a person wanted."""
    return reply_of(of["decided"])


class Answers:
    """A generator port that answers by a function of the last message, and counts."""

    def __init__(self, answer: Callable[[str], Generation]) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        self.asked.append(messages[-1].text)
        return self._answer(messages[-1].text)


def books(text: str) -> Generation:
    """Always the same booking."""
    return calls(("book_room", {"hotel": "Namsan Stay", "guests": 2}))
