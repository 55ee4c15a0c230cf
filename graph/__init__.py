"""Which node follows which, and where the graph may pause. ``from graph import build_graph``; the chain beside it."""

from graph.build import AgentGraph, build_graph, state_graph
from graph.chain import ChainAnswer, retrieval_chain

__all__ = ["AgentGraph", "ChainAnswer", "build_graph", "retrieval_chain", "state_graph"]
