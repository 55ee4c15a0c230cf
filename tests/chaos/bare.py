"""The control: the same payment by a graph as LangGraph's own pages write it, with SqliteSaver.

``one``: the node that asks also pays, and durability is the default. ``two``: the effect has a node of its own and
every super-step is durable before the next.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from tests.chaos.instants import Instants
from tests.chaos.ours import Order
from tests.chaos.outside import ask


class Payment(TypedDict):
    name: str
    said: str
    told: bool


def live(order: Order, said: Connection) -> None:
    """A life: the target of the child process. ``order.tool`` says which graph."""

    def phase(name: str) -> None:
        instants.phase = name
        said.send(("phase", name))

    instants = Instants(order.plan, lambda where: said.send(("died", where)))
    said.send(("born", None))
    instants.watch(SqliteSaver, "put", "put_writes")
    instants.watch_files()
    config: Any = {"configurable": {"thread_id": order.name}}
    with SqliteSaver.from_conn_string(str(Path(order.home) / "bare.sqlite")) as saver:
        graph = _graph(order, instants, phase).compile(checkpointer=saver)
        durability: Any = "sync" if order.tool == "two" else None
        state = graph.get_state(config)
        phase("propose")
        if state.created_at is None:
            graph.invoke({"name": order.name, "said": "", "told": False}, config, durability=durability)
            state = graph.get_state(config)
        while state.tasks:  # not ``next``, which is empty when a run is cut off just before a checkpoint
            waits = any(task.interrupts for task in state.tasks)
            phase("resume")
            graph.invoke(Command(resume="approve") if waits else None, config, durability=durability)
            state = graph.get_state(config)
    said.send(("done", dict(instants.seen)))


def _graph(order: Order, instants: Instants, phase: Callable[[str], None]) -> Any:
    def pay(name: str) -> None:
        phase("effect")
        instants.here("effect")
        ask(order.outside, name)
        instants.here("effect done")
        phase("end")

    def asks(state: Payment) -> dict[str, Any]:
        answer = interrupt({"pay": state["name"]})
        if order.tool == "one" and answer == "approve":
            pay(state["name"])
        return {"said": answer}

    def acts(state: Payment) -> dict[str, Any]:
        if order.tool == "two" and state["said"] == "approve":
            pay(state["name"])
        return {}

    def tells(state: Payment) -> dict[str, Any]:
        return {"told": True}

    graph = StateGraph(Payment)
    graph.add_node("asks", asks)
    graph.add_node("acts", acts)
    graph.add_node("tells", tells)
    graph.add_edge(START, "asks")
    graph.add_edge("asks", "acts")
    graph.add_edge("acts", "tells")
    graph.add_edge("tells", END)
    return graph
