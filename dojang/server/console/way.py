"""How a thread came to a review: the steps of its turn, with their times and checkpoints. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dojang.results import Step
from dojang.server.console.addresses import checkpoint_href
from dojang.server.wording import NODES, Say, label


@dataclass(frozen=True)
class Node:
    """One step on the way to the review."""

    key: str  # the node's name in the graph
    name: str
    at: str
    current: bool
    href: str  # of the checkpoint before it


def path_of(steps: Sequence[Step], review_id: str, thread_id: str, say: Say) -> list[Node]:
    """The nodes from the turn's input to the review. ``steps`` come newest first; [] when they do not reach it."""
    way: list[Node] = []
    for step in sorted(steps, key=lambda s: s.number):
        if step.source == "input":
            way = []
        names = list(dict.fromkeys(name for name in step.next if not name.startswith("__")))
        here = review_id in step.review_ids
        at, href = say.moment(step.at, seconds=True), checkpoint_href(thread_id, step.checkpoint_id)
        way += [Node(n, label(say, NODES, n), at, here and n == "review", href) for n in names]
        if here:
            return way
    return []
