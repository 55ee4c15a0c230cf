"""Leaves of the error tree that this package adds (see state.py for the branches). No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from state import PassingFault, UserError

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata


class ModelNotUsable(UserError):
    """The model directory is missing, damaged, of another architecture, or not what the settings say."""


class AdapterNotUsable(UserError):
    """The adapter directory is missing, damaged, or was trained on another base."""


class AdapterGone(AdapterNotUsable):
    """The adapter that a conversation began with is not there any more, or is another one by now."""


class PromptTooLong(UserError):
    """The conversation and its evidence do not fit into the model's context."""


class EndpointFault(PassingFault):
    """The endpoint did not answer, answered late, broke off, or answered with a server error.

    ``retry_after_s``: how long the server asked to be left alone, where it did.
    """

    retry_after_s: float | None = None


class EndpointRefused(UserError):
    """The endpoint refused the key, the model name or the request."""


class UnreadableReply(PassingFault):
    """The model's reply is neither text nor a call of an offered tool."""


class UnreadableCall(UnreadableReply):
    """A call in a reply is broken: it may be sent back once. ``said``: the reply in words, ``usage``: what it took."""

    def __init__(self, text: str, *, said: str = "", usage: UsageMetadata | None = None) -> None:
        super().__init__(text)
        self.said, self.usage = said, usage
