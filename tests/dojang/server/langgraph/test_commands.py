"""The newer form of the SDK, commands and typed events: ``client.threads.stream``, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient

from dojang.server.langgraph.events import before_run
from dojang.server.work import Work
from tests.dojang.server.langgraph.conftest import says, until


def test_a_question_on_a_thread_of_its_own(client: SyncLangGraphClient) -> None:
    with client.threads.stream(assistant_id="dojang") as thread:
        run = thread.run.start(input=says("When is check-out?"), metadata={"n": 1})
        told = list(thread.interleave_projections(["values", "messages"]))
        values = [item for channel, item in told if channel == "values"]
        spoken = [str(item.text) for channel, item in told if channel == "messages"]
        assert values[-1]["answer"] == thread.output["answer"]
        assert spoken == [thread.output["messages"][-1]["content"]]
        found: Any = client.runs.get(thread.thread_id, run["run_id"])
        assert (found["status"], found["metadata"]) == ("success", {"n": 1})
        assert thread.agent.get_tree()["nodes"]


def rewound(thread: Any, seq: int) -> None:
    """Let a session read from after a number, as one that reconnects does."""
    thread._controller._run_start_gate.set()
    thread._controller.observe_applied_through_seq(seq)


def test_a_pause_is_answered_and_the_call_shows(client: SyncLangGraphClient, thread_id: str, work: Work) -> None:
    with client.threads.stream(thread_id, assistant_id="dojang") as thread:
        thread.run.start(input=says("please book a room"))
        until(lambda: thread.interrupts)  # not by a projection: the SDK leaves one that comes after the pause waiting
        review = thread.interrupts[0]["value"]["review"]
        assert review["action"]["tool"] == "book_room"
        with pytest.raises(RuntimeError, match="invalid_argument"):  # it does not fit, and nothing is lost
            thread.run.respond({"type": "edit", "edited_args": {"nonsense": 1}})
        run = thread.run.respond({"type": "approve"})["run_id"]
        assert [outcome["status"] for outcome in thread.output["outcomes"].values()] == ["done"]
    with client.threads.stream(thread_id, assistant_id="dojang") as thread:
        rewound(thread, before_run(work.rows.number(run)))
        calls = list(thread.tool_calls)
        assert [call.name for call in calls] == ["book_room"]
        assert (calls[0].input["guest"], calls[0].done) == ("Emma Lee", True)
    with client.threads.stream(thread_id, assistant_id="dojang") as thread:  # the next turn, in another session
        thread.run.start(input=says("Is there parking?"))
        assert "parking" in str(thread.output["messages"][-2]["content"])


def test_a_pause_is_there_for_who_comes_later(client: SyncLangGraphClient, thread_id: str) -> None:
    client.runs.wait(thread_id, "dojang", input=says("please book a room"))  # by the older routes
    with client.threads.stream(thread_id, assistant_id="dojang") as thread:
        until(lambda: thread.interrupts)
        (pause,) = thread.interrupts
        answer: Any = thread._send_command(  # several at once have no method of their own yet
            "input.respond", {"responses": [{"interrupt_id": pause["interrupt_id"], "response": {"type": "reject"}}]}
        )
        client.runs.join(thread_id, answer["run_id"])
    state: Any = client.threads.get_state(thread_id)
    assert state["interrupts"] == []


def test_asynchronously(aclient: Callable[[], LangGraphClient]) -> None:
    async def go() -> tuple[Any, Any]:
        async with aclient() as client:
            async with client.threads.stream(assistant_id="dojang") as thread:
                await thread.run.start(input=says("please book a room"))
                while not thread.interrupts:
                    await asyncio.sleep(0.01)
                (pause,) = thread.interrupts
                await thread.run.respond({"type": "approve"}, interrupt_id=pause["interrupt_id"])
                return pause, await thread.output

    pause, values = asyncio.run(go())
    assert pause["value"]["review"]["action"]["tool"] == "book_room"
    assert [outcome["status"] for outcome in values["outcomes"].values()] == ["done"]


def test_a_stream_goes_on_after_a_number_and_passes_over_what_was_not_asked(
    client: SyncLangGraphClient, thread_id: str
) -> None:
    with client.threads.stream(thread_id, assistant_id="dojang") as thread:
        thread.run.start(input=says("When is check-out?"))
        whole = list(thread.subscribe(["updates", "values", "checkpoints", "tasks", "lifecycle"]))
        numbers = [event["seq"] for event in whole]
        assert numbers == sorted(set(numbers))
        middle = len(numbers) // 2
    with client.threads.stream(thread_id, assistant_id="dojang") as thread:
        rewound(thread, numbers[middle])
        rest = [event["seq"] for event in thread.subscribe(["updates", "lifecycle"])]
    wanted = [e["seq"] for e in whole[middle + 1 :] if e["method"] in ("updates", "lifecycle")]
    assert rest == wanted
    updates = [e["params"]["data"]["node"] for e in whole if e["method"] == "updates"]
    assert updates[0] == "intake"
    assert updates[-1] == "answer"
    assert {e["params"]["data"]["source"] for e in whole if e["method"] == "checkpoints"} == {"input", "loop"}


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("run.start", {"assistant_id": "dojang", "input": {"messages": []}}, "invalid_argument"),
        ("run.start", {"input": says("hello")}, "invalid_argument"),
        ("run.start", {"assistant_id": "dojang", "input": {"verdicts": {}}}, "invalid_argument"),
        ("input.respond", {"interrupt_id": "nobody", "response": {"type": "approve"}}, "no_such_interrupt"),
        ("input.respond", {"response": {"type": "approve"}}, "invalid_argument"),
        ("input.respond", {"interrupt_id": "x", "response": 1, "goto": "act"}, "not_supported"),
        ("input.respond", {"interrupt_id": "x", "response": 1, "update": {"draft": {}}}, "not_supported"),
        ("subscription.subscribe", {"channels": ["values"]}, "not_supported"),
        ("input.inject", {}, "not_supported"),
        ("nonsense", {}, "unknown_command"),
    ],
)
def test_a_command_that_is_refused(
    client: SyncLangGraphClient, url: str, thread_id: str, method: str, params: Any, code: str
) -> None:
    answer = httpx.post(f"{url}threads/{thread_id}/commands", json={"id": 7, "method": method, "params": params})
    assert answer.status_code == 200
    assert (answer.json()["type"], answer.json()["id"], answer.json()["error"]) == ("error", 7, code)
    assert client.runs.list(thread_id) == []


def test_looks_at_the_state(client: SyncLangGraphClient, thread_id: str, url: str) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))

    def asked(method: str, **params: Any) -> Any:
        body = {"id": 1, "method": method, "params": params}
        return httpx.post(f"{url}threads/{thread_id}/commands", json=body).json()["result"]

    state = asked("state.get", namespace=[], keys=["answer"])
    assert list(state["values"]) == ["answer"]
    checkpoints = asked("state.listCheckpoints", limit=3)["checkpoints"]
    assert checkpoints[0]["id"] == state["checkpoint"]["id"]
    assert [c["step"] for c in checkpoints] == sorted((c["step"] for c in checkpoints), reverse=True)
    assert asked("agent.getTree")["tree"]["status"] == "completed"
    assert httpx.post(f"{url}threads/nobody/stream/events", json={"channels": ["values"]}).status_code == 404
    beyond = {"channels": ["values"], "since": 2**52}
    answer = httpx.post(f"{url}threads/{thread_id}/stream/events", json=beyond)
    assert (answer.status_code, "no number of an event" in answer.text) == (400, True)
