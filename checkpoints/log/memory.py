"""What a process remembers of one thread's values: to recognise those that come back and to hand out fresh copies.

Frozen copies, compared by content, never by identity: what a caller does to a value that it was given is its own
affair. Knows nothing of files but where a body lies. Forgetting any of it costs time or bytes, never a wrong value.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any, cast

from checkpoints.log.tables import Tables
from checkpoints.log.view import View
from checkpoints.values.codec import Decoder, freeze
from checkpoints.values.copies import Items
from checkpoints.values.refs import Listed, Moved, Node, Ref, is_ref, placed, refs_in
from checkpoints.values.weave import Seen

KNOWN_MAX = 20_000
"""Bodies that a process can recognise in one thread; older ones are written again when they come back."""

RECENT = 256
"""Of a list that was read from disk, this many last messages are recognised when they move."""

SEEN_MAX = 8
"""Namespaces whose newest values are kept."""


@dataclass(slots=True)
class Unread:
    """A list that was handed out and is not yet remembered: most that are read once are never read or written again."""

    node: Node
    view: View  # closed; the records that the list needs are in its memory


def decoded(view: View, tables: Tables) -> dict[str, Any]:
    """The channel values of a checkpoint, fresh. Nothing is remembered."""
    decode = Decoder(view).decode
    return {c: decode(entry[1], tables.offset) for c, entry in tables.entries.items() if len(entry) == 2}


def _followed(known: Seen, moved: Moved) -> Seen | None:
    node, depth = known.node, known.depth
    if is_ref(node):
        before: Ref = (node["$"][0], node["$"][1])
        if (now := moved.ref(before)) is None:
            return None
        node, depth = {"$": list(now)}, moved.depths.get(before, depth)
    refs = [moved.ref(r) for r in known.refs] if known.refs is not None else None
    if refs is not None and None in refs:
        return None
    return Seen(node, known.frozen, depth, cast("list[Ref] | None", refs))


class Memory:
    """One thread's values. Belongs to one writing of its file (``gen``): offsets change when the file does."""

    def __init__(self) -> None:
        self.known: dict[bytes, Ref] = {}
        self._seen: dict[str, dict[str, Seen | Unread]] = {}  # newest values by namespace and channel

    def follow(self, moved: Moved) -> None:
        """The file was written anew, and nothing of it was lost: remember the same values where they are now."""
        later = [key for key, ref in self.known.items() if ref[0] >= moved.kept]
        for key in later:
            ref = moved.ref(self.known.pop(key))
            if ref is not None:
                self.known[key] = ref
        for ns, seen in self._seen.items():
            found = {channel: _followed(known, moved) for channel, known in seen.items() if isinstance(known, Seen)}
            self._seen[ns] = {channel: known for channel, known in found.items() if known is not None}

    def has(self, ns: str) -> bool:
        """Whether anything is remembered of a namespace's newest values."""
        return ns in self._seen

    def of(self, ns: str) -> dict[str, Seen]:
        """What is remembered of a namespace's newest values, by channel."""
        return {channel: self._remembered(known) for channel, known in self._seen.get(ns, {}).items()}

    def keep(self, ns: str, seen: dict[str, Seen | Unread]) -> None:
        """These are the newest values of a namespace."""
        self._seen.pop(ns, None)
        self._seen[ns] = seen
        while len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    def learn(self, added: dict[bytes, int], offset: int) -> None:
        """Bodies (content hash → position) that were written in the record at ``offset``."""
        self.known.update((key, (offset, n)) for key, n in added.items())
        if len(self.known) > KNOWN_MAX:  # many at once: finding a dict's first key is slow after deletions
            for key in list(islice(self.known, KNOWN_MAX // 10)):
                del self.known[key]

    def values(self, view: View, tables: Tables, *, newest: bool) -> dict[str, Any]:
        """The decoded channel values of a checkpoint, fresh. Those of a namespace's newest are remembered."""
        warm = self._seen.get(tables.ns, {})
        decoder = Decoder(view)
        found: dict[str, Any] = {}
        seen: dict[str, Seen | Unread] = {}
        for channel, entry in tables.entries.items():
            if len(entry) < 2:
                continue
            node = entry[1]
            known = warm.get(channel)
            if known is not None and type(node) is dict and known.node == node:
                known = self._remembered(known)
                found[channel] = known.fresh()
                seen[channel] = known
                continue
            value = found[channel] = decoder.decode(node, tables.offset)
            if newest and type(value) is list and value and type(node) is dict:
                seen[channel] = Unread(node, view)
            elif newest:
                seen[channel] = Seen(node, freeze(value))
        if newest:
            self.keep(tables.ns, seen)
        return found

    def _remembered(self, known: Seen | Unread) -> Seen:
        """What is known of a value; of one that was only handed out, from what was read then."""
        if isinstance(known, Seen):
            return known
        view, node = known.view, known.node
        value = Decoder(view).decode(node)
        offset, n = node["$"]
        nodes = view.body(offset, n)
        refs = list(nodes) if isinstance(nodes, Listed) else refs_in(placed(nodes, offset))
        if refs:
            for item, ref in zip(value[-RECENT:], refs[-RECENT:], strict=True):
                self.known[blake2b(freeze(item), digest_size=16).digest()] = ref
        return Seen(node, Items(value), view.depths.get((offset, n), 0), refs)
