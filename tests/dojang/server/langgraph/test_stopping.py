"""A server that is told to end: it ends soon, lets its readers go, and they and the runs go on at the next start."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from dojang.server.work import Order, Work, work
from dojang.watching import Watch
from dojang.workspace import Workspace
from tests.dojang.server.langgraph.conftest import Held, Start, own_workers, says, until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
    pytest.mark.filterwarnings("ignore:Request failed, attempting reconnect"),  # what the SDK says of a lost server
]
Event = tuple[int, str, Any]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def events(answer: httpx.Response) -> Iterator[Event]:
    """(number, name, data) until the stream ends, or is broken off."""
    number, name = 0, ""
    for line in answer.iter_lines():
        kind, _, text = line.partition(": ")
        if kind == "id":
            number = int(text)
        elif kind == "event":
            name = text
        elif kind == "data":
            yield number, name, json.loads(text)


def followed(url: str, thread: str, since: int | None, told: list[Event], last: str = "") -> None:
    """Follow a thread by the newer form, up to the end of a run or of the server."""
    body = {"channels": ["values", "lifecycle", "updates"], **({"since": since} if since is not None else {})}
    with httpx.stream("POST", f"{url}/threads/{thread}/stream/events", json=body, timeout=60) as answer:
        for event in events(answer):
            told.append(event)
            if last and event[2]["method"] == "lifecycle" and event[2]["params"]["data"]["event"] == last:
                return


def again_and_again(read: Callable[[], Any]) -> Any:
    """Until it is through: the SDK comes again five times, and on a busy machine a server is not there by then."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            return read()


@own_workers
def test_readers_and_runs_go_on_at_the_next_start(
    start: Start, tmp_path: Path, bookings: Callable[[], list[Any]]
) -> None:
    silent, port = tmp_path / "silent", free_port()
    url = f"http://127.0.0.1:{port}"
    newer: list[Event] = []

    def joined(client: SyncLangGraphClient, thread: str, run: str) -> list[Any]:
        parts: list[Any] = []

        def read() -> list[Any]:
            last = str(parts[-1].id) if parts else None
            for part in client.runs.join_stream(thread, run, last_event_id=last):
                parts.append(part)
            return parts

        return again_and_again(read)  # type: ignore[no-any-return]

    with get_sync_client(url=url, api_key=None) as client, ThreadPoolExecutor(4) as readers:
        with start(DOJANG_TEST_PORT=str(port)) as (process, _):
            books, asks, talks = (client.threads.create()["thread_id"] for _ in range(3))
            silent.touch()
            kept = client.runs.create(
                books, "dojang", input=says("please book a room"), stream_mode="updates", stream_resumable=True
            )["run_id"]
            loose = client.runs.create(asks, "dojang", input=says("When is check-out?"), stream_mode="updates")[
                "run_id"
            ]
            until(lambda: silent.with_suffix(".asked").exists())
            begin = {"id": 1, "method": "run.start", "params": {"assistant_id": "dojang", "input": says("Parking?")}}
            assert httpx.post(f"{url}/threads/{talks}/commands", json=begin).json()["type"] == "success"
            of_kept = readers.submit(joined, client, books, kept)
            of_loose = readers.submit(joined, client, asks, loose)
            waits = readers.submit(again_and_again, lambda: client.runs.join(asks, loose))
            of_newer = readers.submit(followed, url, talks, None, newer)
            until(lambda: newer)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):  # not a whole answer, which would be the end
            of_newer.result()
        assert not any(reader.done() for reader in (of_kept, of_loose, waits))
        silent.unlink()
        with start(DOJANG_TEST_PORT=str(port)):
            told = of_kept.result(60)
            assert [int(str(part.id)) for part in told] == list(range(1, len(told) + 1))
            assert [told[0].event, told[-1].event] == ["metadata", "end"]
            again = of_loose.result(60)
            numbers = [int(str(part.id)) for part in again]
            assert numbers == sorted(set(numbers))
            assert [part.data["attempt"] for part in again if part.event == "metadata"] == [1, 2]
            assert [part.data.get("gap") for part in again if part.event == "metadata"] == [None, True]
            assert again[-1].event == "end"
            values: Any = waits.result(60)
            assert values["answer"]["text"]
            more: list[Event] = []
            followed(url, talks, newer[-1][0], more, "completed")
            assert [n for n, _, _ in newer + more] == sorted({n for n, _, _ in newer + more})
            nodes = [e["params"]["data"]["node"] for _, _, e in newer + more if e["method"] == "updates"]
            assert nodes[-1] == "answer"
            approve: Any = {"resume": {"decisions": [{"type": "approve"}]}}
            done: Any = client.runs.wait(books, "dojang", command=approve)
            assert [outcome["status"] for outcome in done["outcomes"].values()] == ["done"]
    assert len(bookings()) == 1
    log = (tmp_path / "stderr").read_text()
    assert "graceful shutdown exceeded" not in log, (
        "it has waited for its readers, all the time that uvicorn gives them"
    )
    assert "completing response" not in log


@own_workers
@pytest.mark.usefixtures("alone")
def test_a_call_on_its_way_is_waited_for(house: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PATIENCE_S", 0.2)
    asked = house.ask("please book a room")
    thread = asked.thread_id
    house.record(asked.reviews[0]["id"], {"type": "approve"})
    paying, paid, finish = threading.Event(), threading.Event(), house.parts.ledger.finish

    def slow(*args: Any) -> Any:
        paying.set()
        assert paid.wait(20)
        return finish(*args)

    monkeypatch.setattr(house.parts.ledger, "finish", slow)
    with Work(house) as first:
        row = first.accept(thread, "kim", Order(message=None))
        assert paying.wait(20)
        first.drain()
        threading.Timer(0.5, paid.set).start()
    with Work(house) as second:
        until(lambda: second.rows.get(row.run_id).over)
    assert house.look(thread).values["outcomes"]
    assert not first._left


@pytest.mark.usefixtures("alone")
def test_a_model_that_speaks_is_not_waited_for_and_its_run_stays_accepted(
    house: Workspace, model: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(work, "PATIENCE_S", 0.2)
    thread = str(uuid.uuid4())
    house.parts.about.merge(thread, {})
    with model.held():
        with Work(house) as first:
            row = first.accept(thread, "kim", Order(message={"id": "m1", "content": "When is check-out?"}))
            assert model.speaking.wait(20)
        assert first.rows.get(row.run_id).status == "running"
        monkeypatch.setattr(type(model).__mro__[1], "reply", lambda *args, **given: 1 / 0)  # as where files are closed
    for worker in first._threads:
        worker.join(20)
    assert first.rows.get(row.run_id).status == "running"  # the next start has it: this process is dead then
    assert first.rows.get(row.run_id).error is None
    assert "stumbled" not in caplog.text  # it knew that nobody waits: it was not a closed file that held it up
    first.rows.stop(row.run_id, "interrupt")
    first.rows.give_back(first.rows.get(row.run_id))
    first.rows.close()


@pytest.mark.usefixtures("alone")
def test_what_is_due_stops_with_its_server_and_is_done_by_the_next(house: Workspace) -> None:
    asked = house.ask("please book a room")
    thread = asked.thread_id
    house.record(asked.reviews[0]["id"], {"type": "approve"})
    house.do_due(Watch(stop=lambda values: True))
    assert house.look(thread).next  # stopped before it had begun
    house.do_due()
    assert house.look(thread).next == ()
    assert house.look(thread).values["outcomes"]
