"""One training or test example: a prompt's parts and what the assistant should write. Knows no tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from adapters.prompt import Turn, call_text, choice_text, question_text, render
from state import JSON, Language, ToolSpec

Kind = Literal["call", "ask", "choose", "abstain"]


@dataclass(frozen=True)
class Example:
    """A decision of the model: everything it sees, and the answer.

    ``slice`` names what an evaluation counts it under. ``evidence`` is what is numbered in the prompt.
    """

    kind: Kind
    slice: str
    language: Language
    today: str
    turns: list[Turn]
    tools: list[ToolSpec]
    evidence: list[str]
    name: str = ""
    arguments: dict[str, JSON] = field(default_factory=dict)
    about: str = ""
    question: str = ""
    n: int = 0

    def prompt(self) -> str:
        """The rendered prompt."""
        return render(self.turns, self.tools, self.evidence, self.language, self.today)

    def target(self) -> str:
        """What the assistant should write, without the stop token."""
        if self.kind == "call":
            return call_text(self.name, self.arguments)
        if self.kind == "ask":
            return question_text(self.about, self.question)
        return choice_text(self.n, self.evidence)


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
