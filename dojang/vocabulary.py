"""The contract's words as people read them: one table for the commands and the pages, marked for both catalogues.

Small letters, because a command puts them into its sentences; a page writes the first one large. What only one of the
two shows (a button, a column) stands with it: ``dojang.cli.words``, ``dojang.server.wording``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # `dojang --help` waits for nothing
    from state import DecisionType, EffectClass, Kind


def N_(text: str) -> str:
    """Mark a text for extraction; it is translated where it is shown."""
    return text


KINDS: Final[dict[Kind, str]] = {
    "tool": N_("tool call"),
    "approval": N_("approval of an answer"),
    "clarification": N_("question to a person"),
    "correction": N_("correction of evidence"),
    "compliance": N_("compliance"),
    "in_doubt": N_("effect in doubt"),
    "feedback": N_("feedback"),
}
STATUSES: Final = {
    "open": N_("open"),
    "claimed": N_("claimed"),
    "recorded": N_("decided, not yet carried out"),
    "decided": N_("decided"),
    "expired": N_("expired"),
    "superseded": N_("decided, and asked about again"),
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
"""Of reviews, effects, runs and threads."""
EFFECTS: Final[dict[EffectClass, str]] = {
    "read": N_("reads"),
    "write": N_("writes"),
    "irreversible": N_("irreversible"),
}
SAID: Final[dict[str, str]] = {
    "approve": N_("approved"),
    "edit": N_("edited"),
    "reject": N_("rejected"),
    "answer": N_("answered"),
    "expire": N_("expired"),
}
"""How a review was decided."""
SPEAKERS: Final = {"user": N_("guest"), "assistant": N_("Dojang"), "tool": N_("tool")}
DOUBT: Final[dict[DecisionType, str]] = {
    "approve": N_("it happened"),
    "reject": N_("it did not happen"),
    "answer": N_("look it up"),
}
"""What the decisions mean where an effect is in doubt."""
FLAGS: Final = {
    "ignore-instructions": N_("asks to ignore instructions"),
    "new-role": N_("gives the model another role"),
    "prompt-markup": N_("imitates the marks of a prompt"),
    "hidden-from-people": N_("asks to keep something from people"),
    "act-without-asking": N_("asks to act without approval"),
    "invisible-text": N_("holds invisible characters"),
}
"""What in a passage looks as if it spoke to the model; a weak sign."""
