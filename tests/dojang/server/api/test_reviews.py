from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from dojang import reviewing
from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.conftest import Ask


def listed(program: TestClient, review: Review, **asked: Any) -> Any:
    """The row of a review in the list."""
    found = program.get("/reviews", params={"limit": 1000, **asked}).json()["items"]
    [mine] = [row for row in found if row["id"] == review["id"]]
    return mine


def test_reviews_are_listed_shown_and_decided(program: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    mine = listed(program, review, kind="tool")
    card = program.get(f"/reviews/{review['id']}").json()
    nothing = {"status": "open", "claim": None, "decision": None}
    assert mine == {**review, **nothing, "flags": card["flags"]}
    assert (card["review"], card["status"], card["decision"]) == (review, "open", None)
    url = f"/reviews/{review['id']}/decision"
    edited = {**review["action"]["args"], "guests": 3}
    answer = program.post(url, json={"type": "edit", "digest": review["digest"], "edited_args": edited})
    assert answer.status_code == 200
    body = answer.json()
    assert body["decision"]["edited_args"] == edited
    assert body["decision"]["channel"] == "http"
    assert body["run"]["outcomes"][0]["status"] == "done"
    again = program.post(url, json={"type": "edit", "digest": review["digest"], "edited_args": edited})
    assert again.json()["decision"] == body["decision"]
    lost = program.post(url, json={"type": "approve", "digest": review["digest"]})
    assert lost.status_code == 409
    assert lost.json()["winner"]["by"] == "kim"
    assert program.get(f"/reviews/{review['id']}").json()["status"] == "decided"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "approve"}, 422),
        ({"type": "approve", "digest": "sha256:0"}, 409),
        ({"type": "answer", "message": "x"}, 400),
        ({"type": "edit", "edited_args": {"hotel": 5}}, 400),
        ({"type": "edit"}, 400),
        ({"type": "approve", "surprise": 1}, 422),
        ({"type": "sign"}, 422),
        ([], 422),
    ],
)
def test_a_bad_decision_is_refused(
    program: TestClient, paused: Ask, workspace: Workspace, body: Any, status: int
) -> None:
    review = paused("please book a room")
    if (isinstance(body, dict) and len(body) > 1) or body == {"type": "edit"} or body == {"type": "sign"}:
        body = {"digest": review["digest"], **body}
    answer = program.post(f"/reviews/{review['id']}/decision", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert workspace.show(review["id"]).status == "open"


def test_the_list_carries_the_flags_that_a_card_has(program: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please cancel BK-2035")
    workspace.claim(review["id"])
    card = program.get(f"/reviews/{review['id']}").json()
    assert {"irreversible", "claimed"} <= set(card["flags"])
    mine = listed(program, review, assignee=" KIM", status="claimed")
    assert (mine["flags"], mine["status"], mine["claim"]["by"]) == (card["flags"], "claimed", "kim")
    workspace.give_back(review["id"])
    assert "claimed" not in program.get(f"/reviews/{review['id']}").json()["flags"]


def test_unknown_ids_are_404_as_json(program: TestClient) -> None:
    for answer in (program.get("/reviews/none"), program.get("/policy/none")):
        assert answer.status_code == 404
        assert answer.json()["error"]


def test_threads_are_listed(program: TestClient, paused: Ask) -> None:
    review = paused("남산스테이 예약")
    found = [t for t in program.get("/threads").json() if t["thread_id"] == review["thread_id"]]
    assert [t["title"] for t in found] == ["남산스테이 예약"]
    assert program.get("/threads", params={"limit": 0}).status_code == 422


def test_ok_says_the_version(program: TestClient) -> None:
    assert program.get("/ok").json()["version"]


def test_reviews_are_sought_counted_and_paged(program: TestClient, paused: Ask, workspace: Workspace) -> None:
    mine = [paused("please cancel BK-2035") for _ in range(3)]
    asked: Any = {
        "tool": "cancel_booking",
        "text": "bk-2035",
        "tier": mine[0]["tier"],
        "due_before": "2999-01-01T00:00:00Z",
    }
    for sort in ("due", "created", "newest", "tier"):
        ids: list[str] = []
        page: Any = {"next": ""}
        while not ids or page["next"]:
            page = program.get("/reviews", params={**asked, "sort": sort, "limit": 2, "cursor": page["next"]}).json()
            ids += [row["id"] for row in page["items"]]
        assert len(ids) == len(set(ids)) >= 3
        assert {review["id"] for review in mine} <= set(ids), sort
    counted = program.get("/reviews/count", params=asked).json()
    assert counted == {"count": len(ids), "by_kind": {"tool": len(ids)}}
    assert program.get("/reviews", params={"thread": mine[0]["thread_id"]}).json()["items"][0]["id"] == mine[0]["id"]
    for nothing in (
        {"text": "no such words"},
        {"tier": 9},
        {"assignee": "nobody"},
        {"due_before": "2000-01-01T00:00Z"},
    ):
        assert program.get("/reviews", params={**asked, **nothing}).json() == {"items": [], "next": ""}, nothing
    workspace.decide(mine[0]["id"], {"type": "reject", "reason": "no"})
    workspace.ask("When is check-out?", thread_id=mine[0]["thread_id"])  # another turn: its state forgets the review
    row = listed(program, mine[0], status="decided", tool="cancel_booking")
    assert (row["status"], row["decision"]["type"], row["flags"]) == ("decided", "reject", [])
    assert listed(program, mine[0], status="any")["id"] == mine[0]["id"]
    assert program.get("/reviews", params={"status": "expired"}).json()["items"] == []


def test_a_cursor_that_is_not_of_this_question_is_refused(
    program: TestClient, paused: Ask, workspace: Workspace
) -> None:
    for _ in range(2):
        paused("please book a room")
    cursor = program.get("/reviews", params={"limit": 1}).json()["next"]
    assert program.get("/reviews", params={"limit": 5, "cursor": cursor}).status_code == 200
    tier = program.get("/reviews", params={"limit": 1, "sort": "tier"}).json()["next"]
    bad = base64.urlsafe_b64decode(tier + "==").replace(b'"1"', b'"x"').replace(b'"2"', b'"x"')
    for asked in (
        {"cursor": cursor, "kind": "tool"},
        {"cursor": "zzz"},
        {"cursor": "%00"},
        {"cursor": base64.urlsafe_b64encode(b"[" * 3000).decode()},
        {"cursor": base64.urlsafe_b64encode(bad).decode(), "sort": "tier"},
    ):
        answer = program.get("/reviews", params=asked)
        assert (answer.status_code, "begin again without it" in answer.json()["error"]) == (400, True), asked
    lee = program.get("/documents", params={"cursor": cursor})
    assert lee.status_code == 400


@pytest.mark.parametrize("text", ["a\x00b", "a\x07", "\x85"])
def test_what_no_eye_sees_is_not_sought(program: TestClient, text: str) -> None:
    for name in ("text", "tool", "assignee", "thread"):
        answer = program.get("/reviews", params={name: text})
        assert (answer.status_code, "control character" in answer.json()["error"]) == (422, True)
    assert program.get(f"/reviews/{quote(text)}").status_code == 404


def bulk(program: TestClient, reviews: list[Any], kind: str = "approve", **more: Any) -> Any:
    named = [{"id": review["id"], "digest": review["digest"]} for review in reviews]
    return program.post("/reviews/bulk", json={"reviews": named, "type": kind, **more})


def test_many_are_decided_at_once_and_what_changed_is_skipped(
    program: TestClient, paused: Ask, workspace: Workspace
) -> None:
    plain, gone, claimed, other = (paused("please book a room") for _ in range(4))
    workspace.decide(gone["id"], {"type": "reject", "reason": "no"}, by="lee")
    workspace.claim(claimed["id"], by="lee")
    stale = {**other, "digest": "sha256:0"}
    body = bulk(program, [plain, gone, claimed, stale, {"id": "rv_none", "digest": "x"}]).json()
    assert [(d["decision"]["review_id"], d["decision"]["channel"]) for d in body["decided"]] == [(plain["id"], "bulk")]
    why = {skipped["id"]: skipped["why"] for skipped in body["skipped"]}
    assert set(why) == {gone["id"], claimed["id"], other["id"], "rv_none"}
    assert "lee" in why[gone["id"]]
    assert "claimed" in why[claimed["id"]]
    assert workspace.show(plain["id"]).status == "decided"
    assert workspace.show(other["id"]).status == "open"
    again = bulk(program, [plain]).json()
    assert again["decided"][0]["decision"] == body["decided"][0]["decision"]
    workspace.give_back(claimed["id"], by="lee")
    rejected = bulk(program, [claimed, other], "reject", reason="closed for works").json()
    assert len(rejected["decided"]) == 2


def test_what_does_not_belong_together_is_not_decided_at_all(
    program: TestClient, paused: Ask, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, cancel = paused("please book a room"), paused("please cancel BK-2035")
    answer = bulk(program, [book, cancel])
    assert (answer.status_code, "one tool and one tier" in answer.json()["error"]) == (400, True)
    assert bulk(program, [book, book]).status_code == 400
    assert bulk(program, []).status_code == 422
    assert bulk(program, [book], "answer").status_code == 422
    monkeypatch.setattr(reviewing, "TOP_TIER", book["tier"])
    top = bulk(program, [book])
    assert (top.status_code, "one by one" in top.json()["error"]) == (400, True)
    assert {workspace.show(review["id"]).status for review in (book, cancel)} == {"open"}


def test_a_claim_is_given_back(program: TestClient, paused: Ask, workspace: Workspace) -> None:
    url = f"/reviews/{paused('please book a room')['id']}/claim"
    assert program.post(url).json()["by"] == "kim"
    assert program.delete(url).status_code == 204
    workspace.claim(url.split("/")[2], by="lee")
    assert program.delete(url).status_code == 409
