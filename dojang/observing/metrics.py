"""The numbers of one process, in a registry of their own. docs/operations.md lists them.

Labels are of closed sets: a word that is not in its set becomes ``other``. Seconds and counts; nothing here is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from dojang.observing.labels import one_of

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_DWELL: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The instruments. ``tools``: the names of the tools that there are, asked when one was used."""

    def __init__(self, tools: Callable[[], Collection[str]]) -> None:
        self.registry = CollectorRegistry()
        self.tools = tools
        here = self.registry
        self.runs = Counter("dojang_runs", "Passes of the graph that ended, by how.", ["status"], registry=here)
        self.run_seconds = Histogram(
            "dojang_run_seconds", "How long they took.", ["status"], buckets=_LONG, registry=here
        )
        self.accepted = Counter(
            "dojang_accepted_runs", "Runs that this server took, by how they ended.", ["status"], registry=here
        )
        self.wait_seconds = Histogram(
            "dojang_run_wait_seconds", "From acceptance to its worker.", buckets=_LONG, registry=here
        )
        self.node_seconds = Histogram(
            "dojang_node_seconds", "Executions of a node.", ["node", "outcome"], buckets=_LONG, registry=here
        )
        self.tool_calls = Counter(
            "dojang_tool_calls", "Calls of tools that ended, by how.", ["tool", "outcome"], registry=here
        )
        self.reviews = Counter("dojang_reviews_opened", "Reviews that were opened.", ["kind", "tier"], registry=here)
        self.decisions = Counter("dojang_decisions", "Decisions that took effect.", ["type", "channel"], registry=here)
        self.dwell = Histogram(
            "dojang_decision_dwell_seconds",
            "How long a person had the review before them.",
            buckets=_DWELL,
            registry=here,
        )
        self.tokens = Counter("dojang_tokens", "Tokens that models read and wrote.", ["direction"], registry=here)
        self.sse = Gauge("dojang_sse_connections", "Streams of events that somebody reads now.", registry=here)
        self.requests = Counter(
            "dojang_http_requests", "Answered requests.", ["method", "route", "status"], registry=here
        )
        self.request_seconds = Histogram(
            "dojang_http_seconds", "From request to the end of its answer, streams left out.", ["method", "route"],
            buckets=_FAST, registry=here,
        )  # fmt: skip
        self.sql_seconds = Histogram(
            "dojang_sql_seconds", "Statements to PostgreSQL.", ["operation"], buckets=_FAST, registry=here
        )
        self._standing: Collector | None = None
        ProcessCollector(registry=self.registry)

    def tool(self, name: str) -> str:
        """A tool's name, where there is such a tool: a model may have made one up."""
        return one_of(name, self.tools())

    def look_also(self, standing: Collector) -> None:
        """Ask this collector, too, whenever the numbers are asked for; in place of the one before it."""
        if self._standing is not None:
            self.registry.unregister(self._standing)
        self.registry.register(standing)
        self._standing = standing

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
