"""The words that may be labels of numbers and names of spans: closed sets, whatever people, models and clients send."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

OTHER: Final = "other"
METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
DECISIONS: Final = frozenset(("approve", "edit", "reject", "answer", "expire"))
CHANNELS: Final = frozenset(
    ("bulk", "cli", "clock", "console", "http", "langgraph", "notebook", "python", "superseded")
)
VERBS: Final = frozenset(("select", "insert", "update", "delete", "with", "copy", "create", "set", "begin", "lock"))
NODES: Final = frozenset(("intake", "retrieve", "generate", "comply", "review", "act", "answer"))


def one_of(word: str, known: Collection[str]) -> str:
    """The word, where it is known; else ``other``."""
    return word if word in known else OTHER
