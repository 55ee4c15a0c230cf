"""Forms of threads that are remembered: as long as nothing changed, and not those of very long ones."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from dojang.server.langgraph.forms import KNOWN_BYTES, Known


@pytest.mark.parametrize(
    ("text", "size", "reads"),
    [("안녕", None, 2), ("x" * (KNOWN_BYTES + 1), None, 3), ("안녕", KNOWN_BYTES + 1, 3), ("", None, 2)],
)
def test_what_is_remembered_is_short_and_unchanged(text: str, size: int | None, reads: int) -> None:
    known, read = Known(), list[str]()

    def form(stamp: str) -> dict[str, Any]:
        read.append(stamp)
        return {"values": {"messages": [HumanMessage(text)]} if text else None}

    for stamp in ("a", "a", "b"):
        known.of("t", stamp, lambda stamp=stamp: form(stamp), size=size)  # type: ignore[misc]
    assert len(read) == reads
