"""The plain LCEL chain, ``prompt | model | parser``: the linear baseline that the graph is compared with.

It has the graph's retriever and generator and nothing else: it answers one question from passages, with citations. It
offers no tools, asks nobody, keeps nothing, and cannot be stopped; ``docs/chain-and-graph.md`` shows both side by side.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from nodes.ports import Generator, Retriever
from nodes.wording import say
from state import Citation, Generation, Language, Passage, PassageRef, composed, language_of, refs_of


class ChainAnswer(TypedDict):
    """What the chain says, in the graph's words for it."""

    text: str
    citations: list[Citation]
    abstained: bool
    speaker: str
    passages: list[PassageRef]


class _Asked(TypedDict):
    question: str
    language: Language
    passages: list[Passage]
    messages: ChatPromptValue


def retrieval_chain(
    retriever: Retriever, generator: Generator, *, k: int = 4, filters: dict[str, str] | None = None
) -> Runnable[str, ChainAnswer]:
    """The chain from a question to an answer. ``invoke``, ``batch`` and their async forms work as in any chain."""

    def search(question: str) -> list[Passage]:
        return retriever.search(question, k=k, filters=filters)

    async def asearch(question: str) -> list[Passage]:
        return await asyncio.to_thread(search, question)

    def speak(asked: _Asked) -> dict[str, Any]:
        messages: list[AnyMessage] = list(asked["messages"].to_messages())  # type: ignore[arg-type]
        return {
            "asked": asked,
            "reply": generator.reply(messages, passages=asked["passages"], tools=(), language=asked["language"]),
        }

    async def aspeak(asked: _Asked) -> dict[str, Any]:
        return await asyncio.to_thread(speak, asked)

    gather: Runnable[Any, Any] = RunnablePassthrough() | {
        "question": RunnablePassthrough(),
        "language": RunnableLambda(language_of),
        "passages": RunnableLambda(search, afunc=asearch),
    }
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    model: Runnable[Any, Any] = RunnableLambda(speak, afunc=aspeak)
    chain: Runnable[str, ChainAnswer] = (
        RunnableLambda(composed) | gather | RunnablePassthrough.assign(messages=prompt) | model | RunnableLambda(parse)
    ).with_config(run_name="retrieval_chain")
    return chain


def parse(spoken: dict[str, Any]) -> ChainAnswer:
    """The model's turn as an answer. What the graph would ask a person about is an abstention here."""
    asked: _Asked = spoken["asked"]
    reply: Generation = spoken["reply"]
    message = reply["message"]
    text = message.text.strip() if isinstance(message, AIMessage) else ""
    silent = reply["abstained"] or not text
    return ChainAnswer(
        text=say("no_answer", asked["language"]) if silent else text,
        citations=[] if silent else reply["citations"],
        abstained=silent,
        speaker=reply["speaker"],
        passages=refs_of(asked["passages"]),
    )
