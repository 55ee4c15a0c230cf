"""The drawing in the docs is the graph."""

from __future__ import annotations

from pathlib import Path

from graph import state_graph

DOC = Path(__file__).parents[2] / "docs" / "graph.md"


def test_the_drawing_in_the_docs_is_the_graph() -> None:
    drawing = DOC.read_text(encoding="utf-8").split("```mermaid\n")[1].split("```")[0]
    assert drawing.strip() == state_graph().compile().get_graph().draw_mermaid().strip()
