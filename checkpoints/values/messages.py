"""LangChain's messages: which there are, what their fields are, and how they are made of fields many at a time.

Made without pydantic's validation: their fields were validated when the messages were first made. A thousand messages
are made by a few loops in C, because a turn of a long conversation makes all of its messages anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import compress, count, repeat
from operator import is_, itemgetter
from typing import Any, NamedTuple

import orjson
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from pydantic import BaseModel

MESSAGES: dict[str, type[BaseMessage]] = {
    "human": HumanMessage,
    "human_chunk": HumanMessageChunk,
    "ai": AIMessage,
    "ai_chunk": AIMessageChunk,
    "system": SystemMessage,
    "system_chunk": SystemMessageChunk,
    "tool": ToolMessage,
    "tool_chunk": ToolMessageChunk,
    "chat": ChatMessage,
    "chat_chunk": ChatMessageChunk,
    "function": FunctionMessage,
    "function_chunk": FunctionMessageChunk,
    "remove": RemoveMessage,
}
MESSAGE_TAGS: dict[type, str] = {cls: tag for tag, cls in MESSAGES.items()}


def _defaults(cls: type[BaseMessage]) -> dict[str, Any]:
    found = {}
    for name, field in cls.model_fields.items():
        if not field.is_required():
            found[name] = field.get_default(call_default_factory=True)
        elif field.default_factory is None and name in ("additional_kwargs", "response_metadata"):
            found[name] = {}
    return found


DEFAULTS: dict[str, dict[str, Any]] = {tag: _defaults(cls) for tag, cls in MESSAGES.items()}
FACTORIES: dict[str, list[tuple[str, type]]] = {
    tag: [(k, type(v)) for k, v in fields.items() if isinstance(v, (dict, list))] for tag, fields in DEFAULTS.items()
}
TEMPLATES = {tag: {name: DEFAULTS[tag].get(name) for name in cls.model_fields} for tag, cls in MESSAGES.items()}
FIELDS = {tag: set(cls.model_fields) for tag, cls in MESSAGES.items()}
"""All fields count as set. Messages of a class share the set: assigning a field adds what is there already."""

Fields = dict[str, Any]
"""A message's fields by name, in the order of its class."""

EMPTY: dict[type, Any] = {dict: {}, list: []}
"""Stand for empty containers in a shot; never handed out."""

_set_fields, _set_names, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)
"""What pydantic's ``__setattr__`` would stand in the way of."""


class Shape(NamedTuple):
    """What one class of messages looks like when all of its fields are texts, None and empty containers: a *shot*."""

    containers: dict[str, type]  # the fields that hold containers, which shots have as ``EMPTY``
    names: set[str]
    plain: frozenset[str]  # members of a stored message that make it a shot, if their values are texts
    template: Fields  # a shot with every default


SHAPES: dict[type, Shape] = {
    cls: Shape(
        dict(FACTORIES[tag]),
        FIELDS[tag],
        frozenset(FIELDS[tag] - dict(FACTORIES[tag]).keys() | {"$"}),
        {**TEMPLATES[tag], **{name: EMPTY[make] for name, make in FACTORIES[tag]}},
    )
    for cls, tag in MESSAGE_TAGS.items()
}


_REST = {cls: itemgetter(*sorted(shape.names - {"content"})) for cls, shape in SHAPES.items()}


def rest_of(messages: Iterable[BaseMessage]) -> bytes:
    """JSON of all fields but ``content`` of these messages, by which 1, 1.0 and True differ.

    Raises:
        TypeError: there is something in them that JSON cannot tell from something else.
        KeyError: a field is missing.
    """
    return orjson.dumps([_REST[type(m)](m.__dict__) for m in messages], option=_EXACT)


_EXACT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def shot_of(message: BaseMessage) -> Fields | None:
    """A message's fields as a shot, which shares nothing that can be changed; None if they are no shot."""
    shape = SHAPES[type(message)]
    fields = message.__dict__
    if message.__pydantic_extra__ or len(fields) != len(shape.names):
        return None
    shot = {}
    for name, value in fields.items():
        kind = type(value)
        if kind is str or value is None:
            if name in shape.containers:
                return None
            shot[name] = value
        elif not value and shape.containers.get(name) is kind:
            shot[name] = EMPTY[kind]
        else:
            return None
    return shot if shape.names.issuperset(shot) else None


def build_message(tag: str, fields: Fields, extra: dict[str, Any] | None) -> BaseMessage:
    """One message; ``fields`` becomes its own ``__dict__``."""
    cls = MESSAGES[tag]
    message = cls.__new__(cls)
    _set_fields(message, fields)
    _set_names(message, FIELDS[tag])
    _set_extra(message, extra if extra is not None else {})
    _set_private(message, None)
    return message


class Made(NamedTuple):
    """Messages that were just made, and everything in them that can be changed."""

    messages: list[BaseMessage]
    fields: list[Fields]  # of each message, in the same order: its ``__dict__``
    parts: list[Any]  # the containers in the fields of all, in no order
    extras: list[dict[str, Any]]  # what each has beyond its fields: nothing; in no order


def build(kinds: list[type], shots: list[Fields]) -> Made:
    """Fresh messages of these classes from their shots."""
    fields = list(map(dict.copy, shots))
    if len(set(kinds)) == 1:
        return made_of(kinds[0], fields)
    made = Made([None] * len(kinds), fields, [], [])  # type: ignore[list-item]
    for kind in set(kinds):
        at = list(compress(count(), map(is_, kinds, repeat(kind))))
        part = made_of(kind, [fields[i] for i in at])
        for i, message in zip(at, part.messages, strict=True):
            made.messages[i] = message
        made.parts.extend(part.parts)
        made.extras.extend(part.extras)
    return made


def made_of(kind: type, fields: list[Fields]) -> Made:
    """Messages of one class, whose ``__dict__`` the fields become: shots that nobody else has."""
    shape = SHAPES[kind]
    made = Made(list(map(_new, repeat(kind, len(fields)))), fields, [], [{} for _ in fields])
    for name, make in shape.containers.items():
        parts: list[Any] = [{} for _ in fields] if make is dict else [[] for _ in fields]
        for own, part in zip(fields, parts):  # noqa: B905 - the hottest loop of all
            own[name] = part
        made.parts.extend(parts)
    _all(map(_set_fields, made.messages, fields))
    _all(map(_set_names, made.messages, repeat(shape.names)))
    _all(map(_set_extra, made.messages, made.extras))
    _all(map(_set_private, made.messages, repeat(None)))
    return made


_new = object.__new__


def _all(calls: Iterable[Any]) -> None:
    """Make every call of a lazy iterator."""
    deque(calls, maxlen=0)
