"""The drawing in the docs is the graph."""

from __future__ import annotations

import re
from pathlib import Path

from dojang.picture import drawn, edges_and_nodes, picture

DOCS = Path(__file__).parents[2] / "docs"
SVG = DOCS / "images" / "graph.svg"


def test_the_drawing_in_the_docs_is_the_graph() -> None:
    told = "run: python -m dojang.picture > docs/images/graph.svg"
    assert SVG.read_text(encoding="utf-8").strip() == picture().strip(), told


def test_the_drawing_has_an_arrow_for_each_edge_and_a_box_for_each_node() -> None:
    edges, nodes = edges_and_nodes()
    graph, begins, ends = drawn(edges, nodes)
    assert len(graph.lines) == len(graph.heads) == len(edges)
    assert sorted(box.name for box in graph.boxes) == sorted(nodes)
    assert (len(begins), len(ends)) == (1, sum(target == "__end__" for _, target in edges))
    assert len({*graph.lines}) == len(edges), "no arrow lies over another one"


def test_it_needs_nothing_from_elsewhere_and_has_colours_for_both_grounds() -> None:
    text = SVG.read_text(encoding="utf-8")
    assert re.findall(r"(?:href|src|url|@import)[^>]*", text) == []
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    for name in (".ground", ".box", ".door .box", "text"):
        for ground in (light, dark):
            assert re.search(rf"{re.escape(name)}{{[^}}]*fill:#", ground), name
    for page in ("graph.md", "ko/graph.md"):
        assert "images/graph.svg)" in (DOCS / page).read_text(encoding="utf-8")
        assert "```mermaid" not in (DOCS / page).read_text(encoding="utf-8")
