"""What lists show of a thread: derived from its newest state and its decisions, kept in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from langgraph.checkpoint.base import CheckpointTuple

from state import Decision, Review

if TYPE_CHECKING:
    from checkpoints import Summary


def summarise(tuple_: CheckpointTuple, decisions: dict[str, Decision]) -> Summary:
    """What the index keeps of a thread: derived from its newest checkpoint and its decisions alone."""
    from checkpoints import Summary

    values = tuple_.checkpoint["channel_values"]
    waiting: list[Review] = []
    for _, channel, value in tuple_.pending_writes or []:
        if channel == "__interrupt__":
            waiting += [i.value["review"] for i in value if isinstance(i.value, dict) and "review" in i.value]
    # A copied thread waits for nobody: its reviews are those of the thread that it is a copy of.
    thread_id = tuple_.config["configurable"]["thread_id"]
    reviews = [r for r in waiting if r["id"] not in decisions and r["thread_id"] == thread_id]
    messages = values.get("messages") or []
    first = next((m for m in messages if m.type == "human"), None)
    title = first.text if first is not None else ""
    return Summary(
        title=title[:200],
        status="interrupted" if waiting else "idle",
        updated_at=tuple_.checkpoint["ts"],
        reviews=reviews,
        decided=[
            cast(Review, r)
            for r in (values.get("reviews") or {}).values()
            if r["id"] in decisions and r["thread_id"] == thread_id
        ],
        spent=list(values.get("spent") or []),
        adapter=str(values.get("adapter") or ""),
        owner=(first.name if first is not None else None) or str(values.get("requester") or ""),
    )
