"""The explicit list of types that a session file may hold, and their JSON forms. No pickle, no import by name.

Plain JSON values stand for themselves; everything else is ``{"$": tag, …}``, where the tag is looked up in a table
that is written out here, so that a file can name no class. An unknown type raises UnknownType before anything is
written. ``{"$": [offset, n]}`` is a reference to a body stored elsewhere in the log (see ``refs``).
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
from itertools import chain, groupby, repeat
from operator import or_
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy

from checkpoints.errors import UnknownType
from checkpoints.values.messages import (
    DEFAULTS,
    FACTORIES,
    FIELDS,
    MESSAGE_TAGS,
    MESSAGES,
    SHAPES,
    TEMPLATES,
    Fields,
    Shape,
    build_message,
    made_of,
)
from checkpoints.values.refs import Listed, Node, is_ref

MAX_DEPTH = 100
"""Containers inside containers; the JSON library stops at 254 and tags cost levels of their own."""

_MISSING = object()


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
        if "$" not in value and all(type(k) is str and (k.isascii() or is_text(k)) for k in value):
            return {k: self.encode(v, depth + 1) for k, v in value.items()}
        pairs = [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]
        return {"$": "dict", "v": pairs}

    def message(self, message: BaseMessage, depth: int = 0) -> Node:
        """A message without the fields that have their default value."""
        tag = MESSAGE_TAGS[type(message)]
        if message.__pydantic_private__:
            raise UnknownType(f"a {type(message).__name__} with private attributes cannot be stored")
        defaults = DEFAULTS[tag]
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
    if text.isascii() or is_text(text):
        return text
    return {"$": "str", "v": base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()}


def is_text(text: str) -> bool:
    """Whether UTF-8, and so JSON, can hold it: it has no lone surrogates."""
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

    def body(self, offset: int, n: int) -> Node | Listed:
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


def _shots(shape: Shape, nodes: list[dict[str, Node]]) -> list[Fields]:
    fields = list(map(or_, repeat(shape.template), nodes))
    for shot in fields:
        del shot["$"]
    return fields


_MADE = frozenset((dict, list))
"""Nodes of these types do not stand for themselves."""

MANY = 4
"""Shorter lists are made item by item."""


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

    def members(self, nodes: dict[str, Node], at: int = 0) -> dict[str, Any]:
        """The values of nodes by name; most stand for themselves."""
        return {k: self.decode(v, at) if type(v) in _MADE else v for k, v in nodes.items()}

    def _list(self, nodes: list[Node], at: int) -> list[Any]:
        if len(nodes) < MANY or not all(map(is_ref, nodes)):
            return [self.decode(node, at) for node in nodes]
        refs = Listed([], [])
        refs.extend(nodes, at)
        return self._listed(refs)

    def _listed(self, refs: Listed) -> list[Any]:
        """The items of a list whose items are bodies. Messages of texts alone are made all at once."""
        found: list[Any] = []
        for offset, run in groupby(refs.at):
            start = len(found)
            found += map(self.source.bodies(offset).__getitem__, refs.n[start : start + len(list(run))])
        tags = [body.get("$") if type(body) is dict else None for body in found]
        tags = [tag if type(tag) is str and tag in MESSAGES else None for tag in tags]
        for tag in set(tags):
            places = [i for i, t in enumerate(tags) if t == tag]
            if tag is not None:
                made: list[Any] = self._messages(tag, [found[i] for i in places], [refs.at[i] for i in places])
            else:
                made = [self._referred([refs.at[i], refs.n[i]], 0) for i in places]
            for i, value in zip(places, made, strict=True):
                found[i] = value
        return found

    def _messages(self, tag: str, nodes: list[dict[str, Node]], at: list[int]) -> list[BaseMessage]:
        """Stored messages of one class, each of the record at its offset."""
        kind = MESSAGES[tag]
        shape = SHAPES[kind]
        if set(chain.from_iterable(nodes)) <= shape.plain:
            elsewhere = self._texts(nodes, at)
            types = list(map(type, chain.from_iterable(map(dict.values, nodes))))
            if types.count(str) + len(elsewhere) == len(types):
                shots = _shots(shape, nodes)
                for i, text in elsewhere:
                    shots[i]["content"] = text
                return made_of(kind, shots).messages
        return [self._message(tag, node, offset) for node, offset in zip(nodes, at, strict=True)]

    def _texts(self, nodes: list[dict[str, Node]], at: list[int]) -> list[tuple[int, str]]:
        """(place, text) of the contents that are references to texts."""
        found = []
        last, bodies = -1, list[Node]()
        for i, node in enumerate(nodes):
            if type(content := node.get("content")) is dict and is_ref(content):
                offset, n = content["$"]
                if (offset or at[i]) != last:
                    last = offset or at[i]
                    bodies = self.source.bodies(last)
                if type(text := bodies[n]) is str:
                    found.append((i, text))
        return found

    def _message(self, tag: str, node: dict[str, Node], at: int) -> BaseMessage:
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
                    fields[name] = self.decode(value, at)
            elif name != "$":
                del fields[name]
                # "$extra", or a field that this LangChain no longer has
                extra |= self.decode(value, at) if name == "$extra" else {name: self.decode(value, at)}
        return build_message(tag, fields, extra)

    def _referred(self, ref: list[int], at: int) -> Any:
        offset = ref[0] or at
        node = self.source.body(offset, ref[1])
        if type(node) is str:
            return node
        return self._listed(node) if isinstance(node, Listed) else self.decode(node, offset)

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
