"""From what the graph does to spans: run → node → tool or model, by LangChain's callbacks.

LangGraph calls them in the thread, and in the context, in which the node then runs; so the span is the current one
there, and what the node does, a statement to the database for example, comes under it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextvars import Token
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry import context, trace
from opentelemetry.trace import Span

from dojang.observing.labels import one_of
from dojang.observing.measuring import how_of, node_of, records_of
from dojang.observing.tracing import Tracing, Value, failed


class Spans(BaseCallbackHandler):
    """Begins and ends spans. ``tools``: the names of the tools that there are; a model may have made one up."""

    run_inline = True

    def __init__(self, tracing: Tracing, tools: Callable[[], Collection[str]]) -> None:
        self.tracing = tracing
        self.tools = tools
        self._open: dict[UUID, tuple[Span, Token[context.Context]]] = {}
        self._nodes: set[UUID] = set()

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **about: Any) -> None:
        """A run or a node begins."""
        node = node_of(about)
        if node:
            self._nodes.add(run_id)
            self._begin(run_id, f"node {node}", {"dojang.node": node})
        elif about.get("parent_run_id") is None:
            self._begin(run_id, "run", {})

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **about: Any) -> None:
        """It has ended."""
        self._end(run_id, "done", self._told(outputs) if run_id in self._nodes else {})

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **about: Any) -> None:
        """It broke off, was stopped, or waits for a person."""
        self._failed(run_id, error)

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **about: Any) -> None:
        """A tool begins."""
        name = one_of(str((serialized or {}).get("name", "")), self.tools())
        self._begin(run_id, f"tool {name}", {"dojang.tool": name})

    def on_tool_end(self, output: Any, *, run_id: UUID, **about: Any) -> None:
        """A tool has ended."""
        self._end(run_id, "done", {})

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **about: Any) -> None:
        """A tool has failed."""
        self._failed(run_id, error)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **about: Any) -> None:
        """The model begins to speak."""
        self._begin(run_id, "model", {"gen_ai.operation.name": "chat"})

    def on_llm_end(self, response: Any, *, run_id: UUID, **about: Any) -> None:
        """The model has spoken."""
        said = response.generations[0][0] if response.generations and response.generations[0] else None
        usage = getattr(getattr(said, "message", None), "usage_metadata", None) or {}
        counts: dict[str, Value] = {
            f"gen_ai.usage.{name}": int(usage[name]) for name in ("input_tokens", "output_tokens") if name in usage
        }
        self._end(run_id, "done", counts)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **about: Any) -> None:
        """The model has failed."""
        self._failed(run_id, error)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _begin(self, run_id: UUID, name: str, about: Mapping[str, Value]) -> None:
        span = self.tracing.begin(name, about)
        self._open[run_id] = (span, context.attach(trace.set_span_in_context(span)))

    def _end(self, run_id: UUID, outcome: str, about: Mapping[str, Value]) -> None:
        self._nodes.discard(run_id)
        found = self._open.pop(run_id, None)
        if found is not None:
            span, token = found
            context.detach(token)
            span.set_attributes({"dojang.outcome": outcome, **about})
            span.end()

    def _failed(self, run_id: UUID, error: BaseException) -> None:
        how = how_of(error)
        if how == "error" and run_id in self._open:
            failed(self._open[run_id][0], error)
        self._end(run_id, how, {})

    def _told(self, update: Any) -> dict[str, Value]:
        """Ids and outcomes that a node's update names."""
        if not isinstance(update, Mapping):
            return {}
        reviews = [*records_of(update, "reviews"), *records_of(update, "decisions")]
        outcomes = list(records_of(update, "outcomes").values())
        told: dict[str, Value] = {"dojang.review_ids": [str(review) for review in reviews]} if reviews else {}
        if outcomes:
            known = self.tools()
            told["dojang.tools"] = [one_of(outcome["tool"], known) for outcome in outcomes]
            told["dojang.tool_outcomes"] = [str(outcome["status"]) for outcome in outcomes]
        return told
