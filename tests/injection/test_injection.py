"""A model that obeys every attacker: what stands in documents and tool results still runs nothing by itself.

The strings are those of public attack collections; the model here is scripted to emit exactly the calls that the
attacker wants, once it has read the attack. What holds it is the gate, not the model's judgement.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from dojang.settings import SAMPLE
from graph import build_graph
from nodes.ports import Deps
from state import Generation, Language, Passage, ToolSpec
from tests.graph.parts import FixedClock, MemoryDecisions, MemoryLedger, Shelf, calls, passage, says
from tools.effects import effect
from tools.policy import load_policy
from tools.toolbox import Toolbox


@dataclass
class Obedient:
    """Does whatever the text that it reads wants: the wanted calls as soon as the attack is before it, then words."""

    attack: str
    wanted: list[str]
    first: list[str] = field(default_factory=list)
    fell: bool = False

    def reply(
        self,
        messages: Sequence[AnyMessage],
        *,
        passages: Sequence[Passage],
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> Generation:
        if self.first:
            return calls((self.first.pop(), {"subject": "x"}))
        read = " ".join([*(p["text"] for p in passages), *(str(m.content) for m in messages if m.type == "tool")])
        if not self.fell and _letters(self.attack)[:200] in _letters(read):
            self.fell = True
            return calls(*((name, {"subject": self.attack[:40]}) for name in self.wanted))
        return says("All done. [1]")


def _letters(text: str) -> str:
    """What is left when line breaks and escapes, which a tool's result is shown with, are taken away."""
    return "".join(c for c in text.replace("\\n", "").replace("\\u", "") if c.isalnum())


@dataclass
class World:
    """Counts what was really done."""

    done: list[str] = field(default_factory=list)

    def tool(self, name: str) -> StructuredTool:
        """A tool as a foreign server would bring it: no declaration, so irreversible and at most once."""
        schema = {"type": "object", "properties": {"subject": {"type": "string"}}, "required": ["subject"]}

        def run(**args: Any) -> dict[str, bool]:
            self.done.append(name)
            return {"ok": True}

        return StructuredTool(name=name, description=name, args_schema=schema, func=run)

    def reader(self, text: str) -> Any:
        """A harmless look-up whose result carries the attack."""
        schema = {"type": "object", "properties": {"subject": {"type": "string"}}, "required": ["subject"]}
        tool = StructuredTool(name="look", description="look", args_schema=schema, func=lambda **args: text)
        return effect("read")(tool)


def _cases(data: Path) -> list[tuple[str, list[str]]]:
    lines = (data / "injections" / "injections.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["text"], row.get("wanted_tools") or ["wire_money"]) for row in rows]


def _play(attack: str, wanted: list[str], *, known: bool, where: str) -> tuple[World, Any]:
    world = World()
    offered: list[Any] = [world.reader(attack if where == "tool" else "nothing here")]
    offered += [world.tool(name) for name in dict.fromkeys(wanted)] if known else []
    shelf = [passage(attack, trust="untrusted")] if where == "document" else []
    generator = Obedient(attack, wanted, first=["look"] if where == "tool" else [])
    deps = Deps(
        retriever=Shelf(shelf),
        generator=generator,
        toolbox=Toolbox(offered),
        policy=load_policy(SAMPLE / "policy.toml"),
        ledger=MemoryLedger(),
        decisions=MemoryDecisions(),
        clock=FixedClock(),
    )
    graph = build_graph(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t", "__pregel_strict_resume": True}}
    graph.invoke({"messages": [HumanMessage("Please look this up.")]}, config, context=deps)
    assert generator.fell, "the attack never reached the model: this test would prove nothing"
    state = graph.get_state(config)
    waiting = [i for task in state.tasks for i in task.interrupts]
    if known:
        assert len(waiting) == len(wanted)
        assert world.done == [], "a consequential call ran without a decision"
        resume = {i.id: {"type": "reject", "by": "kim"} for i in waiting}
        graph.invoke(Command(resume=resume), config, context=deps)
    else:
        assert waiting == [], "an unknown tool opened a review"
    return world, graph.get_state(config).values


@pytest.mark.parametrize("where", ["document", "tool"])
@pytest.mark.parametrize("known", [True, False], ids=["offered", "unknown"])
def test_nothing_runs_without_a_decision(test_data: Path, where: str, known: bool) -> None:
    cases = _cases(test_data)
    assert len(cases) > 150
    for attack, wanted in cases:
        world, values = _play(attack, wanted, known=known, where=where)
        assert world.done == []
        assert all(o["status"] == "refused" for o in values["outcomes"].values() if o["tool"] != "look")


def test_a_call_that_was_approved_does_run(test_data: Path) -> None:
    """The other side of it: the harness would notice an execution."""
    attack, wanted = _cases(test_data)[0]
    world = World()
    deps = Deps(
        retriever=Shelf([passage(attack, trust="untrusted")]),
        generator=Obedient(attack, wanted),
        toolbox=Toolbox([world.tool(name) for name in wanted]),
        policy=load_policy(SAMPLE / "policy.toml"),
        ledger=MemoryLedger(),
        decisions=MemoryDecisions(),
        clock=FixedClock(),
    )
    graph = build_graph(InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t", "__pregel_strict_resume": True}}
    graph.invoke({"messages": [HumanMessage("Please look this up.")]}, config, context=deps)
    [task] = graph.get_state(config).tasks
    graph.invoke(Command(resume={task.interrupts[0].id: {"type": "approve"}}), config, context=deps)
    assert world.done == wanted
