"""A model that does what it reads, tools that count what was really done, and one play of the real graph with both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph import AgentGraph
from nodes.ports import Deps
from state import Generation, Language, Passage, Review, ToolSpec
from tests.graph.parts import (
    FixedClock,
    MemoryDecisions,
    MemoryLedger,
    Shelf,
    calls,
    graph_over,
    passage,
    sample_policy,
    says,
)
from tools.effects import effect
from tools.toolbox import Toolbox

CONFIG: Any = {"configurable": {"thread_id": "t", "__pregel_strict_resume": True}}


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
            return calls((self.first.pop(0), {"subject": "x"}))
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

    def reader(self, text: str, name: str = "look") -> Any:
        """A harmless look-up whose result carries the attack."""
        schema = {"type": "object", "properties": {"subject": {"type": "string"}}, "required": ["subject"]}
        tool = StructuredTool(name=name, description=name, args_schema=schema, func=lambda **args: text)
        return effect("read")(tool)


@dataclass
class Play:
    """One conversation in which the model obeys an attack that it meets in a document or in a tool's result.

    Args:
        attack: the text that the model obeys once it has read it.
        wanted: the tools that it then calls.
        offered: what there is; the tools that only read carry what they return.
        documents: passages that the question finds.
        first: tools that the model calls before anything else.
    """

    attack: str
    wanted: list[str]
    offered: list[Any]
    documents: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator = Obedient(self.attack, self.wanted, first=list(self.first))
        self.deps = Deps(
            retriever=Shelf([passage(text, trust="untrusted") for text in self.documents]),
            generator=self.generator,
            toolbox=Toolbox(self.offered),
            policy=sample_policy(),
            ledger=MemoryLedger(),
            decisions=MemoryDecisions(),
            clock=FixedClock(),
        )
        self.graph: AgentGraph = graph_over(InMemorySaver())

    def begin(self, said: str = "Please look this up.") -> list[Review]:
        """Ask; the reviews of calls that wait."""
        self.graph.invoke({"messages": [HumanMessage(said)]}, CONFIG, context=self.deps)
        assert self.generator.fell, "the attack never reached the model: this test would prove nothing"
        return [review for _, review in self._waiting() if review["action"]["tool"]]

    def decide(self, kind: str) -> None:
        """The same decision on everything that waits."""
        said = {"type": kind, "by": "kim"}
        resume: Any = Command(resume={interrupt_id: said for interrupt_id, _ in self._waiting()})
        self.graph.invoke(resume, CONFIG, context=self.deps)

    def values(self) -> dict[str, Any]:
        return self.graph.get_state(CONFIG).values

    def _waiting(self) -> list[tuple[str, Review]]:
        return [(i.id, i.value["review"]) for task in self.graph.get_state(CONFIG).tasks for i in task.interrupts]
