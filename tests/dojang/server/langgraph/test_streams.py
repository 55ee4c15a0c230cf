"""Events of runs: numbered, kept, for readers that are slow, late, cut off or gone."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient

from dojang.server.work import Work, events
from dojang.server.work.events import KEEP_EVENTS, Channel, Channels
from dojang.server.work.rows import RunRows
from tests.dojang.server.langgraph.conftest import Held, own_workers, refused, says


def test_a_reader_goes_on_after_its_last_event(client: SyncLangGraphClient, thread_id: str, work: Work) -> None:
    parts = list(client.runs.stream(thread_id, "dojang", input=says("When is check-out?"), stream_resumable=True))
    run_id = parts[0].data["run_id"]
    again = list(client.runs.join_stream(thread_id, run_id, last_event_id=parts[2].id))
    assert again == parts[3:]
    work.channels.forget(run_id)  # as after a start of the server: from the database
    assert list(client.runs.join_stream(thread_id, run_id, last_event_id=parts[1].id)) == parts[2:]


def test_a_reader_of_a_thread_goes_on_with_its_next_run(client: SyncLangGraphClient, thread_id: str) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    first = list(client.threads.join_stream(thread_id))
    assert first[-1].event == "end"
    assert list(client.threads.join_stream(thread_id, last_event_id=first[-3].id)) == first[-2:]
    run: Any = client.runs.create(thread_id, "dojang", input=says("Is there parking?"))
    client.runs.join(thread_id, run["run_id"])
    assert list(client.threads.join_stream(thread_id, last_event_id=first[-3].id)) == first[-2:]
    second = list(client.threads.join_stream(thread_id, last_event_id=first[-1].id))
    assert [second[0].event, second[0].data["run_id"]] == ["metadata", run["run_id"]]
    assert second == list(client.threads.join_stream(thread_id))


@own_workers
@pytest.mark.about_files("in a database the events of every run are kept for a while")
def test_a_late_reader_of_a_run_that_is_not_kept_is_told_its_end(
    client: SyncLangGraphClient, thread_id: str, work: Work
) -> None:
    run: Any = client.runs.create(thread_id, "dojang", input=says("When is check-out?"))
    client.runs.join(thread_id, run["run_id"])
    work.channels.forget(run["run_id"])
    gap, end = client.runs.join_stream(thread_id, run["run_id"])
    assert (gap.event, gap.data["attempt"], gap.data["gap"]) == ("metadata", 1, True)
    assert (end.event, end.data["status"]) == ("end", "success")
    assert list(client.runs.join_stream(thread_id, run["run_id"], last_event_id="57")) == [gap, end]  # of another life
    assert list(client.runs.join_stream(thread_id, run["run_id"], last_event_id="9" * 15)) == [gap, end]
    assert client.runs.join(thread_id, run["run_id"])["answer"]["text"]


def test_a_reader_that_vanishes_does_not_end_the_run(
    client: SyncLangGraphClient, thread_id: str, url: str, model: Held
) -> None:
    body = {"assistant_id": "dojang", "input": says("When is check-out?")}
    with model.held():
        with httpx.stream("POST", f"{url}threads/{thread_id}/runs/stream", json=body, timeout=20) as answer:
            run_id = answer.headers["content-location"].rpartition("/")[2]
            assert answer.headers["location"] == f"/threads/{thread_id}/runs/{run_id}/stream"
            assert next(answer.iter_lines()) == "id: 1"
        assert model.speaking.wait(20)
    assert client.runs.join(thread_id, run_id)["answer"]["text"]
    assert client.runs.get(thread_id, run_id)["status"] == "success"


@pytest.mark.parametrize("kind", ["stream", "wait"])
def test_a_reader_may_wish_that_the_run_ends_with_it(
    client: SyncLangGraphClient, thread_id: str, url: str, model: Held, work: Work, kind: str
) -> None:
    body = {"assistant_id": "dojang", "input": says("When is check-out?"), "on_disconnect": "cancel"}
    stopped = threading.Event()
    stop = work.rows.stop

    def noted(run_id: str, how: str) -> None:
        stop(run_id, how)
        stopped.set()

    with pytest.MonkeyPatch.context() as patch, model.held():
        patch.setattr(work.rows, "stop", noted)
        with httpx.Client(timeout=httpx.Timeout(20, read=0.2)) as reader:
            with pytest.raises(httpx.ReadTimeout):
                reader.post(f"{url}threads/{thread_id}/runs/{kind}", json=body)
        assert stopped.wait(20)
    run: Any = client.runs.list(thread_id)[0]
    client.runs.join(thread_id, run["run_id"])
    assert client.runs.get(thread_id, run["run_id"])["status"] == "interrupted"


def test_a_queue_that_is_full(client: SyncLangGraphClient, thread_id: str, work: Work, url: str, model: Held) -> None:
    body = {"assistant_id": "dojang", "input": says("When is check-out?")}
    with pytest.MonkeyPatch.context() as patch, model.held():
        patch.setattr(work, "capacity", 1)
        first: Any = client.runs.create(thread_id, "dojang", input=says("When is check-out?"))
        assert model.speaking.wait(20)
        client.runs.create(thread_id, "dojang", input=says("When is check-out?"))
        answer = httpx.post(f"{url}threads/{thread_id}/runs", json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert "wait already" in answer.json()["detail"]
        client.runs.cancel_many(thread_id=thread_id)
    client.runs.join(thread_id, first["run_id"])


@own_workers
def test_a_run_that_takes_too_long_is_stopped(
    client: SyncLangGraphClient, thread_id: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.worker, "timeout_s", 1e-9)
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    assert [run["status"] for run in client.runs.list(thread_id)] == ["timeout"]
    assert client.threads.get(thread_id)["status"] == "error"


def test_what_is_not_there(client: SyncLangGraphClient, thread_id: str) -> None:
    assert refused(client.threads.get, "nowhere")[0] == 404
    assert refused(client.threads.get_state, "nowhere")[0] == 404
    assert refused(client.threads.get_state, thread_id, checkpoint_id="none")[0] == 404
    assert refused(client.runs.get, thread_id, "none")[0] == 404
    assert refused(client.runs.create, "nowhere", "dojang", input=says("hello"))[0] == 404
    assert refused(client.runs.create, thread_id, "another", input=says("hello"))[0] == 404
    assert refused(client.assistants.get, "another")[0] == 404
    assert refused(client.runs.create, thread_id, "dojang", input={"messages": []})[0] == 400
    nothing = refused(client.runs.wait, thread_id, "dojang", input=None)  # nobody has asked there yet
    assert (nothing[0], "send input.messages" in nothing[1]) == (400, True)
    assert client.runs.list(thread_id) == []
    assert client.runs.wait("made-on-the-way", "dojang", input=says("hello"), if_not_exists="create")


async def test_a_slow_reader_reads_from_a_buffer_that_is_bounded(tmp_path: Any) -> None:
    rows = RunRows(tmp_path / "runs.sqlite")
    channel, resumable = Channel("r", rows, resumable=False), Channel("k", rows, resumable=True)
    for n in range(KEEP_EVENTS + 10):
        channel.put("values", b"%d" % n)
    for n in range(3):
        resumable.put("values", b"%d" % n)
    channel.close()
    numbers = [event.n async for event in channel.follow(0, 9) if event]
    assert (numbers[0], len(numbers)) == (11, KEEP_EVENTS)
    resumable.close()
    later = Channel("k", rows, resumable=True)
    later.put("end", b"{}")
    later.close()
    assert [event.n async for event in later.follow(1, 9) if event] == [2, 3, 4]
    rows.close()


def test_what_ended_runs_hold_in_memory_is_bounded(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALL_BYTES", 100)
    rows = RunRows(tmp_path / "runs.sqlite")
    channels = Channels(rows)
    made = [channels.of(f"r{n}", resumable=False) for n in range(4)]
    for channel in made:
        channel.put("values", b"x" * 60)
    assert [channels.of(f"r{n}", resumable=False) for n in range(4)] == made  # none is over
    for channel in made:
        channel.close()
    assert channels.of("r3", resumable=False) is made[3]
    assert channels.of("r2", resumable=False) is made[2]
    assert channels.of("r0", resumable=False) is not made[0]
    rows.close()
