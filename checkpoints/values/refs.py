"""References between records, as JSON nodes: ``{"$": [offset, n]}`` is body ``n`` of the record at byte ``offset``.

Offset 0 means the record in which the reference stands. Knows nothing of what bodies hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

Node = Any
"""An encoded value: plain JSON."""

Ref = tuple[int, int]
"""(offset of a record, position in its ``b``)."""


@dataclass(slots=True)
class Listed:
    """A list whose items are all bodies: where each is. A thousand of these take two short lists, no dicts."""

    at: list[int]
    n: list[int]

    def __len__(self) -> int:
        return len(self.at)

    def __iter__(self) -> Iterator[Ref]:
        return zip(self.at, self.n, strict=True)

    def nodes(self) -> list[Node]:
        """The items as reference nodes."""
        return [{"$": [offset, n]} for offset, n in self]

    def cut(self, keep: int) -> None:
        """Forget what comes after the first ``keep``."""
        del self.at[keep:], self.n[keep:]

    def extend(self, nodes: list[Node], offset: int) -> None:
        """More items: reference nodes of the record at ``offset``."""
        self.at += [node["$"][0] or offset for node in nodes]
        self.n += [node["$"][1] for node in nodes]


@dataclass(frozen=True, slots=True)
class Moved:
    """Where bodies are after a file was written anew."""

    old_gen: str
    new_gen: str
    kept: int  # what lay before this offset is where it was
    bodies: dict[Ref, Ref]  # of those after it, the ones that are still bodies
    depths: dict[Ref, int]  # (before) lists that are fewer differences away from a full one now

    def ref(self, ref: Ref) -> Ref | None:
        """Where a body is now; None if it is no body any more."""
        return ref if ref[0] < self.kept else self.bodies.get(ref)


def is_ref(node: Node) -> bool:
    """Whether a node is a reference and nothing else."""
    return type(node) is dict and type(node.get("$")) is list


def refs_in(nodes: list[Node]) -> list[Ref] | None:
    """The references that the nodes are, or None if any is something else."""
    return [(n["$"][0], n["$"][1]) for n in nodes] if all(map(is_ref, nodes)) else None


def pack(refs: Iterable[Ref]) -> dict[str, list[int]]:
    """References as two short lists: each offset less the one before it, and the positions."""
    pairs = list(refs)
    offsets = [o for o, _ in pairs]
    return {"at": [b - a for a, b in zip([0, *offsets], offsets, strict=False)], "n": [n for _, n in pairs]}


def unpack(node: dict[str, Any]) -> Listed:
    """What ``pack`` packed."""
    if len(node["at"]) != len(node["n"]):
        raise ValueError("a list has more offsets than positions, or fewer")
    return Listed(list(accumulate(node["at"])), list(node["n"]))


def absolute(node: Node, offset: int) -> Node:
    """A channel's node as other records may hold it: a reference into "this record" gets the record's offset."""
    if is_ref(node) and node["$"][0] == 0:
        return {"$": [offset, node["$"][1]]}
    return node


def placed(node: Node, offset: int) -> Node:
    """A node with its own-record references made absolute, so that it can move between records."""
    kind = type(node)
    if kind is dict:
        tag = node.get("$")
        if type(tag) is list:
            return node if tag[0] else {"$": [offset, tag[1]]}
        return {k: placed(v, offset) for k, v in node.items()}
    return [placed(n, offset) for n in node] if kind is list else node
