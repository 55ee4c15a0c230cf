"""A server that is killed, or ends, under its runs: what was accepted is carried out, and no effect happens twice."""

from __future__ import annotations

import signal
import sys
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
    row = work.accept(thread, "kim", Order(message=said))
    first = work.rows.take()
    assert first is not None
    work.rows.give_back(first)
    taken = work.rows.take()  # as after a kill
    assert taken is not None
    assert (taken.run_id, taken.attempt) == (row.run_id, 2)
    work.worker.run(taken, work.channel(row))
    assert work.rows.get(row.run_id).status == "interrupted"
    other = work.accept(thread, "kim", Order(message={**said, "id": "human-new"}))
    taken = work.rows.take()
    assert taken is not None
    work.worker.run(taken, work.channel(other))
    error = work.rows.get(other.run_id).error
    assert error is not None
    assert "waits for a decision" in error["message"]
    work.rows.close()
