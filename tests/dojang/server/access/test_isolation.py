"""Two people with tokens: what has an id in its path and is the other's is not there, on every route of the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dojang.server.access.table import TABLE
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import open_workspace

NOT_THERE = "th_0000000000"
RUN = {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": "When is check-out?"}]}}
BODIES: dict[str, Any] = {
    "/threads/{thread_id}/runs": RUN,
    "/threads/{thread_id}/runs/wait": RUN,
    "/threads/{thread_id}/runs/stream": RUN,
    "/threads/{thread_id}/commands": {"id": 1, "method": "run.start", "params": RUN},
    "/threads/{thread_id}/stream/events": {"channels": ["values"]},
    "/threads/{thread_id}/state": {"values": {"question": "x"}},
    "/threads/{thread_id}/state/checkpoint": {"checkpoint": {}},
}
OF_A_THREAD = sorted((method, path) for method, path in TABLE if "{thread_id}" in path)


@dataclass
class Two:
    """Hana, who asked; and somebody else with the same role."""

    people: People
    hana: TestClient
    other: TestClient
    ids: dict[str, str]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Two]:
    with open_workspace(tmp_path_factory.mktemp("two"), postgres_server, language="en") as workspace:
        people = People(workspace)
        hana, other = (people.client(people.token(name, "operator")) for name in ("Hana", "Lee"))
        with people.app.state.work:
            thread = hana.post("/threads", json={}).json()["thread_id"]
            for _ in range(2):
                assert hana.post(f"/threads/{thread}/runs/wait", json=RUN).status_code == 200
            booked: Any = {
                "assistant_id": "dojang",
                "input": {"messages": [{"role": "user", "content": "book a room"}]},
            }
            waits = hana.post("/threads", json={}).json()["thread_id"]
            assert hana.post(f"/threads/{waits}/runs/wait", json=booked).status_code == 200
            run = hana.get(f"/threads/{thread}/runs").json()[0]["run_id"]
            states = hana.get(f"/threads/{thread}/history?limit=100").json()
            ids = {"thread_id": thread, "run_id": run, "waits": waits}
            yield Two(people, hana, other, ids | {"checkpoint_id": states[0]["checkpoint"]["checkpoint_id"]})


@pytest.mark.parametrize(("method", "path"), OF_A_THREAD, ids=[f"{m} {p}" for m, p in OF_A_THREAD])
def test_a_thread_of_somebody_else_is_not_there(two: Two, method: str, path: str) -> None:
    if "operator" not in TABLE[method, path]:
        for client in (two.hana, two.other):  # by their role, before anybody looks whose it is
            assert client.request(method, _at(path, two.ids), json={}).status_code == 403
        return
    if path.endswith("/commands"):  # an unknown thread is made by the first of them
        assert two.other.post(_at(path, two.ids), json=BODIES[path]).status_code == 404
        return
    answers = {}
    for thread in (two.ids["thread_id"], NOT_THERE):
        where = _at(path, {**two.ids, "thread_id": thread})
        answers[thread] = two.other.request(method, where, json=BODIES.get(path, {}) if method != "GET" else None)
    theirs, nothing = answers.values()
    assert (theirs.status_code, nothing.status_code) == (404, 404), theirs.text
    assert theirs.text.replace(two.ids["thread_id"], NOT_THERE) == nothing.text


def test_every_other_id_in_a_path_is_everybodys_or_of_a_thread() -> None:
    """A new kind of id has to be thought about here: whose is it?"""
    kinds = {name for _, path in TABLE for name in re.findall(r"{(\w+)}", path) if "{thread_id}" not in path}
    everybodys = {"review_id", "passage_id", "assistant_id", "namespace", "path"}
    everybodys |= {
        "upload_id",
        "dataset",
        "name",
        "report_id",
        "adapter",
        "card_id",
    }  # documents and adapters are the house's
    own = {"job_id", "handover_id"}  # whoever began it (pages of managers), or to whom it is (test_handing)
    assert kinds <= everybodys | own


def test_what_somebody_else_asked_is_in_no_list(two: Two) -> None:
    hana = {two.ids["thread_id"], two.ids["waits"]}
    for client, sees in ((two.hana, hana), (two.other, set())):
        assert {row["thread_id"] for row in client.post("/threads/search", json={"limit": 100}).json()} == sees
        assert client.post("/threads/count", json={}).json() == len(sees)
        named = client.post("/threads/search", json={"ids": sorted(hana)}).json()
        assert {row["thread_id"] for row in named} == sees


def test_a_run_of_somebody_else_is_not_there_under_a_thread_of_ones_own(two: Two) -> None:
    mine, run = two.other.post("/threads", json={}).json()["thread_id"], two.ids["run_id"]
    for method, rest in (("GET", ""), ("GET", "/join"), ("GET", "/stream"), ("POST", "/cancel")):
        assert two.other.request(method, f"/threads/{mine}/runs/{run}{rest}").status_code == 404
    where = f"/threads/{mine}/state/{two.ids['checkpoint_id']}"
    assert two.other.get(where).status_code == 404


def test_items_are_ones_own(two: Two) -> None:
    for client, value in ((two.hana, "Hana's"), (two.other, "Lee's")):
        assert (
            client.put("/store/items", json={"namespace": ["n"], "key": "k", "value": {"of": value}}).status_code == 204
        )
    for client, value in ((two.hana, "Hana's"), (two.other, "Lee's")):
        assert client.get("/store/items?namespace=n&key=k").json()["value"] == {"of": value}
        assert [item["value"]["of"] for item in client.post("/store/items/search", json={}).json()["items"]] == [value]
    assert two.other.request("DELETE", "/store/items", json={"namespace": ["n"], "key": "k"}).status_code == 204
    assert two.other.get("/store/items?namespace=n&key=k").json() is None
    assert two.hana.get("/store/items?namespace=n&key=k").json()["value"] == {"of": "Hana's"}


def test_an_operator_may_not_go_back_and_a_developer_may(two: Two) -> None:
    thread = two.ids["thread_id"]
    states = two.hana.get(f"/threads/{thread}/history?limit=100").json()
    older = next(s for s in states if sum(m["type"] == "human" for m in s["values"].get("messages", [])) == 1)
    back = {**RUN, "checkpoint_id": older["checkpoint"]["checkpoint_id"]}
    refused = two.hana.post(f"/threads/{thread}/runs/wait", json=back)
    assert (refused.status_code, "developer, admin" in refused.json()["detail"]) == (403, True)
    command = {
        "id": 1,
        "method": "run.start",
        "params": {**RUN, "config": {"configurable": {"checkpoint_id": back["checkpoint_id"]}}},
    }
    assert two.hana.post(f"/threads/{thread}/commands", json=command).json()["error"] == "permission_denied"
    assert len(two.hana.get(f"/threads/{thread}/history?limit=100").json()) == len(states)
    developer = two.people.client(two.people.token("Park", "developer"))
    assert developer.post(f"/threads/{thread}/runs/wait", json=back).status_code == 200


def _at(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: ids.get(found[1], "x"), path)
