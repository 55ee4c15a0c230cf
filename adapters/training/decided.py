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


def read_out(given: Given, completion: Raw) -> list[Answered]:
    """What a base of ours learns of a good completion: the reply itself first, where it is written at all."""
    choice = _chosen(given, completion)
    written = _written(given, completion)
    found = [*([written] if written else []), *([choice] if choice else [])]
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


def _chosen(given: Given, completion: Raw) -> Answered | None:
    """The request after what it is for: a tool's purpose, a sentence, or nothing. None where a result is told."""
    sentences, pending = given.evidence
    if pending:
        return None
    if function := _function(completion):
        name, args = function
        wanted = str(args["about"]).partition(".")[0] if name == ASK_USER else name
        before = lead(purpose(_tool(given, wanted)), tool=True)
    else:
        before = lead("" if completion.get("abstained") else _sentence(completion, sentences))
    request = asked(request_of(turns_of(given.messages))).removesuffix(EOT)
    return before, [(request, True), (EOT, True)]


def _function(completion: Raw) -> tuple[str, dict[str, Any]] | None:
    calls = completion.get("tool_calls") or []
    return (calls[0]["function"]["name"], dict(calls[0]["function"]["arguments"])) if calls else None


def _tool(given: Given, name: str) -> ToolSpec:
    found = next((tool for tool in given.tools if tool["name"] == name), None)
    if found is None:
        raise Unsayable
    return found


def _sentence(completion: Raw, sentences: Sequence[str]) -> str:
    """The one sentence that a reply repeats with its number; Unsayable for any other words."""
    cited = completion.get("cited") or []
    if len(cited) != 1 or cited[0] not in sentences:
        raise Unsayable
    if " ".join(str(completion["content"]).split()) != " ".join(f"{cited[0]} [1]".split()):
        raise Unsayable
    return str(cited[0])


__all__ = ["Answered", "Given", "Pieces", "Raw", "Unsayable", "is_decided", "numbered", "read_out", "read_pair"]
