"""The contract's words as people read them. Each is marked with ``N_`` for the catalogue and translated when shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


def N_(text: str) -> str:
    """Mark a text for extraction without translating it yet."""
    return text


KINDS: Final = {
    "approval": N_("approval of an answer"),
    "clarification": N_("question to a person"),
    "correction": N_("correction of evidence"),
    "compliance": N_("compliance"),
    "tool": N_("tool call"),
    "feedback": N_("feedback"),
    "in_doubt": N_("effect in doubt"),
}
STATUSES: Final = {
    "open": N_("open"),
    "recorded": N_("decided, not yet carried out"),
    "decided": N_("decided"),
    "done": N_("done"),
    "failed": N_("failed"),
    "refused": N_("refused"),
    "in_doubt": N_("in doubt"),
    "paused": N_("waits"),
    "busy": N_("busy"),
    "interrupted": N_("waits"),
    "idle": N_("idle"),
    "error": N_("cannot be read"),
}
EFFECTS: Final = {"read": N_("reads"), "write": N_("writes"), "irreversible": N_("irreversible")}
DECISIONS: Final = {
    "approve": N_("approved"),
    "edit": N_("edited"),
    "reject": N_("rejected"),
    "answer": N_("answered"),
}
ROLES: Final = {"user": N_("guest"), "assistant": N_("Dojang"), "tool": N_("tool")}
NODES: Final = {
    "intake": N_("request read"),
    "retrieve": N_("documents searched"),
    "generate": N_("model answered"),
    "comply": N_("rules asked"),
    "review": N_("decision taken in"),
    "act": N_("tool run"),
    "answer": N_("answer released"),
}
"""What each finished node of the graph means to somebody who waits."""
SEVERITIES: Final = {"low": N_("low"), "medium": N_("medium"), "high": N_("high")}


def word(gettext: Callable[[str], str], table: dict[str, str], key: str) -> str:
    """The translated word for ``key``; the key itself where the table is older than it."""
    return gettext(table[key]) if key in table else key
