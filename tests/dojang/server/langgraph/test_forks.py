"""Going on from an older checkpoint: chat pages edit and regenerate so. What was asked or done is never gone behind."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph_sdk.client import SyncLangGraphClient

from dojang.workspace import Workspace
from state import PassingFault
from tests.dojang.server.langgraph.conftest import refused, says


def checkpoints(client: SyncLangGraphClient, thread_id: str) -> list[Any]:
    return list(client.threads.get_history(thread_id, limit=100))


def people(values: Any) -> list[str]:
    return [m["content"] for m in values["messages"] if m["type"] == "human"]


def done(house: Workspace, thread_id: str) -> int:
    """How often something was begun for a thread, as the ledger has it."""
    return sum(entry["k"] == "intent" for entry in house.parts.ledger.entries(thread_id))


def as_pages_send(state: Any) -> Any:
    """The checkpoint as the JavaScript SDK names it with every message: without its thread."""
    return {key: value for key, value in state["checkpoint"].items() if key != "thread_id"}


def test_a_page_that_names_the_newest_checkpoint_with_every_message(
    client: SyncLangGraphClient, thread_id: str
) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    at = as_pages_send(checkpoints(client, thread_id)[0])
    client.runs.wait(thread_id, "dojang", input=says("please book a room"), checkpoint=at)
    at = as_pages_send(checkpoints(client, thread_id)[0])
    resume: Any = {"resume": {"decisions": [{"type": "reject", "message": "No"}]}}
    values: Any = client.runs.wait(thread_id, "dojang", command=resume, checkpoint=at)
    assert people(values) == ["When is check-out?", "please book a room"]
    assert client.threads.get_state(thread_id)["next"] == []


def test_a_message_is_edited_and_an_answer_made_anew(client: SyncLangGraphClient, thread_id: str) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    client.runs.wait(thread_id, "dojang", input=says("Is there parking?"))
    states = checkpoints(client, thread_id)
    first_end = next(state for state in states if len(people(state["values"])) == 1)
    edited: Any = {
        "messages": [{"type": "human", "id": states[0]["values"]["messages"][-2]["id"], "content": "And dogs?"}]
    }
    values: Any = client.runs.wait(thread_id, "dojang", input=edited, checkpoint=as_pages_send(first_end))
    assert people(values) == ["When is check-out?", "And dogs?"]
    twice = [state for state in states if len(people(state["values"])) == 2]
    before_answer = next(state for state in twice if state["next"] == ["generate"])
    values = client.runs.wait(thread_id, "dojang", input=None, checkpoint=as_pages_send(before_answer))
    assert people(values) == ["When is check-out?", "Is there parking?"]
    assert values["answer"]
    begin = states[-1]
    values = client.runs.wait(thread_id, "dojang", input=says("Something else"), checkpoint=as_pages_send(begin))
    assert people(values) == ["Something else"]
    kept = {state["checkpoint"]["checkpoint_id"] for state in checkpoints(client, thread_id)}
    assert kept >= {state["checkpoint"]["checkpoint_id"] for state in states}  # nothing was taken out


def test_nobody_goes_back_behind_an_effect_a_decision_or_a_review(
    client: SyncLangGraphClient, thread_id: str, house: Workspace
) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    quiet = checkpoints(client, thread_id)
    client.runs.wait(thread_id, "dojang", input=says("please book a room"))
    old = as_pages_send(quiet[0])
    status, text = refused(client.runs.wait, thread_id, "dojang", input=says("x"), checkpoint=old)
    assert (status, "waits for a decision" in text) == (409, True), text
    status, text = refused(client.threads.update_state, thread_id, {"question": "x"}, checkpoint=old)
    assert (status, "waits for a decision" in text) == (409, True), text
    before = done(house, thread_id)
    client.runs.wait(thread_id, "dojang", command={"resume": {"decisions": [{"type": "approve"}]}})
    assert done(house, thread_id) == before + 1
    told = set()
    for state in checkpoints(client, thread_id):
        values: Any = state["values"]
        if len(values.get("outcomes") or {}) == 1:
            continue  # the call is behind it: see below
        at = as_pages_send(state)
        status, text = refused(client.runs.wait, thread_id, "dojang", input=None, checkpoint=at)
        assert status == 409, text
        told.add(text.partition(": ")[2].partition(" ")[0])
    assert told >= {"outcome", "decision"}
    after = [s for s in checkpoints(client, thread_id) if len(s["values"].get("outcomes") or {}) == 1]
    again: Any = client.runs.wait(thread_id, "dojang", input=None, checkpoint=as_pages_send(after[-1]))
    assert [outcome["status"] for outcome in again["outcomes"].values()] == ["done"]
    assert done(house, thread_id) == before + 1


def test_a_state_is_changed_at_an_older_checkpoint(
    client: SyncLangGraphClient, thread_id: str, house: Workspace
) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    old = checkpoints(client, thread_id)[0]
    client.runs.wait(thread_id, "dojang", input=says("Is there parking?"))
    client.threads.update_state(thread_id, {"question": "another"}, checkpoint_id=old["checkpoint"]["checkpoint_id"])
    state: Any = client.threads.get_state(thread_id)
    assert (people(state["values"]), state["values"]["question"]) == (["When is check-out?"], "another")
    noted = [r["facts"] for r in house.parts.audit.records(thread_id) if r["event"] == "state.changed"]
    assert noted[0] == {"back_to": old["checkpoint"]["checkpoint_id"]}
    unknown = "1ef00000-0000-6000-8000-000000000000"
    status, _ = refused(client.runs.wait, thread_id, "dojang", input=says("x"), checkpoint_id=unknown)
    assert status == 404


def test_a_change_that_cannot_be_noted_is_not_made(
    client: SyncLangGraphClient, thread_id: str, house: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note comes first; what the graph then does not take is noted, too."""
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    before: Any = client.threads.get_state(thread_id)
    status, _ = refused(client.threads.update_state, thread_id, {"question": "x"}, as_node="nobody")
    assert status == 400
    noted = [r["facts"] for r in house.parts.audit.records(thread_id) if r["event"] == "state.changed"]
    assert noted == [
        {"keys": ["question"], "as_node": "nobody"},
        {"keys": ["question"], "as_node": "nobody", "refused": True},
    ]

    def full(*_: object, **__: object) -> bool:
        raise PassingFault("the disk is full")

    monkeypatch.setattr(house.parts.audit, "note", full)
    status, _ = refused(client.threads.update_state, thread_id, {"question": "another"})
    assert status == 503
    monkeypatch.undo()
    after: Any = client.threads.get_state(thread_id)
    assert (after["values"], after["checkpoint"]) == (before["values"], before["checkpoint"])
