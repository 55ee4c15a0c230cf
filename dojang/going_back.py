"""Going back to an older checkpoint of a thread, to go on from there another way. What was done is not undone by it.

The newest checkpoint becomes a copy of the older one, so everything after it is as on any thread. What somebody was
asked or decided since, and what a call did, cannot be taken out of the world by taking it out of the conversation; a
turn that was gone behind would ask and do it anew. So nobody goes back behind those; a copy of the thread has neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from dojang.parts import Parts
from dojang.runs import unfinished, waiting_of
from nodes.gate import pending_proposals, spec_of
from state import Conflict, UserError

_LASTING = ("reviews", "decisions", "outcomes")
DOOR = "review"


class UnknownCheckpoint(UserError):
    """There is no checkpoint with this id in this thread."""


def at_checkpoint(parts: Parts, thread_id: str, checkpoint_id: str) -> StateSnapshot:
    """The state at a checkpoint; UnknownCheckpoint where there is none."""
    snapshot = parts.reader.get_state(config_of(thread_id, checkpoint_id))
    if snapshot.created_at is None:
        raise UnknownCheckpoint(f"thread {thread_id} has no checkpoint {checkpoint_id!r}; its history lists them")
    return snapshot


def config_of(thread_id: str, checkpoint_id: str = "") -> RunnableConfig:
    """Where a thread is, or was."""
    inner = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": inner | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def go_back(parts: Parts, thread_id: str, checkpoint_id: str, by: str) -> bool:
    """Make a checkpoint the newest state again, under the thread's lock; whether it was not so already.

    Raises:
        UnknownCheckpoint: the thread has none with this id.
        Conflict: something waits or is under way, or somebody was asked or something done since that checkpoint.
    """
    with parts.run_lock(thread_id):
        newest = parts.reader.get_state(config_of(thread_id))
        if newest.config["configurable"].get("checkpoint_id") == checkpoint_id:
            return False
        target = at_checkpoint(parts, thread_id, checkpoint_id)
        if waiting := waiting_of(newest):
            raise Conflict(f"thread {thread_id} waits for a decision on {waiting[0][1]['id']}; decide it first")
        if unfinished(newest) and pending_proposals(_values(newest)):
            raise Conflict(f"a run on thread {thread_id} was cut off; `dojang resume {thread_id}` finishes it")
        if lasting := next(_lasting(parts, thread_id, target), None):
            raise Conflict(
                f"thread {thread_id} cannot go back to {checkpoint_id}: {lasting} came after it and stays; copy the "
                "thread to try another way"
            )
        parts.audit.note(thread_id, "state.changed", by, thread_id, {"back_to": checkpoint_id})
        parts.graph.update_state(target.config, None, as_node="__copy__")
        return True


def copy_at(parts: Parts, source: str, checkpoint_id: str, target: str, by: str) -> None:
    """A new thread that has what was said in another one up to a checkpoint. Its reviews and effects stay there.

    Raises:
        UnknownCheckpoint: the source has none with this id.
        Conflict: a review or a call is on its way at that checkpoint: what was allowed there is not allowed here.
    """
    with parts.run_lock(source):
        check_copied(source, at_checkpoint(parts, source, checkpoint_id), f"at {checkpoint_id}")
        parts.audit.copied(source, target, by)
        parts.saver.copy_thread(source, target, upto=checkpoint_id)


def check_copied(source: str, there: StateSnapshot, where: str) -> None:
    """Raise Conflict where somebody is being asked, or a call is on its way: nobody could decide that in a copy."""
    if waiting_of(there) or DOOR in there.next or pending_proposals(_values(there)):
        raise Conflict(
            f"thread {source} cannot be copied {where}: somebody is being asked there, or a call is on its way; "
            "decide it first, or choose a checkpoint before or after it"
        )


def _lasting(parts: Parts, thread_id: str, target: StateSnapshot) -> Iterator[str]:
    """Reviews, decisions and effects of the checkpoints that are newer than the target, on whatever branch."""
    before, toolbox = _values(target), parts.describer()
    for snapshot in parts.reader.get_state_history(config_of(thread_id)):
        if snapshot.config["configurable"]["checkpoint_id"] == target.config["configurable"]["checkpoint_id"]:
            return
        values = _values(snapshot)
        for key in _LASTING:
            for name, what in (values.get(key) or {}).items():
                if name in (before.get(key) or {}):
                    continue
                spec = spec_of(toolbox, what["tool"]) if key == "outcomes" else None
                if spec is None or spec["effect_class"] != "read":  # looking something up changed nothing
                    yield f"{key[:-1]} {name}"


def _values(snapshot: StateSnapshot) -> Any:
    values: Mapping[str, Any] = snapshot.values
    return values
