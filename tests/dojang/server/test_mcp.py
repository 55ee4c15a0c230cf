"""Dojang for MCP clients over HTTP: who may ask, whose reviews they see, and that no agent's token decides anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import open_workspace

ACCEPT = {"accept": "application/json, text/event-stream"}


def call(client: TestClient, tool: str, **args: Any) -> dict[str, Any]:
    """The result of a tool call, as the protocol has it."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": args}}
    answer = client.post("/mcp", json=asked, headers=ACCEPT)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["result"]
    return found


def said(result: dict[str, Any]) -> Any:
    assert not result.get("isError"), result
    return result["structuredContent"]


def refused(result: dict[str, Any]) -> str:
    assert result["isError"], result
    return str(result["content"][0]["text"])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[People]:
    with open_workspace(tmp_path_factory.mktemp("mcp"), postgres_server) as workspace:
        yield People(workspace)


def decided(workspace: Workspace, review: str) -> bool:
    return workspace.show(review).decision is not None


def test_an_agent_asks_and_no_way_in_lets_it_approve(people: People) -> None:
    agent = people.client(people.token("desk bot", "agent"))
    run = said(call(agent, "ask", text="please book it"))
    [review] = run["reviews"]
    assert (run["status"], review["tool"]) == ("paused", "book_room")
    assert people.workspace.review(review["id"])["requester"] == "desk bot"

    why = refused(call(agent, "decide", review_id=review["id"], decision="approve"))
    assert "bears no token of a person who decides reviews" in why
    assert agent.post(f"/reviews/{review['id']}/decision", json={"type": "approve"}).status_code == 403
    resumed = {"assistant_id": "dojang", "command": {"resume": {"decisions": [{"type": "approve"}]}}}
    assert agent.post(f"/threads/{run['thread_id']}/runs/wait", json=resumed).status_code == 403
    assert agent.post(f"/threads/{run['thread_id']}/state", json={"values": {}}).status_code == 403
    assert not decided(people.workspace, review["id"])

    both = people.client(people.token("desk bot 2", "agent", "operator", "admin"))
    assert "bears no token" in refused(call(both, "decide", review_id=review["id"], decision="approve"))
    answer = both.post(f"/reviews/{review['id']}/decision", json={"type": "approve"})
    assert (answer.status_code, "no say in reviews" in answer.text) == (403, True)
    told = both.post(f"/threads/{run['thread_id']}/runs/wait", json=resumed)
    assert "no role that decides" in told.text, told.text
    assert not decided(people.workspace, review["id"])

    told = both.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=ACCEPT).json()
    assert {tool["name"] for tool in told["result"]["tools"]} == {"ask", "list_reviews", "read_thread", "decide"}


def test_a_person_with_a_say_decides_over_mcp_under_their_own_name(people: People) -> None:
    agent, kim = people.client(people.token("bot", "agent")), people.client(people.token("hana", "operator"))
    run = said(call(agent, "ask", text="please book it"))
    review, digest = run["reviews"][0]["id"], run["reviews"][0]["digest"]
    stale = refused(call(kim, "decide", review_id=review, decision="approve", digest="sha256:" + "0" * 64))
    assert "digest" in stale or "changed" in stale, stale
    done = said(call(kim, "decide", review_id=review, decision="approve", digest=digest))
    assert (done["decision"]["by"], done["decision"]["channel"], done["status"]) == ("hana", "mcp", "done")
    assert said(call(agent, "read_thread", thread_id=run["thread_id"]))["status"] == "done"
    viewer = people.client(people.token("lee", "viewer"))
    assert viewer.post("/mcp", json={}, headers=ACCEPT).status_code == 403


def test_an_agent_sees_its_own_threads_and_reviews_only(people: People) -> None:
    one, two = people.client(people.token("bot one", "agent")), people.client(people.token("bot two", "agent"))
    run = said(call(one, "ask", text="please book it"))
    assert run["reviews"][0]["id"] in [review["id"] for review in said(call(one, "list_reviews"))["result"]]
    assert said(call(two, "list_reviews"))["result"] == []
    for way in ({"tool": "read_thread"}, {"tool": "ask", "text": "And?"}):
        assert "there is no thread" in refused(call(two, way.pop("tool"), thread_id=run["thread_id"], **way))


def test_the_open_door_of_the_local_user_decides_nothing_either(tmp_path: Path, postgres_server: str) -> None:
    with open_workspace(tmp_path, postgres_server) as workspace:
        client = People(workspace).client()
        review = said(call(client, "ask", text="please book it"))["reviews"][0]["id"]
        assert "bears no token" in refused(call(client, "decide", review_id=review, decision="approve"))
        assert not decided(workspace, review)
