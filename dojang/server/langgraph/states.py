"""A thread's state: now, at a checkpoint, through its history; and changed by hand as far as that is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import RunnableConfig
from langgraph.errors import InvalidUpdateError
from langgraph.types import StateSnapshot

from checkpoints.values.codec import is_text
from dojang.going_back import at_checkpoint, config_of, go_back
from dojang.server.langgraph.answers import Answer
from dojang.server.langgraph.bodies import CheckpointIn, HistoryIn, StateIn
from dojang.server.langgraph.caller import caller_of
from dojang.server.langgraph.document import REFUSALS, ChangedState, StateForm, gives
from dojang.server.langgraph.forms import Threads, state_form
from dojang.server.langgraph.inputs import NotTaken, filters_of
from dojang.server.langgraph.threads import AtThreads
from dojang.server.programs import ProgramRoute
from dojang.workspace import Workspace
from state import AgentState, Conflict

router = APIRouter(
    tags=["langgraph state"], route_class=ProgramRoute, responses=REFUSALS, default_response_class=Answer
)

TAKEN: Final = ("messages", "filters", "question")
"""Keys of the state that may be changed by hand. What was asked, allowed, decided and done, only the graph writes."""


@router.get("/threads/{thread_id}/state", responses=gives(StateForm))
def current(threads: AtThreads, thread_id: str) -> Response:
    """The newest state; an empty one where nothing was asked yet."""
    threads.check(thread_id)
    return Answer(state_form(threads.workspace.look(thread_id)))


@router.get("/threads/{thread_id}/state/{checkpoint_id}", responses=gives(StateForm))
def at(threads: AtThreads, thread_id: str, checkpoint_id: str) -> Response:
    """The state at a checkpoint."""
    threads.check(thread_id)
    return Answer(_at(threads.workspace, thread_id, checkpoint_id))


@router.post("/threads/{thread_id}/state/checkpoint", responses=gives(StateForm))
def at_named(threads: AtThreads, thread_id: str, asked: CheckpointIn) -> Response:
    """The state at a checkpoint, or the newest where it names none."""
    threads.check(thread_id)
    checkpoint_id = asked.checkpoint.get("checkpoint_id")
    if not checkpoint_id:
        return Answer(state_form(threads.workspace.look(thread_id)))
    return Answer(_at(threads.workspace, thread_id, str(checkpoint_id)))


@router.post("/threads/{thread_id}/state", responses=gives(ChangedState))
def update(request: Request, threads: AtThreads, thread_id: str, asked: StateIn) -> Response:
    """Change the state as if a node had; not what the graph alone writes, and not while something waits."""
    threads.check(thread_id)
    given = asked.checkpoint_id or (asked.checkpoint or {}).get("checkpoint_id")
    values = _allowed(asked.values, caller_of(request))
    workspace = threads.workspace
    if given and workspace.look(thread_id).created_at is not None:
        go_back(workspace.parts, thread_id, str(given), caller_of(request))
    with workspace.parts.run_lock(thread_id):
        newest = workspace.look(thread_id)
        if newest.created_at is not None:
            workspace.check_ready(thread_id)
        if waiting := workspace.waiting(thread_id):  # what somebody thinks of the last answer is a pause as well
            raise Conflict(f"thread {thread_id} waits for a decision on {waiting[0][1]['id']}; decide it first")
        if not is_text(asked.as_node or ""):  # no record can name it
            raise NotTaken(f"no record can name the node {asked.as_node!r}: it has half a character")
        facts = {"keys": sorted(values or {}), "as_node": asked.as_node}
        note = partial(workspace.parts.audit.note, thread_id, "state.changed", caller_of(request), thread_id)
        note(facts)  # first: what cannot be noted is not done
        try:
            config = workspace.parts.graph.update_state(config_of(thread_id), values, as_node=asked.as_node)
        except (InvalidUpdateError, KeyError, ValueError) as error:
            note({**facts, "refused": True})
            raise NotTaken(f"the state cannot be changed so: {error}") from None
    checkpoint = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_map": None} | {
        "checkpoint_id": config["configurable"]["checkpoint_id"]
    }
    return Answer({"checkpoint": checkpoint, "configurable": checkpoint})


@router.get("/threads/{thread_id}/history", responses=gives(list[StateForm]))
def history_by_get(threads: AtThreads, thread_id: str, limit: int = 10, before: str | None = None) -> Response:
    """The states of a thread, newest first."""
    return history(threads, thread_id, HistoryIn(limit=min(max(limit, 1), 1000), before=before))


@router.post("/threads/{thread_id}/history", responses=gives(list[StateForm]))
def history(threads: AtThreads, thread_id: str, asked: HistoryIn) -> Response:
    """The states of a thread, newest first."""
    return Answer([state_form(snapshot) for snapshot in history_of(threads, thread_id, asked)])


def history_of(threads: Threads, thread_id: str, asked: HistoryIn) -> Iterator[StateSnapshot]:
    """The states that are asked for, newest first; UnknownThread where there is no such thread."""
    threads.check(thread_id)
    config = config_of(thread_id)
    if asked.checkpoint and asked.checkpoint.get("checkpoint_id"):
        config = config_of(thread_id, str(asked.checkpoint["checkpoint_id"]))
    before: RunnableConfig | None = None
    if asked.before:
        named = asked.before if isinstance(asked.before, str) else asked.before.get("checkpoint_id")
        before = config_of(thread_id, str(named))
    return threads.workspace.parts.reader.get_state_history(
        config, filter=asked.metadata, before=before, limit=asked.limit
    )


def _at(workspace: Workspace, thread_id: str, checkpoint_id: str) -> dict[str, Any]:
    return state_form(at_checkpoint(workspace.parts, thread_id, checkpoint_id))


def _allowed(values: Any, caller: str) -> dict[str, Any] | None:
    """The update, its messages by the caller where they are a person's.

    Raises:
        NotTaken: a key that only the graph writes, or that the state does not have.
    """
    if values is None:
        return None
    parts: Sequence[Any] = values if isinstance(values, list) else [values]
    merged: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, Mapping):
            raise NotTaken("values is an object of state keys")
        merged |= part
    for key in merged:
        if key not in AgentState.__annotations__:
            raise NotTaken(f"the state has no key {key!r}")
        if key not in TAKEN:
            raise NotTaken(f"{key} is not taken: only the graph writes it, when it has asked, judged or run something")
    if not isinstance(merged.get("question", ""), str):
        raise NotTaken("question must be text")
    filters_of(merged)
    if "messages" in merged:
        merged["messages"] = _messages(merged["messages"], caller)
    return merged


def _messages(given: Any, caller: str) -> list[BaseMessage]:
    try:
        messages = convert_to_messages(given if isinstance(given, list) else [given])
    except (ValueError, NotImplementedError, TypeError) as error:
        raise NotTaken(f"messages cannot be read: {error}") from None
    for message in messages:
        if isinstance(message, HumanMessage):
            message.name = caller  # the name of a turn's message is its requester
    return messages
