"""One turn of the agent: ``ChatGenerator`` satisfies the port ``Generator`` by shape, whatever model is behind it.

A base of this project reads and fills in (``adapters.reading``), any other local checkpoint answers by number under a
grammar (``adapters.numbered``), any other LangChain chat model (an OpenAI-compatible endpoint) is prompted, parsed and
mapped by ``adapters.endpoint``. What is asked of a person, and what is allowed to run, is decided elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage

from adapters.chat import ChatLlama
from adapters.errors import ModelNotUsable
from adapters.numbered import NumberedSpeaker
from adapters.reading import ReadingSpeaker
from adapters.turns import ABSTENTIONS
from state import Generation, Language, Passage, ToolSpec

Strategy = Literal["number", "reading"]
DECODING_FILE: Final = "decoding.json"


@dataclass(frozen=True)
class Decoding:
    """How a local model speaks; measured on held-out questions, shipped with the weights.

    "number" is for any checkpoint: it abstains where the share of "[0]" among all numbers is at least
    ``abstain_share``. "reading" is for the bases that ``adapters.training`` makes: it abstains where the best sentence
    makes the question less than ``abstain_margin`` nats likelier than no sentence does. ``overlap_weight`` adds so
    many nats for a sentence that holds all terms of the question (``adapters.evidence.worth``). ``name_weight`` adds so
    much of the nats by which the conversation makes a tool's name likelier: base and adapter know the names of their
    tools. ``verdict_weight`` adds so much of the log odds that a base taught to say so finds a candidate to fit.
    A tool is wanted where the best makes the request at least ``call_margin`` nats likelier, whatever the
    evidence: a sentence that shares a name with a request would win otherwise.
    """

    strategy: Strategy = "number"
    abstain_share: float = 0.5
    abstain_margin: float = 0.0
    overlap_weight: float = 0.0
    name_weight: float = 0.0
    call_margin: float = 0.0
    verdict_weight: float = 0.0

    @classmethod
    def read(cls, directory: Path) -> Decoding:
        """From ``decoding.json`` in a model or adapter folder; the defaults where there is none."""
        path = directory / DECODING_FILE
        if not path.exists():
            return cls()
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            share = float(told.get("abstain_share", cls.abstain_share))
            strategy = told.get("strategy", cls.strategy)
            margin = float(told.get("abstain_margin", cls.abstain_margin))
            weight = float(told.get("overlap_weight", cls.overlap_weight))
            names = float(told.get("name_weight", cls.name_weight))
            call = float(told.get("call_margin", cls.call_margin))
            verdict = float(told.get("verdict_weight", cls.verdict_weight))
        except (OSError, ValueError, TypeError, AttributeError) as e:
            raise ModelNotUsable(f"{path} cannot be read ({e}); export it again with the weights") from None
        if strategy not in get_args(Strategy) or not 0 <= share <= 1:
            raise ModelNotUsable(f"{path}: strategy is one of {get_args(Strategy)}, abstain_share lies in 0…1")
        return cls(strategy, share, margin, weight, names, call, verdict)


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
        decoding = decoding or Decoding()
        self.speaker: Speaker
        if not isinstance(chat, ChatLlama):
            from adapters.endpoint import EndpointSpeaker

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


__all__ = ["ABSTENTIONS", "DECODING_FILE", "ChatGenerator", "Decoding", "Speaker"]
