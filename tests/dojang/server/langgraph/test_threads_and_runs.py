from __future__ import annotations

from typing import Any

from langgraph_sdk.client import SyncLangGraphClient

from dojang.workspace import Workspace
from tests.dojang.server.langgraph.conftest import says

MODES = ["values", "updates", "messages", "messages-tuple", "custom", "events", "debug", "checkpoints", "tasks"]


def test_from_a_message_over_a_pause_to_the_end(client: SyncLangGraphClient, house: Workspace) -> None:
    thread = client.threads.create(metadata={"customer": "c-17"})
    thread_id = thread["thread_id"]
    assert thread["status"] == "idle"
    assert client.threads.get_state(thread_id)["values"] == {}
    parts = list(client.runs.stream(thread_id, "dojang", input=says("please book a room"), stream_mode="updates"))
    assert [part.event for part in parts][:1] == ["metadata"]
    assert parts[-1].event == "end"
    assert [part.id for part in parts] == [str(n) for n in range(1, len(parts) + 1)]
    pause = parts[-2].data["__interrupt__"][0]
    state = client.threads.get_state(thread_id)
    assert state["next"] == ["review"]
    assert state["interrupts"][0]["id"] == pause["id"]
    waiting = client.threads.get(thread_id)
    assert waiting["status"] == "interrupted"
    assert next(iter(waiting["interrupts"].values()))[0]["value"]["action_requests"][0]["name"] == "book_room"
    ended: Any = client.runs.wait(thread_id, "dojang", command={"resume": {"decisions": [{"type": "approve"}]}})
    assert ended["answer"]["text"]
    assert client.threads.get(thread_id)["status"] == "idle"
    assert len(house.history(thread_id)) == len(client.threads.get_history(thread_id, limit=100))
    found = client.threads.search(metadata={"customer": "c-17"}, status="idle")
    assert [one["thread_id"] for one in found] == [thread_id]
    assert house.parts.decisions.of(thread_id).popitem()[1]["by"] == "kim"
    assert [run["status"] for run in client.runs.list(thread_id)] == ["success", "interrupted"]


def test_every_mode_at_once(client: SyncLangGraphClient, thread_id: str) -> None:
    modes: Any = MODES
    parts = list(client.runs.stream(thread_id, "dojang", input=says("When is check-out?"), stream_mode=modes))
    kinds = {part.event for part in parts}
    assert kinds >= {"metadata", "values", "updates", "messages", "messages/complete", "messages/metadata", "events"}
    assert kinds >= {"debug", "checkpoints", "tasks", "end"}
    assert "error" not in kinds
