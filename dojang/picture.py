"""Draws the compiled graph for the documentation: ``python -m dojang.picture > docs/images/graph.svg``.

The console's drawing with the names that the code has, where a run begins and where it ends. A test holds the file
against the graph. The colours follow the reader's system, light or dark, and nothing is loaded for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dojang.notebook.shown import part
from dojang.server.console.drawing import DOOR, HIGH, Drawing, drawing_of
from dojang.server.wording import sayer
from graph import state_graph

BEGIN, END = "__start__", "__end__"
OUT: Final = 26
"""How far outside of the row a run begins and ends, in units of the drawing."""
Edges = Sequence[tuple[str, str]]


def edges_and_nodes() -> tuple[list[tuple[str, str]], list[str]]:
    """Of the compiled graph, in its own order; the nodes without its beginning and its end."""
    drawn = state_graph().compile().get_graph()
    nodes = [name for name in drawn.nodes if name not in (BEGIN, END)]
    return [(edge.source, edge.target) for edge in drawn.edges], nodes


def picture() -> str:
    """The whole file."""
    edges, nodes = edges_and_nodes()
    graph, begins, ends = drawn(edges, nodes)
    told = "; ".join(f"{name}: {', '.join(_after(edges, name))}" for name in nodes)
    context = {"left": -OUT - 10, "width": graph.width + 2 * (OUT + 10), "told": told, "door": DOOR}
    return str(part("en", "page.svg", graph=graph, begins=begins, ends=ends, **context))


def drawn(edges: Edges, nodes: Sequence[str]) -> tuple[Drawing, list[tuple[int, int]], list[tuple[int, int]]]:
    """The drawing, an arrow for each edge; the points where a run begins, and where it ends."""
    inside = drawing_of(edges, nodes, (), sayer("en"))
    names = [*(name for name in nodes if name != DOOR), DOOR]
    boxes = [replace(box, name=name) for box, name in zip(inside.boxes, names, strict=True)]
    at = {box.name: box for box in boxes}
    lines, heads = list(inside.lines), list(inside.heads)
    begins, ends = [], []
    for source, target in edges:
        if source == BEGIN:
            x, y = at[target].x, at[target].y + HIGH // 2
            begins.append((x - OUT, y))
            lines.append(f"M{x - OUT} {y} H{x - 6}")
            heads.append(f"{x},{y} {x - 7},{y - 4} {x - 7},{y + 4}")
        if target == END:
            x, y = at[source].x + at[source].width, at[source].y + HIGH // 2
            ends.append((x + OUT, y))
            lines.append(f"M{x} {y} H{x + OUT - 12}")
            heads.append(f"{x + OUT - 5},{y} {x + OUT - 12},{y - 4} {x + OUT - 12},{y + 4}")
    return replace(inside, boxes=boxes, lines=lines, heads=heads), begins, ends


def _after(edges: Edges, name: str) -> list[str]:
    """Which nodes may come after one."""
    return ["end" if target == END else target for source, target in edges if source == name]


if __name__ == "__main__":
    print(picture())
