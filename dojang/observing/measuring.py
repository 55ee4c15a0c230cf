"""From what the graph does to numbers: LangChain's callbacks of runs and nodes, and the updates that nodes return."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.errors import GraphBubbleUp

from dojang.observing.labels import CHANNELS, DECISIONS, NODES, one_of

if TYPE_CHECKING:
    from dojang.observing.metrics import Metrics


@dataclass
class _Begun:
    """Something under way. ``node`` "": the run itself. ``spent``: (tokens read, written) before it."""

    node: str
    at: float
    parent: UUID | None
    spent: tuple[int, int] = (0, 0)
    paused: bool = False


class Measuring(BaseCallbackHandler):
    """Counts what runs and nodes do. One for all runs of a process."""

    run_inline = True

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._begun: dict[UUID, _Begun] = {}
        self._lock = threading.Lock()

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **about: Any) -> None:
        """A run or a node begins; anything else is within one."""
        parent = about.get("parent_run_id")
        node = node_of(about)
        if node or parent is None:
            begun = _Begun(node, time.monotonic(), parent, _spent(inputs) if node == "generate" else (0, 0))
            with self._lock:
                self._begun[run_id] = begun

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **about: Any) -> None:
        """It has ended."""
        begun = self._begun.pop(run_id, None)
        if begun is None:
            return
        if not begun.node:
            self._ran(begun, "paused" if begun.paused else "done")
            return
        self._node(begun, "done")
        if isinstance(outputs, Mapping):
            self._tell(begun, outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **about: Any) -> None:
        """It broke off, was stopped, or waits for a person."""
        begun = self._begun.pop(run_id, None)
        if begun is None:
            return
        how = how_of(error)
        if not begun.node:
            self._ran(begun, how)
            return
        self._node(begun, how)
        run = self._begun.get(begun.parent) if begun.parent else None
        if run is not None and how == "paused":
            run.paused = True

    # -- inside ---------------------------------------------------------------------------------------------------

    def _ran(self, begun: _Begun, status: str) -> None:
        self.metrics.runs.labels(status).inc()
        self.metrics.run_seconds.labels(status).observe(time.monotonic() - begun.at)

    def _node(self, begun: _Begun, outcome: str) -> None:
        self.metrics.node_seconds.labels(one_of(begun.node, NODES), outcome).observe(time.monotonic() - begun.at)

    def _tell(self, begun: _Begun, update: Mapping[str, Any]) -> None:
        """What the update of a node says has happened. An outcome may come again after a crash, a review may not."""
        metrics = self.metrics
        for outcome in records_of(update, "outcomes").values():
            metrics.tool_calls.labels(metrics.tool(outcome["tool"]), outcome["status"]).inc()
        for review in records_of(update, "reviews").values():
            metrics.reviews.labels(review["kind"], str(review["tier"])).inc()
        for decision in records_of(update, "decisions").values():
            metrics.decisions.labels(one_of(decision["type"], DECISIONS), one_of(decision["channel"], CHANNELS)).inc()
            if decision["dwell_ms"] is not None:
                metrics.dwell.observe(decision["dwell_ms"] / 1000)
        if begun.node == "generate" and "spent" in update:
            for direction, before, after in zip(("input", "output"), begun.spent, _spent(update), strict=True):
                metrics.tokens.labels(direction).inc(max(0, after - before))


def node_of(about: Mapping[str, Any]) -> str:
    """Which node a callback is about; "" where it is about none, or about something within one."""
    for tag in about.get("tags") or ():
        if tag.startswith("graph:step:"):
            return str((about.get("metadata") or {}).get("langgraph_node", ""))
    return ""


def records_of(update: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Records by id that an update adds; none where it begins afresh, which LangGraph writes ``__overwrite__``."""
    found = update.get(key)
    return found if isinstance(found, Mapping) and "__overwrite__" not in found else {}


def how_of(error: BaseException) -> str:
    """How a run or a node ended that raised this: ``paused``, ``stopped`` or ``error``."""
    if isinstance(error, GraphBubbleUp):
        return "paused"
    return "stopped" if isinstance(error, GeneratorExit) else "error"


def _spent(state: Any) -> tuple[int, int]:
    rows = (state.get("spent") if isinstance(state, Mapping) else None) or []
    return sum(row["input_tokens"] for row in rows), sum(row["output_tokens"] for row in rows)
