"""The explicit list of types that a session file may hold, and their JSON forms. No pickle, no import by name.

Plain JSON values stand for themselves; everything else is ``{"$": tag, …}``, where the tag is looked up in a table
that is written out here, so that a file can name no class. An unknown type raises UnknownType before anything is
written. ``{"$": [offset, n]}`` is a reference to a body stored elsewhere in the log (see ``weave``).
"""

from __future__ import annotations

import base64
import marshal
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from langchain_core.documents import Document
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
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy

from checkpoints.errors import UnknownType

Node = Any
"""An encoded value: plain JSON."""

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
MAX_DEPTH = 100
"""Containers inside containers; the JSON library stops at 254 and tags cost levels of their own."""

_MISSING = object()


def _defaults(cls: type[BaseMessage]) -> dict[str, Any]:
    found = {}
    for name, field in cls.model_fields.items():
        if not field.is_required():
            found[name] = field.get_default(call_default_factory=True)
        elif field.default_factory is None and name in ("additional_kwargs", "response_metadata"):
            found[name] = {}
    return found


_DEFAULTS: dict[str, dict[str, Any]] = {tag: _defaults(cls) for tag, cls in MESSAGES.items()}
FACTORIES: dict[str, list[tuple[str, type]]] = {
    tag: [(k, type(v)) for k, v in fields.items() if isinstance(v, (dict, list))] for tag, fields in _DEFAULTS.items()
}
TEMPLATES = {tag: {name: _DEFAULTS[tag].get(name) for name in cls.model_fields} for tag, cls in MESSAGES.items()}
FIELDS = {tag: set(cls.model_fields) for tag, cls in MESSAGES.items()}
"""All fields count as set. Messages of a class share the set: assigning a field adds what is there already."""
_set = object.__setattr__


def build_message(tag: str, fields: dict[str, Any], extra: dict[str, Any] | None) -> BaseMessage:
    """A message from its stored fields, without pydantic's validation: they were validated when it was first made.

    ``fields`` becomes the message's own ``__dict__``.
    """
    cls = MESSAGES[tag]
    message = cls.__new__(cls)
    _set(message, "__dict__", fields)
    _set(message, "__pydantic_fields_set__", FIELDS[tag])
    _set(message, "__pydantic_extra__", extra if extra is not None else {})
    _set(message, "__pydantic_private__", None)
    return message


@dataclass(frozen=True, slots=True)
class Opaque:
    """What somebody else's serializer made of a value: ``(type, data)``, stored as it is."""

    type: str
    data: bytes


class Bodies(Protocol):
    """Where an encoder may leave a part that others can share; returns a reference node."""

    def text(self, text: str) -> Node:
        """The reference to a long text."""
        ...

    def message(self, message: BaseMessage) -> Node:
        """The reference to a message."""
        ...


LONG = 64
"""Texts of this many characters or more are stored once in a thread."""


class Encoder:
    """Turns values into nodes. With ``bodies``, long texts and messages become references."""

    def __init__(self, bodies: Bodies | None = None) -> None:
        self.bodies = bodies

    def encode(self, value: Any, depth: int = 0) -> Node:
        """The node of a value; UnknownType for anything that is not on the list."""
        kind = type(value)
        if kind is str:
            return self._text(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else {"$": "int", "v": str(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        if depth > MAX_DEPTH:
            raise UnknownType(f"a value is nested more than {MAX_DEPTH} levels deep; flatten it")
        if kind is list:
            return [self.encode(v, depth + 1) for v in value]
        if kind is dict:
            return self._dict(value, depth)
        if kind in MESSAGE_TAGS:
            return self.bodies.message(value) if self.bodies else self.message(value, depth)
        return self._tagged(value, kind, depth)

    def _text(self, text: str) -> Node:
        if self.bodies is not None and len(text) >= LONG:
            return self.bodies.text(text)
        return plain_text(text)

    def _dict(self, value: dict[Any, Any], depth: int) -> Node:
        if "$" not in value and all(type(k) is str and (k.isascii() or _is_text(k)) for k in value):
            return {k: self.encode(v, depth + 1) for k, v in value.items()}
        pairs = [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]
        return {"$": "dict", "v": pairs}

    def message(self, message: BaseMessage, depth: int = 0) -> Node:
        """A message without the fields that have their default value."""
        tag = MESSAGE_TAGS[type(message)]
        if message.__pydantic_private__:
            raise UnknownType(f"a {type(message).__name__} with private attributes cannot be stored")
        defaults = _DEFAULTS[tag]
        node: dict[str, Node] = {"$": tag}
        for name, value in message.__dict__.items():
            default = defaults.get(name, _MISSING)
            if type(value) is not type(default) or value != default:
                node[name] = self.encode(value, depth + 1)
        if message.__pydantic_extra__:
            node["$extra"] = self.encode(message.__pydantic_extra__, depth + 1)
        return node

    def _tagged(self, value: Any, kind: type, depth: int) -> Node:
        deeper = depth + 1
        if kind in _SEQUENCES:
            return {"$": _SEQUENCES[kind], "v": [self.encode(v, deeper) for v in value]}
        if kind is deque:
            return {"$": "deque", "v": [self.encode(v, deeper) for v in value], "maxlen": value.maxlen}
        if kind in _LEAVES:
            return {"$": _LEAVES[kind][0], "v": _LEAVES[kind][1](value)}
        if kind is datetime or kind is time:
            return _moment(value)
        if kind in _OBJECTS:
            tag, names = _OBJECTS[kind]
            found = {n: getattr(value, n) for n in names}
            return {"$": tag, **{n: self.encode(v, deeper) for n, v in found.items() if v is not None}}
        if isinstance(value, BaseException):  # LangGraph stores a failed node's exception; only its text survives
            return self._text(repr(value))
        raise UnknownType(
            f"values of type {kind.__module__}.{kind.__qualname__} cannot be stored: "
            "use plain JSON types or LangChain messages (docs/checkpoint-format.md lists all)"
        )


def plain_text(text: str) -> Node:
    """A str that JSON can hold as it is, else its UTF-8 with lone surrogates in base64."""
    if text.isascii() or _is_text(text):
        return text
    return {"$": "str", "v": base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _moment(value: datetime | time) -> Node:
    node: dict[str, Node] = {"$": "datetime" if isinstance(value, datetime) else "time", "v": value.isoformat()}
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo):
        if zone.key is None:
            raise UnknownType("a time zone without a name cannot be stored")
        node["v"] = value.replace(tzinfo=None).isoformat()
        node["zone"] = zone.key
    if value.fold:
        node["fold"] = 1
    return node


_SEQUENCES: dict[type, str] = {tuple: "tuple", set: "set", frozenset: "frozenset"}
_LEAVES: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
    date: ("date", date.isoformat),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    UUID: ("uuid", str),
    Decimal: ("decimal", str),
}
_OBJECTS: dict[type, tuple[str, tuple[str, ...]]] = {
    Interrupt: ("interrupt", ("value", "id", "response_schema")),
    Send: ("send", ("node", "arg", "timeout")),
    TimeoutPolicy: ("timeout", ("run_timeout", "idle_timeout", "refresh_on")),
    Overwrite: ("overwrite", ("value",)),
    Command: ("command", ("graph", "update", "resume", "goto")),
    _DeltaSnapshot: ("delta", ("value",)),
    Opaque: ("opaque", ("type", "data")),
    Document: ("document", ("id", "page_content", "metadata")),
}


class Source(Protocol):
    """Where a decoder finds what references lead to; ``view.View`` is one."""

    def body(self, offset: int, n: int) -> Node:
        """The node behind a reference, with list differences resolved."""
        ...

    def bodies(self, offset: int) -> list[Node]:
        """All bodies of a record, as they are."""
        ...


class _Nothing:
    def body(self, offset: int, n: int) -> Node:
        raise ValueError("a reference where none can be")

    def bodies(self, offset: int) -> list[Node]:
        raise ValueError("a reference where none can be")


class Decoder:
    """Turns nodes back into fresh values."""

    def __init__(self, source: Source | None = None) -> None:
        self.source = source or _Nothing()

    def decode(self, node: Node, at: int = 0) -> Any:
        """The value of a node that stands in the record at offset ``at``; ValueError for a node it cannot read."""
        kind = type(node)
        if kind is dict:
            tag = node.get("$", _MISSING)
            if tag is _MISSING:
                return {k: self.decode(v, at) for k, v in node.items()}
            if type(tag) is list:
                return self._referred(tag, at)
            if tag in MESSAGES:
                return self._message(tag, node, at)
            return self._tagged(tag, node, at)
        return self._list(node, at) if kind is list else node

    def _list(self, nodes: list[Node], at: int) -> list[Any]:
        """A list's items. Most long lists are references to messages: these are followed here, without more calls."""
        made = []
        last, bodies = -1, list[Node]()
        for node in nodes:
            here, found = at, node
            if type(node) is dict and type(ref := node.get("$")) is list:
                if (here := ref[0] or at) != last:
                    last, bodies = here, self.source.bodies(here)
                found = bodies[ref[1]]
            if type(found) is dict and type(tag := found.get("$")) is str and tag in MESSAGES:
                made.append(self._message(tag, found, here, bodies if here == last else None))
            else:
                made.append(self.decode(node, at))
        return made

    def _message(self, tag: str, node: dict[str, Node], at: int, bodies: list[Node] | None = None) -> BaseMessage:
        """The message in a node of the record at ``at``, whose bodies, where they are at hand, are ``bodies``."""
        names = FIELDS[tag]
        fields = {**TEMPLATES[tag], **node}
        del fields["$"]
        for name, make in FACTORIES[tag]:
            if name not in node:
                fields[name] = make()
        extra: dict[str, Any] = {}
        for name, value in node.items():
            if name in names:
                if type(value) is not str:
                    fields[name] = self._field(value, at, bodies)
            elif name != "$":
                del fields[name]
                # "$extra", or a field that this LangChain no longer has
                extra |= self.decode(value, at) if name == "$extra" else {name: self.decode(value, at)}
        return build_message(tag, fields, extra)

    def _field(self, node: Node, at: int, bodies: list[Node] | None) -> Any:
        if type(node) is dict and type(ref := node.get("$")) is list:
            if bodies is not None and (ref[0] or at) == at and type(text := bodies[ref[1]]) is str:
                return text
            return self._referred(ref, at)
        return self.decode(node, at)

    def _referred(self, ref: list[int], at: int) -> Any:
        offset = ref[0] or at
        node = self.source.body(offset, ref[1])
        return node if type(node) is str else self.decode(node, offset)

    def _tagged(self, tag: str, node: dict[str, Node], at: int) -> Any:
        value = node.get("v")
        if tag in _MAKE_LEAF:
            return _MAKE_LEAF[tag](value)
        if tag in _MAKE_SEQUENCE:
            return _MAKE_SEQUENCE[tag](self.decode(v, at) for v in node["v"])
        if tag == "deque":
            return deque((self.decode(v, at) for v in node["v"]), node["maxlen"])
        if tag == "dict":
            return {self.decode(k, at): self.decode(v, at) for k, v in node["v"]}
        if tag in ("datetime", "time"):
            return _make_moment(tag, node)
        if tag in _MAKE_OBJECT:
            return _MAKE_OBJECT[tag]({k: self.decode(v, at) for k, v in node.items() if k != "$"})
        raise ValueError(f"unknown tag {tag!r}")


def _make_moment(tag: str, node: dict[str, Node]) -> datetime | time:
    value = datetime.fromisoformat(node["v"]) if tag == "datetime" else time.fromisoformat(node["v"])
    if "zone" in node:
        value = value.replace(tzinfo=ZoneInfo(node["zone"]))
    return value.replace(fold=1) if node.get("fold") else value


_MAKE_LEAF: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "str": lambda v: base64.b64decode(v).decode("utf-8", "surrogatepass"),
    "bytes": base64.b64decode,
    "date": date.fromisoformat,
    "timedelta": lambda v: timedelta(*v),
    "uuid": UUID,
    "decimal": Decimal,
}
_MAKE_SEQUENCE: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_MAKE_OBJECT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "interrupt": lambda f: Interrupt(f.get("value"), id=f["id"], response_schema=f.get("response_schema")),
    "send": lambda f: Send(f["node"], f.get("arg"), timeout=f.get("timeout")),
    "timeout": lambda f: TimeoutPolicy(**f),
    "overwrite": lambda f: Overwrite(f.get("value")),
    "command": lambda f: Command(
        graph=f.get("graph"), update=f.get("update"), resume=f.get("resume"), goto=f.get("goto", ())
    ),
    "delta": lambda f: _DeltaSnapshot(f.get("value")),
    "opaque": lambda f: Opaque(**f),
    "document": lambda f: Document(**f),
}


# Frozen values: what a saver remembers of a value that it has seen, to recognise it and to hand out fresh copies.
# They live in memory only. ``marshal`` is the fastest exact copy of plain values there is; it never reads a file.


def freeze(value: Any) -> bytes:
    """Bytes that are equal for equal values of equal types. Only for values that the Encoder takes."""
    tag = MESSAGE_TAGS.get(type(value))
    try:
        if tag is None:
            return b"P" + marshal.dumps(value, 2)
        return b"M" + marshal.dumps((tag, value.__dict__, value.__pydantic_extra__), 2)
    except ValueError:
        return b"J" + orjson.dumps(Encoder().encode(value))


def thaw(frozen: bytes) -> Any:
    """A fresh copy of a frozen value."""
    if frozen[:1] == b"M":
        return build_message(*marshal.loads(memoryview(frozen)[1:]))
    if frozen[:1] == b"P":
        return marshal.loads(memoryview(frozen)[1:])
    return Decoder().decode(orjson.loads(memoryview(frozen)[1:]))


class StrictSerializer:
    """The same allow-list as a LangGraph serializer (``SerializerProtocol``)."""

    TYPE = "dojang-json"

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """UnknownType for anything that is not on the list."""
        return self.TYPE, orjson.dumps(Encoder().encode(obj))

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """ValueError for anything that ``dumps_typed`` did not write."""
        if data[0] != self.TYPE:
            raise ValueError(f"unknown serialization type {data[0]!r}")
        return Decoder().decode(orjson.loads(data[1]))
