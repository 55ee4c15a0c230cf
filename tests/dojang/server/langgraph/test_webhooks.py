"""Webhooks of runs, from the SDK's call to a receiver that checks the signature."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk.client import SyncLangGraphClient
from tenacity import Retrying, stop_after_attempt, wait_none

from checkpoints.records.leases import this_process
from dojang.server.hooks import outbox, telling
from dojang.server.work import Work
from dojang.workspace import Workspace
from tests.dojang.server.langgraph.conftest import SECRET, refused, says
from tests.dojang.server.receiver import Receiver, receiving, verified


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(telling, "POLICY", Retrying(wait=wait_none(), stop=stop_after_attempt(3)))
    monkeypatch.setattr(telling, "LOOK_S", 0.05)
    with receiving() as found:
        yield found


def state_of(client: SyncLangGraphClient, thread: str, run: str, wanted: str) -> dict[str, Any]:
    for _ in range(600):
        found: Any = client.runs.get(thread, run)
        if found["webhook"]["status"] == wanted:
            return dict(found["webhook"])
        threading.Event().wait(0.02)
    raise AssertionError(found["webhook"])


def test_an_answer_and_a_pause_are_told(client: SyncLangGraphClient, thread_id: str, receiver: Receiver) -> None:
    run = client.runs.create(
        thread_id, "dojang", input=says("When is check-out?"), webhook=receiver.url, metadata={"n": 1}
    )
    headers, body = receiver.got.get(timeout=30)
    assert verified(headers, body, SECRET)
    receiver.got.put((headers, body))
    headers, payload = receiver.next()
    assert (payload["run_id"], payload["thread_id"], payload["status"]) == (run["run_id"], thread_id, "success")
    assert payload["metadata"] == {"n": 1}
    assert payload["values"]["answer"]["text"] in payload["values"]["messages"][-1]["content"]
    far = state_of(client, thread_id, run["run_id"], "delivered")
    assert (far["id"], far["attempts"], far["last"]) == (headers["webhook-id"], 1, "")
    client.runs.wait(thread_id, "dojang", input=says("please book a room"), webhook=receiver.url)
    _, payload = receiver.next()
    assert payload["status"] == "interrupted"
    assert payload["values"]["__interrupt__"][0]["value"]["review"]["action"]["tool"] == "book_room"


def test_a_receiver_that_stumbles_is_told_again_under_the_same_id(
    client: SyncLangGraphClient, thread_id: str, receiver: Receiver
) -> None:
    receiver.answers += [500, 302]
    run = client.runs.create(thread_id, "dojang", input=says("Is there parking?"), webhook=receiver.url)["run_id"]
    ids = {receiver.next()[0]["webhook-id"] for _ in range(3)}
    assert len(ids) == 1
    assert state_of(client, thread_id, run, "delivered")["attempts"] == 3


def test_one_that_never_listens_is_given_up_and_that_shows(
    client: SyncLangGraphClient, thread_id: str, receiver: Receiver, house: Workspace
) -> None:
    receiver.answers += [500] * 9
    run = client.runs.create(thread_id, "dojang", input=says("Is there parking?"), webhook=receiver.url)["run_id"]
    far = state_of(client, thread_id, run, "failed")
    assert (far["attempts"], far["last"]) == (3, "it was answered with 500")
    noted = [r for r in house.parts.audit.records(None) if r["event"] == "webhook.failed" and r["subject"] == run]
    assert [record["facts"]["host"] for record in noted] == ["127.0.0.1"]


def test_a_run_without_a_thread_and_one_that_never_began(
    client: SyncLangGraphClient, thread_id: str, receiver: Receiver
) -> None:
    client.runs.create(None, "dojang", input=says("When is check-out?"), webhook=receiver.url)
    _, payload = receiver.next()  # its thread is gone by now, or will be
    assert payload["values"]["answer"]
    later = client.runs.create(
        thread_id, "dojang", input=says("When is check-out?"), webhook=receiver.url, after_seconds=3600
    )
    client.runs.cancel(thread_id, later["run_id"])
    _, payload = receiver.next()
    assert (payload["run_id"], payload["status"]) == (later["run_id"], "interrupted")


def test_a_delivery_of_a_process_that_died_is_taken_up(house: Workspace, receiver: Receiver) -> None:
    from dojang.server.work import Order

    first, thread = Work(house), "hooked"
    house.parts.about.merge(thread, {})
    row = first.accept(
        thread, "kim", Order(message={"id": "h1", "content": "When is check-out?"}), webhook=receiver.url
    )
    taken = first.rows.take()
    assert taken is not None
    first.worker.run(taken, first.channel(taken))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "this_process", lambda: {**this_process(), "started": "another"})
        while (due := first.hooks.outbox.take()) is not None and due.run_id != row.run_id:
            pass
    assert due is not None  # taken by a process that died over it, before or after its receiver had it
    with Work(house):
        headers, payload = receiver.next()
    assert (headers["webhook-id"], payload["run_id"]) == (due.delivery, row.run_id)


def test_what_is_refused_is_refused_before_anything_runs(client: SyncLangGraphClient, thread_id: str) -> None:
    for url in ("https://10.0.0.1/", "http://example.com/", "/runs", "https://[::ffff:169.254.169.254]/", ""):
        status, text = refused(client.runs.create, thread_id, "dojang", input=says("Is there parking?"), webhook=url)
        assert (status, text.startswith("webhook: ")) == (400, True), text
    assert client.runs.list(thread_id) == []
