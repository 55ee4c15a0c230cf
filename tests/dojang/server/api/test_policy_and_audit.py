"""Policy and audit over HTTP: what the commands say, as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import Ask


def test_the_rules_are_shown_with_their_texts(program: TestClient, workspace: Workspace) -> None:
    told = program.get("/policy").json()
    assert told["version"] == workspace.parts.policy.version
    assert [rule["hard"] for rule in told["rules"]] == sorted((r["hard"] for r in told["rules"]), reverse=True)
    assert all(rule["text"] and rule["text_ko"] for rule in told["rules"])


def test_a_call_is_tried_and_nothing_is_counted(program: TestClient, workspace: Workspace) -> None:
    before = workspace.parts.audit.records(None)
    large = program.post(
        "/policy/check", json={"tool": "issue_refund", "args": {"booking_id": "BK-1", "amount": 10**7}}
    )
    small = program.post("/policy/check", json={"tool": "issue_refund", "args": {"booking_id": "BK-1", "amount": 1}})
    assert large.json()["verdict"]["tier"] > small.json()["verdict"]["tier"]
    assert any(rule["matched"] for rule in large.json()["rules"])
    unknown = program.post("/policy/check", json={"tool": "launch", "args": {}}).json()
    assert (unknown["verdict"]["outcome"], bool(unknown["notes"])) == ("forbid", True)
    assert program.post("/policy/check", json={"text": "The refund is paid."}).json()["verdict"]["outcome"]
    for odd in ({}, {"tool": "a", "text": "b"}):
        assert program.post("/policy/check", json=odd).status_code == 400
    assert program.post("/policy/check", json={"tool": "a", "args": []}).status_code == 422
    assert workspace.parts.audit.records(None) == before


def test_the_cases_hold_and_the_past_is_judged_anew(program: TestClient, paused: Ask) -> None:
    assert program.get("/policy/test").json()["not_met"] == 0
    paused("please book a room")
    told = program.get("/policy/replay", params={"since": "2020-01-01T00:00:00Z"}).json()
    assert (told["judged"] >= 1, told["changed"]) == (True, [])
    assert program.get("/policy/replay", params={"since": "yesterday"}).status_code == 422


def test_the_audit_is_listed_filtered_and_paged(program: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    program.post(f"/reviews/{review['id']}/decision", json={"type": "approve", "digest": review["digest"]})
    mine = {"thread": review["thread_id"]}
    whole = program.get("/audit", params=mine).json()["items"]
    assert [r["seq"] for r in whole] == list(range(len(whole), 0, -1))
    [decided] = program.get("/audit", params={**mine, "event": "decision.recorded", "actor": " KIM"}).json()["items"]
    assert (decided["subject"], decided["facts"]["channel"]) == (review["id"], "http")
    later = program.get("/audit", params={**mine, "since": "2999-01-01T00:00:00Z"}).json()
    assert later == {"items": [], "next": ""}
    seen: list[Any] = []
    page: Any = {"next": ""}
    while not seen or page["next"]:
        page = program.get("/audit", params={"limit": 1000, "cursor": page["next"]}).json()
        seen += page["items"]
    assert len({(r["thread_id"], r["seq"]) for r in seen}) == len(seen) > len(whole)
    by_steps: list[Any] = []
    page = {"next": ""}
    while not by_steps or page["next"]:
        page = program.get("/audit", params={"limit": 7, "cursor": page["next"]}).json()
        by_steps += page["items"]
    assert by_steps == seen == sorted(seen, key=lambda r: (r["at"], r["thread_id"] or "", r["seq"]), reverse=True)
    assert program.get("/audit", params={"thread": "th_none"}).status_code == 404
    assert program.get("/audit", params={"thread": "../keys"}).status_code == 404
    assert program.get("/audit", params={"actor": "a\x00"}).status_code == 422


def test_a_page_of_the_audit_reads_the_chains_that_are_on_it(
    program: TestClient, paused: Ask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        newest = paused("please book a room")
    program.get("/audit")  # reads all of them, once
    read: list[str | None] = []
    records = workspace.parts.audit.records

    def noted(thread: str | None) -> Any:
        read.append(thread)
        return records(thread)

    monkeypatch.setattr(workspace.parts.audit, "records", noted)
    page = program.get("/audit", params={"limit": 1}).json()
    assert page["items"][0]["thread_id"] in (None, newest["thread_id"])
    assert set(read) <= {None, newest["thread_id"]}
    read.clear()
    program.get("/audit", params={"limit": 1, "until": "2020-01-01T00:00:00Z"})
    paused("please book a room")
    assert program.get("/audit", params={"limit": 1}).json() != page


def test_the_audit_is_checked_and_exported_and_that_is_noted(
    program: TestClient, paused: Ask, workspace: Workspace
) -> None:
    thread = paused("예약")["thread_id"]
    report = program.get("/audit/verify").json()
    assert (report["problems"], report["end"]["thread_id"]) == (0, None)
    lines = program.get("/audit/export", params={"thread": thread})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    records = [json.loads(line) for line in lines.text.splitlines()]
    assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
    table = program.get("/audit/export", params={"thread": thread, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff"))))
    assert [row["event"] for row in rows] == [r["event"] for r in records]
    noted = [r["facts"]["format"] for r in workspace.parts.audit.records(None) if r["event"] == "audit.exported"]
    assert noted[-2:] == ["jsonl", "csv"]


@pytest.mark.parametrize(
    ("role", "may"), [("operator", False), ("developer", False), ("manager", True), ("admin", True)]
)
def test_who_may_read_what_others_did(workspace: Workspace, role: str, may: bool) -> None:
    people = People(workspace)
    client = people.client(people.token(f"a {role}", role))
    assert (client.get("/audit").status_code == 200) is (role in ("manager", "admin"))
    assert (client.get("/audit/export").status_code == 200) is (role == "admin")
