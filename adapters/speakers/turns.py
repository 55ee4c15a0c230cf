"""What every local way of speaking hands back: the Generation of a call, a question, an answer or an abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from adapters.local.chat import ChatLlama
from adapters.local.engine import Engine
from adapters.local.fitting import LeftOut
from adapters.speakers.evidence import Evidence
from state import Generation, Language

ABSTENTIONS: Final[Mapping[Language, str]] = {
    "ko": "가지고 있는 문서에서는 이에 대한 답을 찾지 못했습니다.",
    "en": "I did not find an answer to this in the documents at hand.",
}


WORDLESS: Final[Mapping[Language, str]] = {
    "ko": "도구가 아무 말 없이 끝났습니다.",
    "en": "The tool ended without a word.",
}


def generation(
    chat: ChatLlama,
    text: str,
    citations: list[Any],
    prompt: int,
    spoken: int,
    *,
    calls: Sequence[Any] = (),
    clarification: str = "",
    about: str = "",
    abstained: bool = False,
    left_out: LeftOut | None = None,
) -> Generation:
    """A turn of ``chat``; ``prompt`` and ``spoken`` count tokens, ``left_out`` is what did not fit."""
    engine: Engine = chat.engine
    speaker = engine.speaker(chat.adapter)
    told: dict[str, Any] = {"speaker": speaker, "model_name": engine.local.name, "finish_reason": "stop"}
    told |= {"revision": engine.local.revision} if engine.local.revision else {}
    told |= {"left_out": dict(left_out)} if left_out else {}
    message = AIMessage(
        content=text,
        tool_calls=list(calls),
        usage_metadata=UsageMetadata(input_tokens=prompt, output_tokens=spoken, total_tokens=prompt + spoken),
        response_metadata=told,
    )
    made = Generation(
        message=message, citations=citations, clarification="", about="", abstained=abstained, speaker=speaker
    )
    return {**made, "clarification": clarification, "about": about}


def answer(
    chat: ChatLlama, chosen: Sequence[Evidence], prompt: int, spoken: int, left_out: LeftOut | None = None
) -> Generation:
    """Sentences of the evidence as the answer, each with its citation."""
    text = " ".join(f"{row.text} [{n}]" for n, row in enumerate(chosen, 1))
    cited = [row.cite(n) for n, row in enumerate(chosen, 1)]
    return generation(chat, text, cited, prompt, spoken, left_out=left_out)


def wordless(chat: ChatLlama, language: Language, prompt: int, left_out: LeftOut | None = None) -> Generation:
    """A tool ran and its result tells nothing: no abstention, for something was done."""
    return generation(chat, WORDLESS[language], [], prompt, 1, left_out=left_out)


def abstention(chat: ChatLlama, language: Language, prompt: int, left_out: LeftOut | None = None) -> Generation:
    """No sentence answers."""
    return generation(chat, ABSTENTIONS[language], [], prompt, 1, abstained=True, left_out=left_out)
