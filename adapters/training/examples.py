"""One training or test example: a prompt's parts and what the assistant should do. Knows no tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from adapters.prompt import Turn, asking, filled, purpose, render, request_of, spaced
from state import JSON, Language, ToolSpec

Kind = Literal["call", "ask", "tell", "choose", "abstain"]


class Said(NamedTuple):
    """What the model says after a prompt, in pieces; True marks its own words, False what the decoder puts there."""

    prompt: str
    pieces: list[tuple[str, bool]]


class Choice(NamedTuple):
    """A request, what it may be for (the text, and whether it is a tool's purpose), and which it is; 0 for none."""

    request: str
    candidates: list[tuple[str, bool]]
    right: int


class Alike(NamedTuple):
    """A request, what it may be for (purposes of tools, sentences), and which it is; 0 for nothing.

    ``source`` and ``group`` say what it is about: candidates of other requests of the same source are wrong, too,
    unless they are of that group, or of one of ``also``; "" is like no other. ``told``: the groups of its candidates.
    Without a source only its own candidates count.
    """

    request: str
    candidates: list[str]
    right: int
    source: str | None = None
    group: str = ""
    told: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """A decision of the model: everything it sees, and what is right.

    ``slice`` names what an evaluation counts it under. ``evidence`` are the sentences that were found, or the lines
    of a tool's result (kind "tell"); ``n`` counts them from 1.
    """

    kind: Kind
    slice: str
    language: Language
    turns: list[Turn]
    tools: list[ToolSpec]
    evidence: list[str]
    name: str = ""
    arguments: dict[str, JSON] = field(default_factory=dict)
    about: str = ""
    question: str = ""
    n: int = 0
    group: str = ""
    """What a question is about, where others may be about the same."""
    told: list[str] = field(default_factory=list)
    """What each sentence is about, in the same words; empty where nobody says."""
    also: tuple[str, ...] = ()
    """What else answers it, in the same words."""

    def wanted(self) -> ToolSpec | None:
        """The tool that is wanted, None for a question."""
        name = self.name or self.about.partition(".")[0]
        return next((tool for tool in self.tools if tool["name"] == name), None)

    def choice(self) -> Choice:
        """What the request is for: one of the tools, one of the sentences, or nothing."""
        tool = self.wanted()
        candidates = [(purpose(t), True) for t in self.tools] + [(line, False) for line in self.evidence]
        right = self.tools.index(tool) + 1 if tool else len(self.tools) + self.n if self.n else 0
        return Choice(request_of(self.turns), candidates, right)

    def alike(self) -> Alike:
        """The question and its sentences."""
        told = tuple(self.told) or tuple(self.group if i + 1 == self.n else "" for i in range(len(self.evidence)))
        return Alike(request_of(self.turns), list(self.evidence), self.n, self.slice, self.group, told, self.also)

    def said(self) -> list[Said]:
        """What the assistant writes: the call (with what is not given left open), the question, or the told line."""
        prompt = render(self.turns)
        if self.kind == "tell":
            return [Said(prompt, [(spaced(self.evidence[self.n - 1]), True)])]
        tool = self.wanted()
        if tool is None:
            return []
        written = Said(prompt, filled(tool["name"], list(tool["parameters"]["properties"]), self.arguments))
        if self.kind == "call":
            return [written]
        return [written, Said(prompt, [(asking(self.about), False), (spaced(self.question), True)])]


def tool(name: str, description: str, arguments: str) -> ToolSpec:
    """A tool from a compact line such as ``"hotel, check_in: date, room?: standard|deluxe"``."""
    properties: dict[str, JSON] = {}
    required: list[str] = []
    for part in arguments.split(", "):
        key, _, kind = part.partition(": ")
        optional = key.endswith("?")
        key = key.rstrip("?")
        schema: dict[str, JSON] = {"type": "string"}
        if kind == "int":
            schema = {"type": "integer"}
        elif kind == "date":
            schema = {"type": "string", "format": "date"}
        elif "|" in kind:
            schema = {"type": "string", "enum": kind.split("|")}
        properties[key] = schema
        if not optional:
            required.append(key)
    return ToolSpec(
        name=name,
        description=description,
        parameters={"type": "object", "properties": properties, "required": required},
        schema_version="",
        effect_class="write",
        recovery="at_most_once",
        reversible=False,
    )
