"""What a new run does to one that is under way: enforced, one thread at a time."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import ConflictError

from tests.dojang.server.langgraph.conftest import Held, said_by_one, says


def questions(client: SyncLangGraphClient, thread_id: str) -> list[str]:
    values: Any = client.threads.get_state(thread_id)["values"]
    return [message["content"] for message in values["messages"] if message["type"] == "human"]


def start(client: SyncLangGraphClient, thread_id: str, text: str, **how: Any) -> str:
    return str(client.runs.create(thread_id, "dojang", input=says(text), **how)["run_id"])


def status(client: SyncLangGraphClient, thread_id: str, run_id: str) -> str:
    return str(client.runs.get(thread_id, run_id)["status"])


def test_reject(client: SyncLangGraphClient, thread_id: str, model: Held) -> None:
    with model.held():
        first = start(client, thread_id, "When is check-out?")
        assert model.speaking.wait(20)
        assert client.threads.get(thread_id)["status"] == "busy"
        assert [t["thread_id"] for t in client.threads.search(status="busy")] == [thread_id]
        with pytest.raises(ConflictError, match=rf"run {first}; wait for it, or choose the multitask strategy"):
            start(client, thread_id, "And parking?", multitask_strategy="reject")
        with pytest.raises(ConflictError, match="cancel them"):
            client.threads.delete(thread_id)
        with pytest.raises(ConflictError, match="not over"):
            client.runs.delete(thread_id, first)
    client.runs.join(thread_id, first)
    assert questions(client, thread_id) == ["When is check-out?"]


def test_enqueue_keeps_the_order(client: SyncLangGraphClient, thread_id: str, model: Held) -> None:
    with model.held():
        runs = [start(client, thread_id, f"When is check-out, {n}?") for n in range(3)]
        assert model.speaking.wait(20)
        assert [status(client, thread_id, run) for run in runs] == ["running", "pending", "pending"]
    client.runs.join(thread_id, runs[-1])
    assert [status(client, thread_id, run) for run in runs] == ["success"] * 3
    assert questions(client, thread_id) == [f"When is check-out, {n}?" for n in range(3)]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_interrupt_and_rollback(client: SyncLangGraphClient, thread_id: str, model: Held, strategy: Any) -> None:
    client.runs.wait(thread_id, "dojang", input=says("Is there a garden?"))
    with model.held():
        first = start(client, thread_id, "When is check-out?")
        assert model.speaking.wait(20)
        waiting = start(client, thread_id, "This one has not begun")
        last = start(client, thread_id, "And parking?", multitask_strategy=strategy)
        assert status(client, thread_id, waiting) == "interrupted"
        assert status(client, thread_id, last) == "pending"
    client.runs.join(thread_id, last)
    assert status(client, thread_id, first) == "interrupted"
    assert status(client, thread_id, last) == "success"
    kept = ["When is check-out?"] if strategy == "interrupt" else []
    assert questions(client, thread_id) == ["Is there a garden?", *kept, "And parking?"]
    assert client.runs.join(thread_id, waiting)  # over, so it is answered at once


@said_by_one
def test_a_call_on_its_way_comes_to_its_end_first(client: SyncLangGraphClient, thread_id: str, model: Held) -> None:
    with model.held():
        first = start(client, thread_id, "please book a room")
        assert model.speaking.wait(20)
        last = start(client, thread_id, "And parking?", multitask_strategy="rollback")
    client.runs.join(thread_id, first)
    failed: Any = client.runs.join(thread_id, last)
    assert "waits for a decision" in failed["__error__"]["message"]
    assert status(client, thread_id, last) == "error"
    assert client.threads.get(thread_id)["status"] == "interrupted"
    values: Any = client.runs.wait(thread_id, "dojang", command={"resume": {"decisions": [{"type": "approve"}]}})
    assert len(values["outcomes"]) == 1


def test_cancel(client: SyncLangGraphClient, thread_id: str, model: Held) -> None:
    with model.held():
        first, second = (start(client, thread_id, text) for text in ("When is check-out?", "And parking?"))
        assert model.speaking.wait(20)
        client.runs.cancel(thread_id, second)
        assert status(client, thread_id, second) == "interrupted"
        client.runs.cancel(thread_id, first)
    client.runs.join(thread_id, first)
    assert status(client, thread_id, first) == "interrupted"
    with pytest.raises(ConflictError, match="is over"):
        client.runs.cancel(thread_id, first)
    ended: Any = client.runs.wait(thread_id, "dojang", input=None)  # it goes on where it was stopped
    assert ended["answer"]["text"]
    client.runs.delete(thread_id, first)
    assert first not in [run["run_id"] for run in client.runs.list(thread_id)]
