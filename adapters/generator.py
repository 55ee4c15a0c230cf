"""One turn of the agent: ``ChatGenerator`` satisfies the port ``Generator`` by shape, whatever model is behind it.

A base of this project reads and fills in (``speakers.reading``), any other local checkpoint answers by number under a
grammar (``speakers.numbered``), any other LangChain chat model (an OpenAI-compatible endpoint) is prompted, parsed and
mapped by ``adapters.speakers.endpoint``. What is asked of a person, and what is allowed to run, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage

from adapters.decoding import Decoding
from adapters.local.chat import ChatLlama
from adapters.speakers.numbered import NumberedSpeaker
from adapters.speakers.reading import ReadingSpeaker
from adapters.speakers.turns import ABSTENTIONS
from state import Generation, Language, Passage, ToolSpec


class Speaker(Protocol):
    """One way to get a turn out of a chat model."""

    def turn(
        self, messages: Sequence[AnyMessage], passages: Sequence[Passage], tools: Sequence[ToolSpec], language: Language
    ) -> Generation:
        """The next turn."""
        ...


class ChatGenerator:
    """The generator port over a chat model.

    Args:
        chat: A ChatLlama, or any LangChain chat model that binds tools.
        today: ISO date that the model is told, or a callable that gives it; by default the machine's date.
        decoding: How a ChatLlama speaks.
        max_tokens: Longest reply, in tokens.
        strict: Whether an endpoint is offered tools in OpenAI's strict form.
        prices: What an endpoint takes for a million tokens read and a million written.
    """

    def __init__(
        self,
        chat: BaseChatModel,
        *,
        today: str | Callable[[], str] | None = None,
        decoding: Decoding | None = None,
        max_tokens: int = 256,
        strict: bool = True,
        prices: tuple[float, float] | None = None,
    ) -> None:
        told = today if callable(today) else (lambda: today or date.today().isoformat())
        self.chat, self.today = chat, told
        decoding = decoding or Decoding()
        self.speaker: Speaker
        if not isinstance(chat, ChatLlama):
            from adapters.speakers.endpoint import EndpointSpeaker

            self.speaker = EndpointSpeaker(chat, told, strict=strict, prices=prices)
        elif decoding.strategy == "reading":
            self.speaker = ReadingSpeaker(chat, decoding)
        else:
            self.speaker = NumberedSpeaker(chat, told, decoding.abstain_share, max_tokens)

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        """The next turn: tool calls, a question to the person, or text whose ``[n]`` number the citations from 1.

        Raises:
            UserError: The prompt is too long, the endpoint refused the key or the request.
            PassingFault: The endpoint is away, or the reply cannot be read.
        """
        return self.speaker.turn(messages, passages, tools, language)


__all__ = ["ABSTENTIONS", "ChatGenerator", "Speaker"]
