from __future__ import annotations

from fastapi.testclient import TestClient

from dojang.workspace import Workspace
from tests.dojang.server.conftest import Ask


def test_the_inbox_lists_what_waits(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    page = client.get("/")
    assert page.status_code == 200
    assert f'href="/reviews/{review["id"]}"' in page.text
    assert review["summary"].split(".")[0] in page.text


def test_a_review_shows_all_that_an_operator_needs(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room for two guests")
    page = client.get(f"/reviews/{review['id']}").text
    assert "<dt>guests</dt><dd>2</dd>" in page
    assert review["digest"] in page
    assert "A booking is checked by a person before it is made." in page
    assert "<mark>A room may be booked for two guests.</mark>" in page
    assert "please book a room for two guests" in page
    assert 'aria-current="step">review</li>' in page


def test_approve_runs_the_tool_once(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    answer = client.post(f"/reviews/{review['id']}/decision", data={"type": "approve", "digest": review["digest"]})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/reviews/{review['id']}")
    page = client.get(answer.headers["location"]).text
    assert 'aria-label="Approved by kim' in page
    run = workspace.thread(review["thread_id"])
    assert [o["status"] for o in run.outcomes] == ["done"]
