"""The graph that ``langgraph dev`` serves for ``serving.py``: one node, which pauses where the message says "pay"."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt


def reply(state: MessagesState) -> dict[str, Any]:
    """Answer at once, or ask first."""
    if "pay" in str(state["messages"][-1].content):
        interrupt({"action": "pay"})
        return {"messages": [AIMessage("paid")]}
    return {"messages": [AIMessage("hello")]}


graph = StateGraph(MessagesState).add_node(reply).add_edge(START, "reply").add_edge("reply", END).compile()
