"""LangGraph as its own pages use it: the controls beside which ours is shown not to have a known defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt


def _joined(old: list[str] | None, new: list[str]) -> list[str]:
    return [*(old or []), *new]


class Said(TypedDict):
    said: Annotated[list[str], _joined]


Step = Any
"""A node: from what was said to what more is said (LangGraph's own type for it takes no list)."""


class Died(Exception):
    """The process is gone."""


class Mortal(InMemorySaver):
    """A saver of a process that can be killed: from then on nothing of it is kept any more."""

    alive = True

    def put(self, config: Any, *args: Any) -> Any:
        return super().put(config, *args) if self.alive else config

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        if self.alive:
            super().put_writes(*args, **kwargs)


@dataclass
class Bare:
    """One node after the other; what they did outside is counted in ``paid``."""

    steps: list[Step]
    saver: BaseCheckpointSaver[Any] | None = field(default_factory=InMemorySaver)
    config: Any = field(default_factory=lambda: {"configurable": {"thread_id": uuid4().hex}})

    def __post_init__(self) -> None:
        graph = StateGraph(Said)
        names = [f"step{n}" for n in range(len(self.steps))]
        for name, step in zip(names, self.steps, strict=True):
            graph.add_node(name, step)
        for before, after in zip([START, *names], [*names, END], strict=True):
            graph.add_edge(before, after)
        self.graph = graph.compile(checkpointer=self.saver)

    def begin(self) -> dict[str, Any]:
        return dict(self.graph.invoke({"said": ["hello"]}, self.config))

    def resume(self, answer: Any, **how: Any) -> dict[str, Any]:
        return dict(self.graph.invoke(Command(resume=answer), self.config, **how))

    def said(self) -> list[str]:
        """What the nodes have written after the first hello."""
        return list(self.graph.get_state(self.config).values["said"][1:])

    def waiting(self) -> list[str]:
        """The ids of the open interrupts."""
        return [i.id for task in self.graph.get_state(self.config).tasks for i in task.interrupts]


def asking(question: str) -> Callable[[Said], dict[str, Any]]:
    """A node that asks and writes down the answer."""
    return lambda state: {"said": [f"{question}: {interrupt(question)}"]}


def paying(paid: list[str], *, dies: list[str], asks: bool = True) -> Callable[[Said], dict[str, Any]]:
    """A node that (asks and) pays; it dies after the payment as often as ``dies`` has entries."""

    def node(state: Said) -> dict[str, Any]:
        if asks:
            interrupt("pay?")
        paid.append("paid")
        if dies:
            raise Died(dies.pop())
        return {"said": ["paid"]}

    return node


def dying(saver: Mortal) -> Callable[[Said], dict[str, Any]]:
    """A node that does nothing but die the first time."""
    died: list[bool] = []

    def node(state: Said) -> dict[str, Any]:
        if not died:
            died.append(True)
            saver.alive = False
            raise Died
        return {}

    return node
