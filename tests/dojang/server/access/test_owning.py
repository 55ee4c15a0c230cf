"""Whose threads a caller sees. The words of a foreign thread are those of one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import open_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("owned"), postgres_server) as opened:
        yield opened


def ids(answer: Any) -> list[str]:
    return [row["thread_id"] for row in answer.json()]


def test_threads_belong_to_whoever_asked_first(workspace: Workspace) -> None:
    people = People(workspace)
    hana = workspace.acting("Hana", ["operator"]).ask("When is check-out?").thread_id
    lee = workspace.acting("lee", ["operator"]).ask("please book a room")
    workspace.acting("park", ["manager"]).ask("May two guests stay?", thread_id=hana)
    assert workspace.owner(hana) == "Hana"
    for role, sees in (("viewer", 1), ("operator", 1), ("manager", 2), ("developer", 2), ("admin", 2)):
        client = people.client(people.token(" HANA", role))
        assert ids(client.get("/threads")) == [hana, lee.thread_id][:sees], role
        assert client.get(f"/threads/{hana}").status_code == 200
        assert client.get(f"/threads/{lee.thread_id}").status_code == (200 if sees == 2 else 404), role
        assert client.get(f"/reviews/{lee.reviews[0]['id']}").status_code == 200
    client, nowhere = people.client(people.token("hana", "operator")), "th_0000000000"
    for method, path in (("GET", ""), ("POST", "/messages"), ("POST", "/resume")):
        answers = [client.request(method, f"/threads/{t}{path}") for t in (lee.thread_id, nowhere)]
        assert [a.status_code for a in answers] == [404, 404]
        assert answers[0].text.replace(lee.thread_id, nowhere) == answers[1].text
    assert lee.thread_id not in client.get("/threads").text
    assert len(workspace.conversation(lee.thread_id)) == 2


def test_a_team_may_share_its_threads(workspace: Workspace) -> None:
    settings = workspace.settings.model_copy(update={"share_threads": True})
    people = People(workspace, settings)
    run = workspace.acting("lee", ["operator"]).ask("When is check-out?")
    client = people.client(people.token("viewer", "viewer"))
    assert run.thread_id in ids(client.get("/threads"))
    assert client.get(f"/threads/{run.thread_id}").status_code == 200
