"""The compiled graph as SVG, the way of a thread marked, and the node at which it is paused. The console's drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dojang.notebook.shown import Shown, part
from dojang.results import Step
from dojang.server.console.drawing import drawing_of

if TYPE_CHECKING:
    from dojang.notebook.reader import Reader
    from dojang.workspace import Workspace


class Drawing(Shown):
    """The graph; ``way``: the nodes that a thread passed in this turn, the one where it is now last."""

    def __init__(self, book: Reader, way: Sequence[str] = ()) -> None:
        self.language, self.way = book.language, list(way)
        edges, nodes = edges_and_nodes(book.workspace)
        self._drawn = drawing_of(edges, nodes, self.way, book.say)

    def text(self) -> str:
        """The way in words."""
        return self._drawn.told or " · ".join(box.name for box in self._drawn.boxes)

    def markup(self) -> Markup:
        """The picture, with our style around it."""
        return part(self.language, "graph.html", graph=self._drawn)

    def svg(self) -> str:
        """The picture alone, with its style inside, for a file."""
        return str(part(self.language, "graph.svg", graph=self._drawn))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.text(), "image/svg+xml": self.svg()}


def edges_and_nodes(workspace: Workspace) -> tuple[list[tuple[str, str]], list[str]]:
    """Of the compiled graph, in its own order."""
    graph = workspace.parts.reader.get_graph()
    return [(edge.source, edge.target) for edge in graph.edges], list(graph.nodes)


def way_of(steps: Sequence[Step]) -> list[str]:
    """The nodes of the newest turn in the order in which the thread came to them. ``steps`` come newest first."""
    way: list[str] = []
    for step in sorted(steps, key=lambda one: one.number):
        if step.source == "input":
            way = []
        way += [name for name in step.next if not name.startswith("__")]
    return way
