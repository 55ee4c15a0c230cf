"""Writes a value as what is new in it. One ``Weave`` makes the nodes of one record.

Long texts, messages and larger values become *bodies*, stored once in a thread and recognised by content, because a
message reaches a saver up to three times (in the input, in a task's writes, in the channel). A list that grew is its
predecessor's reference and the items that came after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson
from langchain_core.messages import BaseMessage

from checkpoints.values.codec import Encoder, freeze, plain_text, thaw
from checkpoints.values.copies import Items
from checkpoints.values.messages import MESSAGE_TAGS
from checkpoints.values.refs import Node, Ref, absolute, is_ref, pack, refs_in

CHAIN_MIN = 32
CHAIN_PART = 8
"""A list is written as a list of references again after this many differences and that part of its length."""

SMALL = 48
"""JSON of fewer bytes is not worth a reference."""

LARGE = 96
"""Containers whose frozen form has this many bytes or more become bodies."""


@dataclass(slots=True)
class Seen:
    """What is remembered of a channel's value: enough to recognise it, to extend it and to hand out fresh copies."""

    node: Node
    frozen: bytes | Items
    depth: int = 0  # how many list differences lie between this list and its last full form
    refs: list[Ref] | None = None  # where a list's items are, if all of them are bodies
    new: int = 0  # how many of refs, at the end, may lie in the record that is being made

    def settle(self, offset: int) -> None:
        """The record that holds this value was written at ``offset``."""
        self.node = absolute(self.node, offset)
        if self.refs and self.new:
            self.refs[-self.new :] = [(o or offset, n) for o, n in self.refs[-self.new :]]
            self.new = 0

    def fresh(self) -> Any:
        """A fresh copy of the value."""
        return self.frozen.fresh() if isinstance(self.frozen, Items) else thaw(self.frozen)


class Weave:
    """Encodes the values of one record; ``bodies`` becomes its ``b``, ``added`` its contribution to what is known."""

    def __init__(self, known: dict[bytes, Ref]) -> None:
        self.bodies: list[Node] = []
        self.added: dict[bytes, int] = {}
        self._known = known
        self._encoder = Encoder(self)
        self._refs = 0

    # Bodies, as the encoder calls back

    def text(self, text: str) -> Node:
        """A reference to a long text."""
        return self._body(b"T" + text.encode("utf-8", "surrogatepass"), lambda: plain_text(text))

    def message(self, message: BaseMessage) -> Node:
        """A reference to a message."""
        return self._body(freeze(message), lambda: self._encoder.message(message))

    def _body(self, content: bytes, make: Callable[[], Node]) -> Node:
        key = blake2b(content, digest_size=16).digest()
        self._refs += 1
        if (ref := self._known.get(key)) is not None:
            return {"$": list(ref)}
        if (n := self.added.get(key)) is None:
            node = make()
            n = self.added[key] = len(self.bodies)
            self.bodies.append(node)
        return {"$": [0, n]}

    # values

    def value(self, value: Any) -> Node:
        """The node of a task's write."""
        if type(value) is list:
            return [self._item(v) for v in value]
        return self._whole(value, freeze(value))

    def channel(self, value: Any, old: Seen | None) -> Seen:
        """A channel's value: inline without references, or one reference. ``old`` is what the channel held before."""
        if type(value) is list and value:
            return self._list(value, old if old is not None and isinstance(old.frozen, Items) else None)
        frozen = freeze(value)
        if old is not None and old.frozen == frozen:
            return old
        return Seen(self._whole(value, frozen), frozen)

    def _item(self, value: Any) -> Node:
        """An element of a list or a record of a dict: a body when it is large."""
        node = self._encoder.encode(value)
        if type(value) in MESSAGE_TAGS or type(value) not in (list, dict, tuple):
            return node
        frozen = freeze(value)
        worth = len(frozen) >= LARGE and len(orjson.dumps(node)) >= SMALL
        return self._body(frozen, lambda: node) if worth else node

    def _whole(self, value: Any, frozen: bytes) -> Node:
        before = self._refs
        if type(value) is dict and "$" not in value and all(type(k) is str and k.isascii() for k in value):
            node: Node = {k: self._item(v) for k, v in value.items()}
        else:
            node = self._encoder.encode(value)
        if is_ref(node) or (self._refs == before and len(frozen) < LARGE):
            return node
        return self._body(b"V" + frozen, lambda: node)

    def _list(self, value: list[Any], old: Seen | None) -> Seen:
        before = old.frozen if old is not None and isinstance(old.frozen, Items) else Items([])
        keep = before.prefix(value)
        if old is not None and keep == len(before) == len(value):
            return old
        items = Items(value[keep:]).after(before, keep)
        if old is None or keep < 4 or 2 * keep < len(value) or not is_ref(old.node):
            nodes = [self._item(v) for v in value]
            return self._listed(nodes, items, 0, refs_in(nodes), len(nodes))
        add = [self._item(v) for v in value[keep:]]
        added = refs_in(add)
        refs = old.refs[:keep] + added if old.refs is not None and added is not None else None
        if refs is None or old.depth < CHAIN_MIN + keep // CHAIN_PART:
            difference = {"$": "list", "of": old.node["$"], "keep": keep, "add": add}
            return self._listed(difference, items, old.depth + 1, refs, len(add))
        return self._listed({"$": "list", **pack(refs[:keep]), "add": add}, items, 0, refs, len(add))

    def _listed(self, node: Node, items: Items, depth: int, refs: list[Ref] | None, new: int) -> Seen:
        self._refs += 1
        self.bodies.append(node)
        return Seen({"$": [0, len(self.bodies) - 1]}, items, depth, refs, new)
