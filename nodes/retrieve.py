"""Retrieve: finds the passages that may answer the question. Bodies stay in the store; the state keeps references."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from nodes.evidence import weigh
from nodes.ports import Deps
from state import AgentState, refs_of


def retrieve(state: AgentState, runtime: Runtime[Deps]) -> dict[str, Any]:
    """Set ``passages``, best first, and ``evidence``, their weight: the verdict is stored, not made again on resume."""
    deps = runtime.context
    found = deps.retriever.search(state["question"], k=deps.passages_k, filters=state.get("filters"))
    return {"passages": refs_of(found), "evidence": weigh(found)}
