"""LangChain's ``HumanInTheLoopMiddleware`` as its own pages use it: the control beside which the gate is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, hook_config
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command


class _Model(GenericFakeChatModel):
    """Says its lines in order, whatever tools it is given."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def wants(*calls: tuple[str, str]) -> AIMessage:
    """The model calls these tools, each with a room."""
    made = [{"name": name, "args": {"room": room}, "id": f"call{n}"} for n, (name, room) in enumerate(calls)]
    return AIMessage(content="", tool_calls=made)


class Jumps(AgentMiddleware[Any, Any]):
    """A middleware that does what its documentation offers: it sends every call on to the tools."""

    @hook_config(can_jump_to=["tools"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        last = next(m for m in reversed(state["messages"]) if m.type == "ai")
        return {"jump_to": "tools"} if last.tool_calls else None


class Middled:
    """An agent behind the middleware; ``ran`` has what its tools did."""

    def __init__(self, lines: Sequence[AIMessage], *others: AgentMiddleware[Any, Any], **interrupt_on: Any) -> None:
        self.ran: list[tuple[str, str]] = []
        gate: Any = HumanInTheLoopMiddleware(interrupt_on=interrupt_on)
        self.agent: Any = create_agent(
            _Model(messages=iter([*lines, AIMessage("Done.")])),
            tools=[self._tool(name) for name in ("book", "pay")],
            middleware=[*others, gate],
            checkpointer=InMemorySaver(),
        )
        self.config: Any = {"configurable": {"thread_id": uuid4().hex}}

    def _tool(self, name: str) -> StructuredTool:
        def run(room: str) -> str:
            self.ran.append((name, room))
            return "ok"

        return StructuredTool.from_function(run, name=name, description=name)

    def begin(self) -> None:
        self.agent.invoke({"messages": [HumanMessage("please")]}, self.config)

    def decide(self, *decisions: dict[str, Any]) -> None:
        self.agent.invoke(Command(resume={"decisions": list(decisions)}), self.config)
