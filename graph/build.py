"""Builds and compiles the StateGraph: which node follows which. Knows no store, model or file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from graph.routes import after_act, after_answer, after_comply, after_generate, after_intake, after_review
from nodes.act import act
from nodes.answer import answer
from nodes.comply import comply
from nodes.generate import generate
from nodes.intake import intake
from nodes.ports import Deps, thread_of
from nodes.retrieve import retrieve
from nodes.review import ReviewTask, review
from state import AgentInput, AgentOutput, AgentState, UserError

Node = Callable[[Any, Runtime[Deps]], dict[str, Any]]
Bind = Callable[[Mapping[str, Any], str], Deps]
"""From what a node reads and the thread's id to its ports: who speaks, the state says."""


class AgentGraph(CompiledStateGraph[AgentState, Deps, AgentInput, AgentOutput]):
    """The compiled agent. Whoever resumes it says which review is meant (ADR 5); everything else is LangGraph's."""

    def stream(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """As LangGraph's, and what ``invoke`` runs on; UserError where a resume names no review."""
        _check_named(input)
        return super().stream(input, *args, **kwargs)

    def astream(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """As LangGraph's, and what ``ainvoke`` runs on; UserError where a resume names no review."""
        _check_named(input)
        return super().astream(input, *args, **kwargs)


def _check_named(input: Any) -> None:
    """A resume is a map of interrupt ids, or a decision that carries the id or the digest of its review.

    A bare value goes to whatever pause is open by then: a retry of the answer to one question would answer the next.
    ``Command(resume=None)`` resumes nothing.
    """
    if not isinstance(input, Command) or input.resume is None:
        return
    said = input.resume
    by_id = isinstance(said, Mapping) and bool(said) and all(_is_interrupt_id(key) for key in said)
    if not by_id and not (isinstance(said, Mapping) and (said.get("digest") or said.get("review_id"))):
        raise UserError(
            "a resume names its review: Command(resume={interrupt id: decision}), or a decision with its review_id or "
            "digest; nothing was resumed. `graph.get_state(config).interrupts` has the ids"
        )


def _is_interrupt_id(key: object) -> bool:
    """LangGraph's ids of pauses: 32 hexadecimal digits."""
    return isinstance(key, str) and len(key) == 32 and set(key) <= set("0123456789abcdef")


def state_graph(deps: Bind | None = None) -> StateGraph[AgentState, Deps, AgentInput, AgentOutput]:
    """The graph before it is compiled, for those who add nodes of their own.

    Args:
        deps: gives every node its ports where the caller of the graph cannot pass ``context=`` (a LangGraph server);
            called once a node execution, with what the node reads and the thread's id.
    """
    graph = StateGraph(AgentState, context_schema=Deps, input_schema=AgentInput, output_schema=AgentOutput)
    graph.add_node("intake", _with(deps, intake))
    graph.add_node("retrieve", _with(deps, retrieve))
    graph.add_node("generate", _with(deps, generate))
    graph.add_node("comply", _with(deps, comply))
    graph.add_node("review", _with(deps, review), input_schema=ReviewTask)
    graph.add_node("act", _with(deps, act))
    graph.add_node("answer", _with(deps, answer))
    graph.add_edge(START, "intake")
    graph.add_conditional_edges("intake", after_intake, ["review", "retrieve", "comply"])
    graph.add_edge("retrieve", "generate")
    graph.add_conditional_edges("generate", after_generate, ["review", "comply"])
    graph.add_conditional_edges("comply", after_comply, ["review", "act", "generate", "answer"])
    graph.add_conditional_edges("review", after_review, ["comply", "intake", "generate", "answer", "act", END])
    graph.add_conditional_edges("act", after_act, ["review", "act", "generate"])
    graph.add_conditional_edges("answer", after_answer, ["review", END])
    return graph


def _with(deps: Bind | None, node: Node) -> Any:
    if deps is None:
        return node

    def bound(state: Any, runtime: Runtime[Deps]) -> dict[str, Any]:
        return node(state, runtime.override(context=deps(state, thread_of(runtime))))

    return bound


def build_graph(checkpointer: BaseCheckpointSaver[Any] | None) -> AgentGraph:
    """The compiled agent. Run it with ``context=Deps(…)`` and ``durability="sync"``.

    Resume is strict: an id of a pause that is unknown or over is an ``UnknownInterruptError``, and a value that names
    no review is refused.

    Raises:
        UserError: no checkpointer. Without one a pause looks like a pause and cannot be resumed.
    """
    if not isinstance(checkpointer, BaseCheckpointSaver):
        raise UserError(
            "build_graph needs a checkpointer, for example checkpoints.FileSaver('var/threads'): "
            "a run that pauses for a person cannot be resumed without one"
        )
    compiled = _wired().compile(checkpointer=checkpointer, name="dojang")
    return AgentGraph(**vars(compiled)).with_config(configurable={"__pregel_strict_resume": True})


@lru_cache
def _wired() -> StateGraph[AgentState, Deps, AgentInput, AgentOutput]:
    """The agent's graph, put together once in a process: nodes and edges are the same for every checkpointer."""
    return state_graph()
