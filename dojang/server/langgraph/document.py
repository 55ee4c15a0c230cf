"""What the OpenAPI document says of these routes' answers. Says it only: the answers are made where they always were.

Fuzzing holds every answer against it (``tests/dojang/server/fuzz``), so what stands here is what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from dojang.server.langgraph.bodies import JSONObject, ThreadStatus

Responses = dict[int | str, dict[str, Any]]
RunState = Literal["pending", "running", "success", "error", "interrupted", "timeout"]


class Told(BaseModel):
    """Members may be added, as these clients expect."""

    model_config = ConfigDict(extra="allow")


class Refusal(Told):
    """A mistake, in one line; twice, because LangGraph's clients read ``detail`` and ours read ``error``."""

    error: str
    detail: str = ""


class Interrupt(Told):
    """What waits for a person."""

    id: str
    value: Any


class ThreadForm(Told):
    """A thread, as far as it was selected."""

    thread_id: str = ""
    created_at: str = ""
    updated_at: str = ""
    state_updated_at: str = ""
    metadata: JSONObject = {}
    status: ThreadStatus = "idle"
    config: JSONObject = {}
    values: JSONObject | None = None
    interrupts: dict[str, list[Interrupt]] = {}


class RunForm(Told):
    """An accepted run."""

    run_id: str
    thread_id: str
    assistant_id: str
    created_at: str
    updated_at: str
    status: RunState
    metadata: JSONObject
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"]
    kwargs: JSONObject


class CheckpointForm(Told):
    """Where a state lies; ``checkpoint_id`` is null where nothing was asked yet."""

    thread_id: str | None
    checkpoint_ns: str
    checkpoint_id: str | None
    checkpoint_map: JSONObject | None


class TaskForm(Told):
    """A step that comes next, or waits."""

    id: str
    name: str
    error: str | None
    interrupts: list[Interrupt]


class StateForm(Told):
    """A state."""

    values: JSONObject
    next: list[str]
    checkpoint: CheckpointForm
    metadata: JSONObject
    created_at: str | None
    parent_checkpoint: CheckpointForm | None
    tasks: list[TaskForm]
    interrupts: list[Interrupt]


class ChangedState(Told):
    """The checkpoint that a change has made."""

    checkpoint: CheckpointForm


class ItemForm(Told):
    """An item that is kept."""

    namespace: list[str]
    key: str
    value: JSONObject
    created_at: str
    updated_at: str


class ItemsForm(Told):
    """Items that were found."""

    items: list[ItemForm]


class NamespacesForm(Told):
    """Namespaces in which there are items."""

    namespaces: list[list[str]]


class CommandDone(Told):
    """A command was carried out."""

    type: Literal["success"]
    id: int
    result: JSONObject


class CommandRefused(Told):
    """A command was not."""

    type: Literal["error"]
    id: int
    error: str
    message: str


_WHY: Final[Mapping[int, str]] = {
    400: "the body asks for what is not taken; nothing was done",
    401: "no token, or none that is good",
    403: "the caller's roles do not open this, or the request comes from another site",
    404: "there is no such id, or not for this caller",
    409: "something waits, is under way, or was decided first",
    413: "the body is too large",
    421: "the server does not answer to this name",
    422: "the request does not fit its schema",
    429: "too much at a time; `Retry-After` says when to ask again",
    503: "something outside is away; ask again",
}
REFUSALS: Final[Responses] = {status: {"model": Refusal, "description": why} for status, why in _WHY.items()}


def gives(model: Any, description: str = "") -> Responses:
    """An answer of 200 in this form."""
    return {200: {"model": model, "description": description or "done"}}


EVENTS: Final[Responses] = {200: {"content": {"text/event-stream": {}}, "description": "numbered server-sent events"}}
"""Of a route whose class of answers is a stream, so that no JSON is named beside it."""
