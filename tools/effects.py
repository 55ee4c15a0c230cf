"""How a tool says what it does to the world: one decorator, and what is assumed where nothing is said.

A new tool is one function::

    @effect("write", recovery="transactional", reversible=True, ko="객실을 예약합니다.",
            will={"en": "Book {hotel}.", "ko": "{hotel}에 예약합니다."})
    def book_room(hotel: str, world: InWorld) -> dict[str, JSON]:
        '''Book a room.'''

A LangChain tool without a declaration counts as irreversible and without an idempotency key. What a foreign server
writes into a tool's metadata is never taken for a declaration: only an object made here is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import psycopg
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool

from state import JSON, BrokenInvariant, EffectClass, Language, Recovery, ToolSpec, UserError
from tools.schema import choices_of, parameters_of, schema_version, with_synonyms

METADATA_KEY = "dojang"
WORLD = "world"

Template = str | Callable[[Mapping[str, JSON]], str]
"""Text with ``{argument}`` in it, or a function of the arguments; one sentence that says what will happen."""
Telling = Callable[[Any], list[str]]
"""From a tool's result to lines of one sentence each."""
Probe = Callable[[Mapping[str, JSON], "World"], JSON]
"""Looks up whether the effect under ``world.key`` happened: its result, or None where it certainly did not.

Whatever it raises means that it could not tell. It changes nothing, and is asked only when the run that died is over.
"""


class World:
    """What a running tool may touch; given by the toolbox, never by the model.

    ``db`` is open in the transaction that also records the effect (or in a read-only one), so a tool neither commits
    nor opens connections of its own.
    """

    def __init__(
        self, *, key: str, today: date, outbox: Path | None = None, connection: psycopg.Connection | None = None
    ) -> None:
        self.key = key
        self.today = today
        self._outbox = outbox
        self._connection = connection

    @property
    def db(self) -> psycopg.Connection:
        """The database inside the effect's transaction."""
        if self._connection is None:
            raise BrokenInvariant("a tool asked for the database without recovery='transactional'; declare it so")
        return self._connection

    @property
    def outbox(self) -> Path:
        """Folder that takes one file for each message sent."""
        if self._outbox is None:
            raise UserError("no outbox folder is set, so no message can be sent; give Toolbox(outbox=…)")
        return self._outbox


InWorld = Annotated[World, InjectedToolArg]
"""Annotate a parameter named ``world`` with this to receive the `World`; it is no part of the tool's schema."""


class _OfPerson:
    """Marks the JSON schema of an argument. As ``json_schema_extra`` of a field LangChain would lose it on the way."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(core), "x-person": True}


Person = Annotated[str, _OfPerson()]
"""A person's name: ``guest: Person`` or ``Annotated[Person, Field(min_length=1)]``; datasets have others there."""


@dataclass(frozen=True)
class Declaration:
    """What a tool's author says of it."""

    effect_class: EffectClass = "irreversible"
    recovery: Recovery = "at_most_once"
    reversible: bool = False
    ko: str = ""
    """The description in Korean."""
    will: Mapping[Language, Template] = field(default_factory=dict)
    tells: Mapping[Language, Telling] = field(default_factory=dict)
    synonyms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By argument: another word for one of its choices. The gate reads it, and the model is told."""
    probe: Probe | None = None
    """For a tool whose effects are at most once: how to look up what became of one."""
    after: Mapping[str, str] = field(default_factory=dict)
    """Date argument → the date argument it follows, by a day or more: "5일" after 3 December is the 5th of December."""
    version: str = ""
    """What approvals are bound to, where name and schema do not say it all; "": they do."""
    origin: str = ""
    """Where a tool that is not ours runs, as ``mcp:NAME``; "": here."""
    trusted: bool = True
    """Whether what it says may stand beside the house's own documents."""


UNDECLARED = Declaration()


def effect(
    effect_class: EffectClass,
    *,
    recovery: Recovery | None = None,
    reversible: bool | None = None,
    ko: str = "",
    will: Mapping[Language, Template] | None = None,
    tells: Mapping[Language, Telling] | None = None,
    synonyms: Mapping[str, Mapping[str, str]] | None = None,
    after: Mapping[str, str] | None = None,
    probe: Probe | None = None,
) -> Callable[[Callable[..., Any] | BaseTool], BaseTool]:
    """Declare a function, or a LangChain tool that exists already, as a tool with this effect.

    Without ``recovery`` a read may be repeated and anything else is at most once; without ``reversible`` only a read
    counts as reversible.

    Raises:
        UserError: when the declaration contradicts itself.
    """
    declaration = Declaration(
        effect_class=effect_class,
        recovery=recovery or ("idempotent" if effect_class == "read" else "at_most_once"),
        reversible=effect_class == "read" if reversible is None else reversible,
        ko=ko,
        will=dict(will or {}),
        tells=dict(tells or {}),
        synonyms=dict(synonyms or {}),
        after=dict(after or {}),
        probe=probe,
    )

    def declare(subject: Callable[..., Any] | BaseTool) -> BaseTool:
        made = subject if isinstance(subject, BaseTool) else _tool_of(subject)
        _refuse_contradictions(made, declaration)
        return made.model_copy(update={"metadata": {**(made.metadata or {}), METADATA_KEY: declaration}})

    return declare


def declaration_of(tool: BaseTool) -> Declaration:
    """What was declared, or `UNDECLARED`."""
    declared = (tool.metadata or {}).get(METADATA_KEY)
    return declared if isinstance(declared, Declaration) else UNDECLARED


def wants_world(tool: BaseTool) -> bool:
    """Whether the tool's function has the ``world`` parameter."""
    function = getattr(tool, "func", None)
    return function is not None and WORLD in inspect.signature(function).parameters


def spec_of(tool: BaseTool) -> ToolSpec:
    """What the model and the gate are told of a tool."""
    declaration = declaration_of(tool)
    parameters = parameters_of(tool)
    spec = ToolSpec(
        name=tool.name,
        description=inspect.cleandoc(tool.description).split("\n\n", maxsplit=1)[0],
        parameters=with_synonyms(parameters, declaration.synonyms),
        schema_version=declaration.version or schema_version(tool.name, parameters),
        effect_class=declaration.effect_class,
        recovery=declaration.recovery,
        reversible=declaration.reversible,
    )
    if declaration.probe is not None:
        spec["probe"] = True
    if declaration.origin:
        spec["origin"] = declaration.origin
        spec["trust"] = "trusted" if declaration.trusted else "untrusted"
    return spec


def _tool_of(function: Callable[..., Any]) -> StructuredTool:
    if not inspect.getdoc(function):
        raise UserError(
            f"tool {function.__name__!r} has no docstring; the model reads it as the description, write one"
        )
    return StructuredTool.from_function(function)


def _refuse_contradictions(tool: BaseTool, declared: Declaration) -> None:
    if declared.probe is not None and declared.recovery != "at_most_once":
        raise UserError(f"tool {tool.name!r} has a probe, but is not at most once: nothing of it is ever in doubt")
    if declared.effect_class == "irreversible" and declared.reversible:
        raise UserError(f"tool {tool.name!r} is declared irreversible and reversible at once; choose one")
    if declared.effect_class != "read" and declared.recovery == "transactional" and not wants_world(tool):
        raise UserError(
            f"tool {tool.name!r} is declared transactional but has no parameter 'world: InWorld'; its change could not "
            "be committed together with the record of the effect"
        )
    parameters = parameters_of(tool) if declared.synonyms else {}
    for name, words in declared.synonyms.items():
        choices = choices_of(parameters, name)
        strange = [word for word, choice in words.items() if choice not in choices]
        if strange:
            raise UserError(
                f"tool {tool.name!r} has synonyms for argument {name!r} that mean none of its choices: "
                f"{', '.join(strange)}; its choices are {', '.join(map(str, choices)) or 'none'}"
            )
