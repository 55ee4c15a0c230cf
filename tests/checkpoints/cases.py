"""Small pieces that several of these test modules build on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt

from state import Decision, Review

DAMAGED_COMMAND = "dojang checkpoints repair"


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    n: int


def chat_graph(saver: BaseCheckpointSaver[Any], *, ask: bool = False) -> Any:
    """One node that answers, and with ``ask`` a second one that waits for a person."""

    def answer(state: Chat) -> dict[str, Any]:
        return {"messages": [AIMessage("대답 " + "가" * 100)], "n": state.get("n", 0) + 1}

    def wait(state: Chat) -> dict[str, Any]:
        return {"messages": [HumanMessage(f"결재: {interrupt({'question': '승인?'})}")]}

    builder = StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer")
    if ask:
        builder = builder.add_node("wait", wait).add_edge("answer", "wait")
    return builder.compile(checkpointer=saver)


def config(thread_id: str = "t", cp: str | None = None, ns: str = "") -> RunnableConfig:
    found: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": ns}
    if cp is not None:
        found["checkpoint_id"] = cp
    return {"configurable": found}


def checkpoint(values: dict[str, Any], versions: dict[str, Any], cp: str | None = None) -> Checkpoint:
    return Checkpoint(
        v=4,
        id=cp or str(uuid6()),
        ts=datetime.now(UTC).isoformat(),
        channel_values=values,
        channel_versions=versions,
        versions_seen={"node": dict(versions)},
        updated_channels=sorted(versions),
    )


def metadata(step: int = 0, **more: Any) -> CheckpointMetadata:
    return cast(CheckpointMetadata, {"source": "loop", "step": step, "parents": {}, **more})


def dump(saver: BaseCheckpointSaver[Any], thread_id: str = "t") -> list[Any]:
    """Everything that a saver says of a thread, comparable with ==."""
    return [
        (t.config["configurable"], t.checkpoint, t.metadata, t.parent_config, t.pending_writes)
        for t in saver.list({"configurable": {"thread_id": thread_id}})
    ]


def decision(review_id: str = "r", by: str = "김하나", **more: Any) -> Decision:
    made = Decision(
        review_id=review_id,
        digest="d",
        type="approve",
        by=by,
        at=datetime.now(UTC).isoformat(),
        reason="확인함",
        edited_args=None,
        message="",
        dwell_ms=None,
        channel="test",
    )
    return cast(Decision, {**made, **more})


def review(rid: str, thread_id: str, *, kind: str = "tool", due_at: str = "2026-01-01") -> Review:
    return cast(Review, {"id": rid, "thread_id": thread_id, "kind": kind, "due_at": due_at, "summary": "방 예약"})
