"""The graph for LangGraph's own servers and tools: ``langgraph.json`` names :data:`graph`.

Such a server brings its own checkpointer and cannot pass our ports, so they are bound to the nodes. Reviews decided
there go through the same door: validated, recorded by compare-and-set, run once. Threads keep their adapter as
everywhere: what a node reads says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dojang.origin import check_origin
from dojang.parts import Parts
from dojang.settings import load_settings
from dojang.speaking import Speaking
from graph import state_graph
from nodes.ports import Deps


@lru_cache(maxsize=1)
def _speaking() -> Speaking:
    check_origin()
    return Speaking(Parts(load_settings()))


def _deps(state: Mapping[str, Any], thread_id: str) -> Deps:
    return _speaking().deps(state.get("adapter"), thread_id)


graph = state_graph(_deps).compile(name="dojang")
"""Compiled without a checkpointer of ours: the server adds its own."""
