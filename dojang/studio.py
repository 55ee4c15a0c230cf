"""The graph for LangGraph's own servers and tools: ``langgraph.json`` names :data:`graph`.

Such a server brings its own checkpointer and cannot pass our ports, so they are bound to the nodes. Reviews decided
there go through the same door: validated, recorded by compare-and-set, run once.
"""

from __future__ import annotations

from functools import lru_cache

from dojang.origin import check_origin
from dojang.parts import Parts
from dojang.settings import load_settings
from graph import state_graph
from nodes.ports import Deps


@lru_cache(maxsize=1)
def _deps() -> Deps:
    check_origin()
    return Parts(load_settings()).deps


graph = state_graph(_deps).compile(name="dojang")
"""Compiled without a checkpointer of ours: the server adds its own."""
