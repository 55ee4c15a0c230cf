"""One life of a process of ours: it opens the real workspace, brings one payment on as far as it lives, and is killed.

What it acknowledges goes through a pipe to the process that kills it. Imported once by a fork server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

import checkpoints.audit.trail  # imported here so that no life spends its time on imports
import store
import tools.policy
import tools.toolbox
from dojang.settings import Settings
from dojang.workspace import UnknownThread, Workspace
from state import Decision, Generation, Language, Passage, ToolSpec
from tests.chaos import desk
from tests.chaos.instants import Instants, Plan
from tests.chaos.outside import Address, ask
from tests.dojang.workspaces import RehearsedParts, settings_for, told
from tests.graph.parts import calls

PRELOADED = (checkpoints.audit.trail, store, tools.policy, tools.toolbox)
Tell = Callable[..., None]


@dataclass(frozen=True)
class Order:
    """What a life is to do, and when it ends."""

    home: str
    dsn: str
    outside: Address
    name: str  # of the payment
    tool: str
    decision: dict[str, Any]
    thread: str  # "" where none was begun
    plan: Plan


class Clerk:
    """A generator that proposes the payment which the message names, then repeats what the tool said."""

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        if isinstance(messages[-1], ToolMessage):
            return told(messages[-1].text)
        wanted = json.loads(next(m.text for m in reversed(messages) if isinstance(m, HumanMessage)))
        return calls((wanted["tool"], {"name": wanted["name"], "amount": 100}))


class Observed:
    """A part whose named calls are told before and after; everything else is the part's own."""

    def __init__(self, real: Any, **watched: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._real = real
        self._watched = watched

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._watched[name](found) if name in self._watched else found


class ObservedParts(RehearsedParts):
    """The real parts, with a clerk for a model, telling in which phase they are."""

    def __init__(self, settings: Settings, tell: Tell) -> None:
        super().__init__(settings, generator=Clerk())
        self.tell = tell

    @cached_property
    def decisions(self) -> Any:
        return Observed(super().decisions, record=self._recording)

    @cached_property
    def ledger(self) -> Any:
        return Observed(super().ledger, begin=self._phase("intent", "effect"), finish=self._phase("outcome", "end"))

    def _recording(self, record: Callable[..., Decision]) -> Callable[..., Decision]:
        def watched(thread_id: str, decision: Decision) -> Decision:
            self.tell("phase", "decide")
            stored = record(thread_id, decision)
            self.tell("decided", dict(stored))
            self.tell("phase", "resume")
            return stored

        return watched

    def _phase(self, before: str, after: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
            def watched(*args: Any, **kwargs: Any) -> Any:
                self.tell("phase", before)
                result = call(*args, **kwargs)
                self.tell("phase", after)
                return result

            return watched

        return wrapped


def live(order: Order, said: Connection) -> None:
    """A life: the target of the child process."""

    def tell(what: str, value: object = None) -> None:
        if what == "phase":
            instants.phase = str(value)
        said.send((what, value))

    instants = Instants(order.plan, lambda where: tell("died", where))
    desk.OUTSIDE, desk.here = order.outside, instants.here
    tell("born")
    tell("phase", "open")
    instants.watch_files()
    instants.watch(psycopg.Connection, "execute")
    rules = Path(__file__).with_name("policy.toml")
    settings = settings_for(Path(order.home), order.dsn, tools=["tests.chaos.desk"], policy=rules)
    with Workspace(settings, parts=ObservedParts(settings, tell)) as workspace:
        _advance(workspace, order, tell)
    tell("done", dict(instants.seen))


def _advance(workspace: Workspace, order: Order, tell: Tell) -> None:
    """Ask where nothing was asked yet, else go on; decide what waits, until nothing does."""
    thread = order.thread
    tell("phase", "propose" if not thread else "resume")
    try:
        result = workspace.resume(thread) if thread else None
    except UnknownThread:
        tell("gone", thread)
        result = None
    if result is None:
        wanted = json.dumps({"tool": order.tool, "name": order.name})
        result = workspace.ask(wanted, on_start=lambda begun: tell("thread", begun))
    while result.status != "done":
        tell("acknowledged", result.thread_id)
        for review in result.reviews:
            tell("review", (review["id"], review["kind"]))
            said = order.decision
            if review["kind"] == "in_doubt":  # the person looks where the money went
                said = {"type": "approve" if ask(order.outside, order.name, look=True) else "reject"}
            tell("phase", "decide")
            workspace.decide(review["id"], said)
        result = workspace.resume(result.thread_id)
    tell("acknowledged", result.thread_id)
