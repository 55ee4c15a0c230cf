"""Following a run closely: everything that the graph streams, and a word when it is to stop.

A :class:`Watch` goes wherever a run takes an ``on_node``. It is asked between two steps, when the step before is
written and none of the next has begun; so a run is never stopped within an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.types import StateSnapshot

from state import DojangError

OnNode = Callable[[str], None]
"""Called with the name of each graph node as it finishes: progress for whoever waits."""


class Stopped(DojangError):
    """The run was stopped between two steps, as its watch wished; the thread can go on from there."""


@dataclass(frozen=True)
class Watch:
    """Hears what the graph streams.

    ``modes``: LangGraph's stream modes that ``on_event`` gets, as (namespace, mode, chunk). ``stop``: whether the run
    is to end here, given the state's values. ``metadata``: kept with each checkpoint of the run.
    """

    modes: tuple[str, ...] = ()
    on_event: Callable[[tuple[str, ...], str, Any], None] = lambda ns, mode, chunk: None
    on_node: OnNode | None = None
    stop: Callable[[Mapping[str, Any]], bool] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    callbacks: Sequence[BaseCallbackHandler] = ()
    interrupt_before: str | Sequence[str] | None = None
    interrupt_after: str | Sequence[str] | None = None
    subgraphs: bool = False  # what graphs within the graph stream is heard, too: each step then costs two more threads
    on_end: Callable[[StateSnapshot], None] = lambda snapshot: None  # told the state when the run has ended or paused
    queued: bool = False  # whoever watches takes the run up again, should all runs be paused
    # Given the state of a thread once nobody else can run it, before anything is done there; raises to leave it so.
    before: Callable[[StateSnapshot], None] = lambda snapshot: None
    again: bool = False  # it may have been cut off before it could tell of its pause, which is told then

    def __call__(self, node: str) -> None:
        """A node has finished."""
        if self.on_node is not None:
            self.on_node(node)

    def asked(self) -> list[str]:
        """The modes to stream in: ``updates`` say which node has finished, ``values`` come between two steps."""
        wanted = [*(["updates"] if self.on_node is not None else []), *(["values"] if self.stop is not None else [])]
        return list(dict.fromkeys([*wanted, *self.modes]))

    def hear(self, ns: tuple[str, ...], mode: str, chunk: Any) -> None:
        """Take one chunk; raises Stopped where the run is to end."""
        if mode in self.modes:
            self.on_event(ns, mode, chunk)
        if mode == "updates" and not ns:
            for node in chunk:
                if not node.startswith("__"):
                    self(node)
        if mode == "values" and self.stop is not None and "__interrupt__" not in chunk and self.stop(chunk):
            raise Stopped("the run was stopped between two steps")


def watching(on_node: OnNode | None) -> Watch:
    """The watch that an ``on_node`` is, or is made into."""
    return on_node if isinstance(on_node, Watch) else Watch(on_node=on_node)
