"""The compiled graph as a drawing: which step follows which, where it goes through the door, where a thread stands.

Numbers only; ``templates/item/_graph.html`` draws them as SVG. The nodes stand in a row in the order of the graph, and
the one at which it pauses lies under all of them, because every step may ask for a person there. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from dojang.server.wording import NODES, Say, label

DOOR: Final = "review"
WIDE, HIGH, GAP, EDGE = 84, 28, 26, 6
ROW, UNDER = 64, 132
"""Where the row of nodes begins, and the door under it; in units of the drawing."""


@dataclass(frozen=True)
class Box:
    """A node."""

    x: int
    y: int
    width: int
    height: int
    name: str
    passed: bool  # the thread went through it in this turn
    current: bool  # the thread waits here


@dataclass(frozen=True)
class Drawing:
    """The whole of it, in units of its own."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[str]  # path data
    heads: list[str]  # points of arrow heads
    told: str  # the same in words


def drawing_of(edges: Iterable[tuple[str, str]], nodes: Iterable[str], way: Collection[str], say: Say) -> Drawing:
    """The drawing of a graph. ``way``: the nodes that the thread went through, the one where it waits last."""
    row = [name for name in nodes if not name.startswith("__") and name != DOOR]
    place = {name: EDGE + i * (WIDE + GAP) for i, name in enumerate(row)}
    whole = len(row) * (WIDE + GAP) - GAP + 2 * EDGE
    current = list(way)[-1] if way else ""
    boxes = [Box(place[n], ROW, WIDE, HIGH, label(say, NODES, n), n in way, n == current) for n in row]
    boxes.append(Box(EDGE, UNDER, whole - 2 * EDGE, HIGH, label(say, NODES, DOOR), DOOR in way, current == DOOR))
    lines: list[str] = []
    heads: list[str] = []
    for source, target in edges:
        line, head = _arrow(source, target, place)
        lines += line
        heads += head
    return Drawing(whole, UNDER + HIGH + EDGE, boxes, lines, heads, " → ".join(label(say, NODES, n) for n in way))


def _arrow(source: str, target: str, place: dict[str, int]) -> tuple[list[str], list[str]]:
    """Path and head of one edge; none for those from the beginning and to the end."""
    if source in place and target == DOOR:
        x = place[source] + WIDE // 2 - 9
        return [f"M{x} {ROW + HIGH} V{UNDER - 6}"], [_head(x, UNDER, down=True)]
    if source == DOOR and target in place:
        x = place[target] + WIDE // 2 + 9
        return [f"M{x} {UNDER} V{ROW + HIGH + 6}"], [_head(x, ROW + HIGH, down=False)]
    if source not in place or target not in place:
        return [], []
    begin, end = place[source], place[target]
    if end - begin == WIDE + GAP:
        y = ROW + HIGH // 2
        return [f"M{begin + WIDE} {y} H{end - 6}"], [f"{end},{y} {end - 7},{y - 4} {end - 7},{y + 4}"]
    if source == target:
        x, y, z = begin + WIDE // 2 + 8, ROW - 22, begin + WIDE // 2 + 30
        return [f"M{x} {ROW} C{x} {y} {z} {y} {z} {ROW - 6}"], [_head(z, ROW, down=True)]
    lift = 14 + 10 * abs(end - begin) // (WIDE + GAP)
    x1, x2 = begin + WIDE // 2 + (10 if end > begin else -10), end + WIDE // 2 + (-10 if end > begin else 10)
    return [f"M{x1} {ROW} C{x1} {ROW - lift} {x2} {ROW - lift} {x2} {ROW - 6}"], [_head(x2, ROW, down=True)]


def _head(x: int, y: int, *, down: bool) -> str:
    back = y - 7 if down else y + 7
    return f"{x},{y} {x - 4},{back} {x + 4},{back}"
