"""A run's stream in the newer form of LangGraph's clients (``langchain_protocol``): typed events of numbered channels.

A run that a command started keeps its events in this form. Values, updates, tasks and checkpoints are what the graph
streams; messages begin, grow and end; a tool's call shows when its outcome is in the ledger. When a run begins and how
it ended, whoever follows it tells: it is in the run's row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage

from dojang.server.work.plain import dumps

PREFIX: Final = "protocol/"
"""Before the names of these events where a run's events are kept: readers of the older form pass over them."""
GRAPH_MODES: Final = ("checkpoints", "custom", "messages", "tasks", "updates", "values")
Put = Callable[[str, bytes], None]


def params(data: Any, namespace: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """The parameters of an event."""
    return {"namespace": list(namespace), "timestamp": int(time.time() * 1000), "data": data, **more}


class ProtocolEvents:
    """Puts what a run streams into its channel, as :class:`dojang.server.work.streaming.Streamed` does."""

    def __init__(self, put: Put) -> None:
        self.put = put
        self._open: dict[str, str] = {}  # id of a message that is being spoken, to its text so far
        self._told: set[str] = set()
        self._calls: dict[str, dict[str, Any]] = {}

    def graph_modes(self) -> tuple[str, ...]:
        """LangGraph's own modes for these."""
        return GRAPH_MODES

    def callbacks(self) -> list[Any]:
        """Nobody else listens."""
        return []

    def take(self, ns: tuple[str, ...], mode: str, chunk: Any) -> None:
        """One chunk of ``graph.stream``."""
        if mode == "messages":
            self._message(ns, *chunk)
            return
        self._finish(ns)  # a step's result: who spoke in it has ended
        if mode == "values":
            self._values(ns, chunk)
        elif mode == "updates":
            self._updates(ns, chunk)
        elif mode == "checkpoints":
            self._tell("checkpoints", ns, _checkpoint(chunk))
        elif mode == "custom":
            self._tell("custom", ns, {"payload": chunk})
        else:
            self._tell("tasks", ns, chunk)

    def _tell(self, method: str, ns: Sequence[str], data: Any, **more: Any) -> None:
        self.put(PREFIX + method, dumps(params(data, ns, **more)))

    def _values(self, ns: tuple[str, ...], values: Mapping[str, Any]) -> None:
        for message in values.get("messages") or []:
            if isinstance(message, AIMessage):
                self._calls |= {str(call["id"]): dict(call["args"]) for call in message.tool_calls}
        kept = {key: value for key, value in values.items() if key != "__interrupt__"}
        waiting = values.get("__interrupt__")
        self._tell("values", ns, kept, **({"interrupts": waiting} if waiting else {}))

    def _updates(self, ns: tuple[str, ...], chunk: Mapping[str, Any]) -> None:
        for node, update in chunk.items():
            if node.startswith("__"):
                continue
            parts = update if isinstance(update, list) else [update]
            for part in parts:
                values = part if isinstance(part, Mapping) else {}
                for message in _messages(values.get("messages")):
                    self._whole(ns, node, message)
                self._tell("updates", ns, {"node": node, "values": values})

    def _whole(self, ns: tuple[str, ...], node: str, message: Any) -> None:
        """A message of a step's result: a tool's answer, or words that were not streamed."""
        if isinstance(message, ToolMessage):
            self._tool(ns, message)
        elif isinstance(message, AIMessage) and message.id and message.id not in self._told:
            self._begin(ns, node, message)
            self._grow(ns, message.id, message.text)
            self._finish(ns, [message.id], message)

    def _tool(self, ns: tuple[str, ...], message: ToolMessage) -> None:
        about = {"tool_call_id": message.tool_call_id}
        if message.tool_call_id in self._told:
            return
        self._told.add(message.tool_call_id)
        given = self._calls.get(message.tool_call_id)
        started = {"event": "tool-started", **about, "tool_name": message.name or ""}
        self._tell("tools", ns, started | ({"input": given} if given is not None else {}))
        if message.status == "error":
            self._tell("tools", ns, {"event": "tool-error", **about, "message": message.text})
        else:
            self._tell("tools", ns, {"event": "tool-finished", **about, "output": message.content})

    def _message(self, ns: tuple[str, ...], message: BaseMessage, about: Mapping[str, Any]) -> None:
        if not isinstance(message, AIMessage) or not message.id:
            return
        if message.id not in self._told:
            self._begin(ns, str(about.get("langgraph_node") or ""), message)
        if message.id in self._open:
            self._grow(ns, message.id, message.text)
            if not isinstance(message, AIMessageChunk) or message.chunk_position == "last":
                self._finish(ns, [message.id], message)

    def _begin(self, ns: tuple[str, ...], node: str, message: AIMessage) -> None:
        assert message.id is not None
        self._told.add(message.id)
        self._open[message.id] = ""
        start = {"event": "message-start", "role": "ai", "id": message.id, "metadata": {"langgraph_node": node}}
        self._tell("messages", ns, start)
        block = {"event": "content-block-start", "id": message.id, "index": 0, "content": {"type": "text", "text": ""}}
        self._tell("messages", ns, block)

    def _grow(self, ns: tuple[str, ...], message_id: str, text: str) -> None:
        if text:
            self._open[message_id] += text
            delta = {"type": "text-delta", "text": text}
            self._tell("messages", ns, {"event": "content-block-delta", "id": message_id, "index": 0, "delta": delta})

    def _finish(
        self, ns: tuple[str, ...], message_ids: Iterable[str] | None = None, message: AIMessage | None = None
    ) -> None:
        for message_id in list(self._open if message_ids is None else message_ids):
            whole: list[dict[str, Any]] = [{"type": "text", "text": self._open.pop(message_id)}]
            calls = [] if message is None or isinstance(message, AIMessageChunk) else message.tool_calls
            whole += [{"type": "tool_call", "id": c["id"], "name": c["name"], "args": c["args"]} for c in calls]
            for index, block in enumerate(whole):
                end = {"event": "content-block-finish", "id": message_id, "index": index, "content": block}
                self._tell("messages", ns, end)
            usage = message.usage_metadata if message is not None else None
            ended = {"event": "message-finish", "id": message_id, **({"usage": usage} if usage else {})}
            self._tell("messages", ns, ended)


def _messages(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given] if isinstance(given, BaseMessage) else []


def _checkpoint(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What can be forked, and where it hangs; values come in their own channel."""

    def id_of(config: Any) -> Any:
        return ((config or {}).get("configurable") or {}).get("checkpoint_id")

    metadata, parent = payload.get("metadata") or {}, id_of(payload.get("parent_config"))
    found = {"id": id_of(payload.get("config")), "step": metadata.get("step"), "source": metadata.get("source")}
    return found | ({"parent_id": parent} if parent else {})
