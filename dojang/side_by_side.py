"""One question, asked of several speakers with the same passages and tools: what would each of them say?

Nothing is recorded, no call is carried out, nobody's thread goes on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import AIMessage, HumanMessage

from state import DojangError, Generation, UserError, composed, language_of

if TYPE_CHECKING:
    from dojang.flywheel.voices import Voices
    from dojang.parts import Parts
    from nodes.ports import Generator

LONGEST: Final = 2_000
"""Characters of a question."""


@dataclass(frozen=True)
class Said:
    """What one speaker says. ``who``: base, champion or candidate; ``error``: why it says nothing."""

    who: str
    adapter: str
    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    asks: str = ""
    abstained: bool = False
    seconds: float = 0.0
    speaker: str = ""
    error: str = ""


def compare(parts: Parts, voices: Voices, question: str, tell: Callable[[str], None] = lambda step: None) -> list[Said]:
    """The base alone, the champion and the candidate (where there are such) on one question.

    Raises:
        UserError: the question is empty or longer than LONGEST characters.
    """
    question = composed(question.strip())
    if not question or len(question) > LONGEST:
        raise UserError(f"a question has between 1 and {LONGEST:,} characters; write another one")
    passages = parts.store.search(question, k=parts.settings.passages_k)
    tools = parts.toolbox.offered()
    message = HumanMessage(content=question, id=f"human-{secrets.token_hex(8)}")
    found = []
    for who, adapter, load in _speakers(parts, voices):
        tell(who)
        try:
            speaker = load()  # the first one may load the model: that is no part of its answer
            started = time.perf_counter()
            reply = speaker.reply([message], passages=passages, tools=tools, language=language_of(question))
        except DojangError as error:
            found.append(Said(who, adapter, error=str(error)))
            continue
        found.append(_said(who, adapter, reply, time.perf_counter() - started))
    return found


def _speakers(parts: Parts, voices: Voices) -> list[tuple[str, str, Callable[[], Generator]]]:
    from adapters.registry.aliases import CANDIDATE, CHAMPION

    named = voices.registry.aliases()
    speakers: list[tuple[str, str, Callable[[], Generator]]] = [("base", "", lambda: _base(parts))]
    for alias in (CHAMPION, CANDIDATE):
        if adapter := named.get(alias, ""):
            speakers.append((alias, adapter, partial(voices.speaker, adapter)))
    if CHAMPION not in named:
        speakers.insert(1, ("shipped", "", lambda: parts.generator_of_model))
    return speakers


def _base(parts: Parts) -> Generator:
    """The base that is loaded, without an adapter; at an endpoint, the model that the settings name."""
    from adapters.decoding import Decoding
    from adapters.generator import ChatGenerator
    from adapters.local.chat import ChatLlama
    from adapters.serving import decoding_of

    made = parts.generator_of_model
    chat = getattr(made, "chat", None)
    if not isinstance(chat, ChatLlama):
        return made
    bare = chat.model_copy(update={"adapter": None})
    return ChatGenerator(bare, today=cast(ChatGenerator, made).today, decoding=decoding_of(bare) or Decoding())


def _said(who: str, adapter: str, reply: Generation, seconds: float) -> Said:
    message = reply["message"]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return Said(
        who,
        adapter,
        text=message.text,
        calls=tuple((call["name"], dict(call["args"])) for call in calls),
        asks=reply["clarification"],
        abstained=reply["abstained"],
        seconds=seconds,
        speaker=reply["speaker"],
    )
