"""A server that is killed, or ends, under its runs: what was accepted is carried out, and no effect happens twice."""

from __future__ import annotations

import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph_sdk.client import SyncLangGraphClient

from dojang.server import serve
from dojang.server.serving import CannotServe
from dojang.server.work import Order, Work
from dojang.settings import load_settings
from dojang.workspace import Workspace
from tests.dojang.server.langgraph.conftest import Held, Start, own_workers, says, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
UNDER_WAY = ("pending", "running")


def taken_back(client: SyncLangGraphClient, *runs: tuple[str, str]) -> None:
    """Return when these runs are over: whoever joined one that nobody takes up would wait for ever."""
    deadline = time.monotonic() + 30
    while left := {run: now for thread, run in runs if (now := client.runs.get(thread, run)["status"]) in UNDER_WAY}:
        assert time.monotonic() < deadline, f"runs of a server that was killed are not taken back by the next: {left}"
        time.sleep(0.05)


def test_a_server_that_is_killed_under_its_runs(
    start: Start, tmp_path: Path, bookings: Callable[[], list[Any]]
) -> None:
    silent = tmp_path / "silent"
    silent.touch()
    with start() as (process, client):
        one, two = (client.threads.create()["thread_id"] for _ in range(2))
        runs = [
            (thread, client.runs.create(thread, "dojang", input=says(text), stream_resumable=True)["run_id"])
            for thread, text in [(one, "When is check-out?"), (one, "Is there parking?"), (two, "please book a room")]
        ]
        until(lambda: silent.with_suffix(".asked").exists())
        process.kill()
    silent.unlink()
    with start(DOJANG_TEST_DIE="ran") as (process, client):  # every accepted run is carried out, its input given once
        taken_back(client, *runs)
        for thread, run in runs:
            client.runs.join(thread, run)
        said: Any = [client.runs.get(thread, run)["status"] for thread, run in runs]
        assert said == ["success", "success", "interrupted"]
        values: Any = client.threads.get_state(one)["values"]
        people = [message["content"] for message in values["messages"] if message["type"] == "human"]
        assert people == ["When is check-out?", "Is there parking?"]
        numbers = [int(str(part.id)) for part in client.runs.join_stream(*runs[0])]
        assert numbers == list(range(1, len(numbers) + 1))
        run = client.runs.create(two, "dojang", command={"resume": {"decisions": [{"type": "approve"}]}})["run_id"]
        assert process.wait(60) == -signal.SIGKILL
    assert len(bookings()) == 1
    with start() as (last, client):  # the effect that had happened is not done again
        with pytest.raises(CannotServe, match=f"has a server already .*of process {last.pid}"):
            serve(load_settings(home=tmp_path / "home", port=0))
        taken_back(client, (two, run))
        values = client.runs.join(two, run)
        assert [outcome["status"] for outcome in values["outcomes"].values()] == ["done"]
        assert client.runs.get(two, run)["status"] == "success"
    assert len(bookings()) == 1


@own_workers
@pytest.mark.usefixtures("alone")
def test_a_server_that_ends_leaves_its_runs_to_the_next(house: Workspace, model: Held) -> None:
    thread = str(uuid.uuid4())
    order = Order(message={"id": "m1", "content": "When is check-out?"})
    house.parts.about.merge(thread, {})
    first = Work(house)
    with model.held(), first:
        rows = [first.accept(thread, "kim", order), first.accept(thread, "kim", Order(message=None))]
        assert model.speaking.wait(20)
        first.drain()  # what a server does before it waits for steps that are under way
        model.free.set()
    with Work(house) as second:
        until(lambda: all(second.rows.get(row.run_id).over for row in rows))
        assert [second.rows.get(row.run_id).attempt for row in rows] == [2, 1]
        assert [second.rows.get(row.run_id).status for row in rows] == ["success", "success"]
    assert [line["role"] for line in house.conversation(thread)] == ["user", "assistant"]


@own_workers
@pytest.mark.usefixtures("alone")
def test_input_that_is_in_the_thread_is_not_given_again(house: Workspace) -> None:
    """As after a kill between a pause and the row that says so."""
    thread, said = str(uuid.uuid4()), {"id": "human-given", "content": "please send a welcome"}
    house.send(thread, HumanMessage(content=said["content"], id=said["id"], name="kim"))
    work = Work(house)
    row = work.accept(thread, "kim", Order(message=said, modes=["updates"], resumable=True))
    first = work.rows.take()
    assert first is not None
    work.rows.give_back(first)
    taken = work.rows.take()  # as after a kill
    assert taken is not None
    assert (taken.run_id, taken.attempt) == (row.run_id, 2)
    work.worker.run(taken, work.channel(row))
    assert work.rows.get(row.run_id).status == "interrupted"
    told = [data for _, event, data in work.rows.events(row.run_id, 0) if event == "updates"]
    assert [b"send_message" in data for data in told if b"__interrupt__" in data] == [True], "who reads sees no pause"
    other = work.accept(thread, "kim", Order(message={**said, "id": "human-new"}))
    taken = work.rows.take()
    assert taken is not None
    work.worker.run(taken, work.channel(other))
    error = work.rows.get(other.run_id).error
    assert error is not None
    assert "waits for a decision" in error["message"]
    work.rows.close()


@own_workers
@pytest.mark.usefixtures("alone")
def test_who_was_stopped_before_it_had_the_thread_leaves_a_run_to_who_has_ended_it(
    house: Workspace,
) -> None:
    """It had taken the run, and was not heard of until its lease was over."""
    work, thread = Work(house), str(uuid.uuid4())
    house.parts.about.merge(thread, {})
    row = work.accept(thread, "kim", Order(message={"id": "m1", "content": "please book a room"}))
    stopped = work.rows.take(row.run_id)
    assert stopped is not None
    work.rows.give_back(stopped)  # as the others do, then
    taken = work.rows.take(row.run_id)
    assert taken is not None
    work.worker.run(taken, work.channel(row))
    review = house.look(thread).tasks[0].interrupts[0].value["review"]
    house.decide(review["id"], "reject")
    before = len(house.history(thread))
    work.worker.run(stopped, work.channel(row))
    assert len(house.history(thread)) == before, "the guest would have asked twice"
    assert work.rows.get(row.run_id).status == "interrupted"
    work.rows.close()


@own_workers
@pytest.mark.usefixtures("alone")
def test_who_has_lost_a_run_in_the_middle_of_it_leaves_it_to_the_next(house: Workspace, model: Held) -> None:
    work, thread = Work(house), str(uuid.uuid4())
    house.parts.about.merge(thread, {})
    row = work.accept(thread, "kim", Order(message={"id": "m1", "content": "When is check-out?"}))
    stopped = work.rows.take(row.run_id)
    assert stopped is not None
    with model.held():
        slow = threading.Thread(target=work.worker.run, args=(stopped, work.channel(row)))
        slow.start()
        assert model.speaking.wait(20)
        work.rows.give_back(stopped)
    slow.join(20)
    assert house.look(thread).next, "it went on, and nobody was told"
    taken = work.rows.take(row.run_id)
    assert taken is not None
    work.worker.run(taken, work.channel(row))
    assert (work.rows.get(row.run_id).status, work.rows.get(row.run_id).attempt) == ("success", 2)
    assert [line["role"] for line in house.conversation(thread)] == ["user", "assistant"]
    work.rows.close()


@own_workers
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("stop", [{"interrupt_before": ["generate"]}, {"interrupt_after": ["retrieve"]}], ids=str)
def test_a_run_that_had_come_to_where_it_is_to_stop_stays_there(
    house: Workspace, monkeypatch: pytest.MonkeyPatch, stop: dict[str, Any]
) -> None:
    """As after a kill between its last checkpoint and the row that says that it is over."""
    work, thread = Work(house), str(uuid.uuid4())
    house.parts.about.merge(thread, {})
    row = work.accept(thread, "kim", Order(message={"id": "m1", "content": "When is check-out?"}, **stop))
    for attempt in (1, 2):
        taken = work.rows.take(row.run_id)
        assert taken is not None
        with monkeypatch.context() as killed:
            if attempt == 1:
                killed.setattr(work.rows, "finish", lambda *args, **given: None)
            work.worker.run(taken, work.channel(row))
        assert house.look(thread).next == ("generate",)
        work.rows.give_back(taken)
    assert work.rows.get(row.run_id).status == "interrupted"
    work.rows.close()


@own_workers
@pytest.mark.usefixtures("alone")
def test_a_run_that_is_to_be_rolled_back_is_also_where_its_worker_is_gone(house: Workspace) -> None:
    """As after a kill between the wish and the next step."""
    work, thread = Work(house), str(uuid.uuid4())
    house.parts.about.merge(thread, {})
    row = work.accept(thread, "kim", Order(message={"id": "m1", "content": "x"}, interrupt_before=["generate"]))
    taken = work.rows.take(row.run_id)
    assert taken is not None
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(work.rows, "finish", lambda *args, **given: None)
        work.worker.run(taken, work.channel(row))
    assert [line["text"] for line in house.conversation(thread)] == ["x"]
    work.rows.stop(row.run_id, "rollback-superseded")
    work.rows.give_back(taken)
    taken = work.rows.take(row.run_id)
    assert taken is not None, "it is over, and its message stays in the conversation"
    work.worker.run(taken, work.channel(row))
    assert work.rows.get(row.run_id).status == "interrupted"
    assert house.look(thread).values.get("messages", []) == []
    work.rows.close()
