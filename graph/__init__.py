"""Which node follows which, and where the graph may pause. ``from graph import build_graph``."""

from graph.build import AgentGraph, build_graph, state_graph

__all__ = ["AgentGraph", "build_graph", "state_graph"]
