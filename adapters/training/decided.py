"""A dataset's row in the words of one kind of base: the very prompt that was served, and what a person made of it.

A base of ours learns two things of a decided call: to fill it in after the conversation, and that the request is for
this tool (``adapters.prompt.lead`` and ``asked``), as it does of generated text. Thanks at the end of what a user said
are in its rows, though they are not read where it serves (``adapters.forms.courtesy``). Other checkpoints learn the
turn as it is decoded: a call as JSON, or the number of a sentence. What a base cannot say at all is Unsayable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AnyMessage

from adapters.forms.values import choices, property_of
from adapters.local.templates import agent_turn
from adapters.prompt import (
    ASK_USER,
    EOT,
    asked,
    asking,
    call_text,
    choice_text,
    filled,
    lead,
    purpose,
    question_text,
    render,
    request_of,
    spaced,
    turns_of,
)
from adapters.speakers.evidence import gather
from state import ToolSpec

Raw = Mapping[str, Any]
Pieces = list[tuple[str, bool]]
"""What the assistant says; True marks what is learned."""
Answered = tuple[str, Pieces]
"""A prompt and what is said after it."""


class Unsayable(Exception):
    """This kind of base has no way to say that: free words of a person, or calls of tools that it was not offered."""


@dataclass(frozen=True)
class Given:
    """What stood before the model, parsed."""

    messages: Sequence[AnyMessage]
    tools: Sequence[ToolSpec]
    passages: Sequence[Any]
    language: Any
    today: str

    @property
    def evidence(self) -> tuple[list[str], bool]:
        """The sentences that could be chosen, and whether they are lines of a tool's result."""
        found, pending = gather(self.messages, self.passages)
        return [row.text for row in found], pending


def is_decided(raw: Raw) -> bool:
    """Whether a row is a dataset's, which carries all that was served."""
    return {"passages", "language", "today", "point"} <= set(raw)


def read_out(given: Given, completion: Raw, *, good: bool = True) -> list[Answered]:
    """What a base of ours learns of a completion: the reply where it is written at all, and what the request is for.

    That a call was rejected does not say that the request was for another tool; that an answer of several sentences was
    does not say which of them is wrong.
    """
    written, chosen = _written(given, completion), _chosen(given, completion)
    if not good:
        chosen = [] if written else chosen
        if len(chosen) > 1:
            raise Unsayable
    found = [*([written] if written else []), *chosen]
    if not found:
        raise Unsayable
    return found


def read_pair(given: Given, chosen: Raw, rejected: Raw) -> tuple[str, Pieces, Pieces]:
    """Two replies to one prompt; Unsayable where they are told apart by what stands before the request."""
    better, worse = _written(given, chosen), _written(given, rejected)
    if better is None or worse is None:
        raise Unsayable
    return better[0], better[1], worse[1]


def numbered(tokenizer: Any, given: Given, completion: Raw, end: str) -> Answered:
    """The turn of a checkpoint from elsewhere."""
    sentences, _ = given.evidence
    prompt = agent_turn(tokenizer, given.messages, given.tools, sentences, given.language, given.today)
    if function := _function(completion):
        name, args = function
        said = question_text(args["about"], args["question"]) if name == ASK_USER else call_text(name, args)
    elif completion.get("abstained"):
        said = choice_text(0, sentences)
    else:
        said = choice_text(sentences.index(_sentence(completion, sentences)) + 1, sentences)
    return prompt, [(said, True), (end, True)]


def _written(given: Given, completion: Raw) -> Answered | None:
    """What is written after the conversation: a call, a question, or a told line; None for a chosen sentence."""
    turns = turns_of(given.messages)
    if function := _function(completion):
        name, args = function
        if name == ASK_USER:
            return render(turns), [(asking(args["about"]), False), (spaced(args["question"]), True), (EOT, True)]
        schema = _tool(given, name)["parameters"]
        texts = [turn.content for turn in turns if turn.role != "assistant"]
        if not all(_sayable(spec, args.get(argument), texts) for argument, spec in property_of(schema)):
            raise Unsayable
        pieces = filled(name, list(schema.get("properties", {})), args)
        # The name is chosen, not written, but its likelihood counts; the end comes by itself after the last line.
        return render(turns), [*((text, own or at == 0) for at, (text, own) in enumerate(pieces)), (EOT, False)]
    lines, pending = given.evidence
    return (render(turns), [(spaced(_sentence(completion, lines)), True), (EOT, True)]) if pending else None


def _sayable(spec: Mapping[str, Any], value: Any, texts: Sequence[str]) -> bool:
    """Whether the decoder could fill that in at all: it copies words, and chooses among what can stand there."""
    if value is None:
        return True
    found = choices(spec, texts)
    if found is not None:
        return value in found
    return any(" ".join(str(value).split()) in " ".join(text.split()) for text in texts)


def _chosen(given: Given, completion: Raw) -> list[Answered]:
    """The request after all that it is for: a tool's purpose, sentences, or nothing. None where a result is told."""
    sentences, pending = given.evidence
    if pending:
        return []
    if function := _function(completion):
        name, args = function
        wanted = str(args["about"]).partition(".")[0] if name == ASK_USER else name
        before = [lead(purpose(_tool(given, wanted)), tool=True)]
    elif completion.get("abstained"):
        before = [lead("")]
    else:
        before = [lead(sentence) for sentence in _sentences(completion, sentences)]
    request = asked(request_of(turns_of(given.messages))).removesuffix(EOT)
    return [(read, [(request, True), (EOT, True)]) for read in before]


def _function(completion: Raw) -> tuple[str, dict[str, Any]] | None:
    calls = completion.get("tool_calls") or []
    return (calls[0]["function"]["name"], dict(calls[0]["function"]["arguments"])) if calls else None


def _tool(given: Given, name: str) -> ToolSpec:
    found = next((tool for tool in given.tools if tool["name"] == name), None)
    if found is None:
        raise Unsayable
    return found


def _sentences(completion: Raw, sentences: Sequence[str]) -> list[str]:
    """The sentences that a reply repeats, each with its number; Unsayable for any other words.

    Who takes one of several sentences out of an answer leaves the others: those are what the request is for.
    """
    content = " ".join(str(completion["content"]).split())
    cited = [
        (str(quote), " ".join(f"{quote} [{n}]".split())) for n, quote in enumerate(completion.get("cited") or [], 1)
    ]
    kept = [(quote, repeated) for quote, repeated in cited if repeated in content]
    quotes = [quote for quote, _ in kept]
    if not kept or not set(quotes) <= set(sentences) or content != " ".join(repeated for _, repeated in kept):
        raise Unsayable
    return quotes


def _sentence(completion: Raw, sentences: Sequence[str]) -> str:
    """The one sentence that a reply repeats; Unsayable for several."""
    cited = _sentences(completion, sentences)
    if len(cited) > 1:
        raise Unsayable
    return cited[0]


__all__ = ["Answered", "Given", "Pieces", "Raw", "Unsayable", "is_decided", "numbered", "read_out", "read_pair"]
