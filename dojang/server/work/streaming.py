"""From what the graph streams to the events of a run, in the names that LangGraph's clients know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from dojang.server.work.plain import dumps, public_checkpoint

StreamMode = Literal[
    "values", "updates", "messages", "messages-tuple", "custom", "events", "debug", "checkpoints", "tasks"
]
Put = Callable[[str, bytes], None]
_GRAPH_MODE: Final = {"messages-tuple": "messages"}


class Streamed:
    """Puts what a run streams into its channel.

    Args:
        modes: what the client asked for.
        subgraphs: whether events of graphs within the graph are wanted, too.
        put: takes an event's name and its JSON.
    """

    def __init__(self, modes: Sequence[StreamMode], put: Put, *, subgraphs: bool = False) -> None:
        self.wanted = set(modes)
        self.put = put
        self.subgraphs = subgraphs
        self._said: dict[str, BaseMessage] = {}

    def graph_modes(self) -> tuple[str, ...]:
        """LangGraph's own modes for these."""
        return tuple(sorted({_GRAPH_MODE.get(mode, mode) for mode in self.wanted - {"events"}}))

    def callbacks(self) -> list[BaseCallbackHandler]:
        """Who has to listen where no mode of the graph tells."""
        return [RunEvents(self.put)] if "events" in self.wanted else []

    def take(self, ns: tuple[str, ...], mode: str, chunk: Any) -> None:
        """One chunk of ``graph.stream``."""
        if ns and not self.subgraphs:
            return
        if mode == "messages":
            self._message(ns, *chunk)
            return
        if mode in ("checkpoints", "debug"):
            chunk = public_checkpoint(chunk)
        self.put("|".join((mode, *ns)), dumps(chunk))

    def _message(self, ns: tuple[str, ...], message: BaseMessage, about: dict[str, Any]) -> None:
        if "messages-tuple" in self.wanted:
            self.put("|".join(("messages", *ns)), dumps([message, about]))
        if "messages" not in self.wanted:
            return
        known = self._said.get(message.id or "")
        if known is None:
            self.put("|".join(("messages/metadata", *ns)), dumps({message.id: {"metadata": about}}))
        whole = not isinstance(message, BaseMessageChunk)
        if isinstance(known, BaseMessageChunk) and isinstance(message, BaseMessageChunk):
            message = known + message
        self._said[message.id or ""] = message
        told = message_chunk_to_message(message) if isinstance(message, BaseMessageChunk) else message
        self.put("|".join(("messages/complete" if whole else "messages/partial", *ns)), dumps([told]))


class RunEvents(BaseCallbackHandler):
    """The mode ``events``: starts and ends of chains, models and tools in the form of ``astream_events``, version 2."""

    run_inline = True

    def __init__(self, put: Put) -> None:
        self.put = put
        self._runs: dict[UUID, tuple[str, str, list[str], dict[str, Any], UUID | None]] = {}

    def _begin(self, kind: str, serialized: Any, data: dict[str, Any], run_id: UUID, **about: Any) -> None:
        name = about.get("name") or (serialized or {}).get("name") or kind
        tags, metadata = list(about.get("tags") or []), dict(about.get("metadata") or {})
        self._runs[run_id] = (kind, name, tags, metadata, about.get("parent_run_id"))
        self._tell("start", run_id, data)

    def _tell(self, what: str, run_id: UUID, data: dict[str, Any], *, last: bool = False) -> None:
        if run_id not in self._runs:
            return
        kind, name, tags, metadata, parent = self._runs[run_id]
        parents: list[str] = []
        while parent is not None:
            parents.insert(0, str(parent))
            parent = self._runs[parent][4] if parent in self._runs else None
        told = {
            "event": f"on_{kind}_{what}",
            "name": name,
            "run_id": str(run_id),
            "tags": tags,
            "metadata": {k: v for k, v in metadata.items() if not k.startswith("__")},
            "data": data,
            "parent_ids": parents,
        }
        if last:
            del self._runs[run_id]
        self.put("events", dumps(told))

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A node, a router or the graph begins."""
        self._begin("chain", serialized, {"input": inputs}, run_id, **kwargs)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It has ended."""
        self._tell("stream", run_id, {"chunk": outputs})
        self._tell("end", run_id, {"output": outputs}, last=True)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It broke off, or paused: that has no event in this form."""
        self._runs.pop(run_id, None)

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The model begins to speak."""
        self._begin("chat_model", serialized, {"input": {"messages": messages}}, run_id, **kwargs)

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        """A word of the model."""
        self._tell("stream", run_id, {"chunk": getattr(chunk, "message", token)})

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The model has spoken."""
        said = response.generations[0][0]
        self._tell("end", run_id, {"output": getattr(said, "message", said.text)}, last=True)

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool begins."""
        self._begin("tool", serialized, {"input": kwargs.get("inputs") or input_str}, run_id, **kwargs)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool has ended."""
        self._tell("end", run_id, {"output": output}, last=True)
