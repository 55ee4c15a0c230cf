"""What LangGraph's clients send. Fields that mean nothing here are passed over; values of the wrong type are 422."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dojang.server.work.streaming import StreamMode

JSONObject = dict[str, Any]
NodeNames = Literal["*"] | list[str]
Limit = Field(10, ge=1, le=1000)
Offset = Field(0, ge=0, le=1_000_000)
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


class Body(BaseModel):
    """SDKs add fields with each version: those that are not known are no mistake."""

    model_config = ConfigDict(extra="ignore")


class CommandIn(Body):
    """How a run goes on."""

    resume: Any = None
    update: Any = None
    goto: Any = None


class RunIn(Body):
    """A run that is asked for."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "assistant_id": "dojang",
                    "input": {"messages": [{"role": "user", "content": "When is check-out?"}]},
                    "stream_mode": ["updates", "messages-tuple"],
                },
                {"assistant_id": "dojang", "command": {"resume": {"decisions": [{"type": "approve"}]}}},
            ]
        },
    )

    assistant_id: str
    input: JSONObject | None = None
    command: CommandIn | None = None
    stream_mode: StreamMode | list[StreamMode] | None = None
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    metadata: JSONObject | None = None
    context: JSONObject | None = None
    checkpoint: JSONObject | None = None
    checkpoint_id: str | None = None
    interrupt_before: NodeNames | None = None
    interrupt_after: NodeNames | None = None
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"] = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"
    after_seconds: float = Field(0, ge=0, le=31_536_000)
    webhook: str | None = None

    def at(self) -> str:
        """The checkpoint to go on from; "" where none is named."""
        return str(self.checkpoint_id or (self.checkpoint or {}).get("checkpoint_id") or "")

    def modes(self) -> list[StreamMode]:
        """The stream modes that are asked for; values where none is."""
        asked = self.stream_mode or ["values"]
        return list(dict.fromkeys([asked] if isinstance(asked, str) else asked))


class CancelMany(Body):
    """Which runs are to be cancelled."""

    thread_id: str | None = None
    run_ids: list[str] | None = None
    status: Literal["pending", "running", "all"] | None = None


class ThreadIn(Body):
    """A thread that is to be made."""

    thread_id: str | None = Field(None, min_length=1, max_length=200)
    metadata: JSONObject | None = None
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: list[Any] | None = None


class ThreadPatch(Body):
    """Members to add to a thread's metadata, or to put in place of others."""

    metadata: JSONObject


class ThreadSearch(Body):
    """Which threads are looked for; all that is said has to fit."""

    metadata: JSONObject | None = None
    values: JSONObject | None = None
    ids: list[str] | None = None
    status: ThreadStatus | None = None
    limit: int = Limit
    offset: int = Offset
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: list[str] | None = None


class StateIn(Body):
    """A change of a thread's state by hand."""

    values: Any = None
    as_node: str | None = None
    checkpoint: JSONObject | None = None
    checkpoint_id: str | None = None


class CheckpointIn(Body):
    """Which checkpoint's state is wanted."""

    checkpoint: JSONObject
    subgraphs: bool = False


class HistoryIn(Body):
    """Which part of a thread's history is wanted, newest first."""

    limit: int = Limit
    before: str | JSONObject | None = None
    metadata: JSONObject | None = None
    checkpoint: JSONObject | None = None


class AssistantSearch(Body):
    """Which assistants are looked for."""

    metadata: JSONObject | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: int = Limit
    offset: int = Offset
