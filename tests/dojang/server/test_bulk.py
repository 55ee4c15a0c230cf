"""Many reviews decided at once: who belongs together, what changed meanwhile, the way back. No script anywhere here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest
from fastapi.testclient import TestClient

from adapters.dataset.mapping import BULK
from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.conftest import Ask, browser_of


@pytest.fixture
def slow(workspace: Workspace) -> Iterator[TestClient]:
    """A browser on a console where decisions can be taken back for a minute."""
    had, workspace.settings = workspace.settings, workspace.settings.model_copy(update={"undo_s": 60.0})
    with browser_of(workspace) as client:
        yield client
    workspace.settings = had


def selected(client: TestClient, *reviews: Review) -> str:
    return client.get("/bulk", params={"id": [review["id"] for review in reviews]}).text


def boxes(*reviews: Review) -> dict[str, str]:
    return {f"digest.{review['id']}": review["digest"] for review in reviews}


def send(client: TestClient, said: Mapping[str, str]) -> str:
    """What became of them, as the page that the decision leads to says it."""
    answer = client.post("/bulk", data=dict(said))
    assert answer.status_code == 303, answer.text
    return client.get(answer.headers["location"]).text


def test_what_differs_is_a_table_and_what_does_not_is_said_once(client: TestClient, paused: Ask) -> None:
    three = [paused(f"refund BK-{n}") for n in (7001, 7002, 7001)]
    page = selected(client, *three)
    assert re.findall(r'<th scope="col"><code>([^<]*)', page) == ["booking_id"]
    assert sorted(re.findall(r"<td>(BK-\d+)</td>", page)) == ["BK-7001", "BK-7001", "BK-7002"]
    assert re.search(r"<dt>amount</dt><dd>10000", page)
    assert set(re.findall(r'name="(digest\.[^"]+)"', page)) == set(boxes(*three))


def test_all_that_are_ticked_are_approved_once_and_teach_nothing(
    client: TestClient, paused: Ask, workspace: Workspace
) -> None:
    two, left = [paused("please book a room") for _ in range(2)], paused("please book a room")
    page = send(client, {"type": "approve", **boxes(*two)})
    assert "Approved: 2 decided, 0 left out" in page
    said = [workspace.show(review["id"]).decision for review in two]
    assert [(d and d["type"], d and d["channel"], d and d["by"]) for d in said] == [("approve", BULK, "kim")] * 2
    assert [len(workspace.thread(review["thread_id"]).outcomes) for review in two] == [1, 1]
    assert workspace.show(left["id"]).status == "open"


def test_a_rejection_of_many_has_its_reason(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    two = [paused("please book a room") for _ in range(2)]
    assert "policy: not in December" in send(
        client, {"type": "reject", "chip": "policy", "note": "not in December", **boxes(*two)}
    )
    assert {(d := workspace.show(r["id"]).decision) and d["message"] for r in two} == {"not in December"}
    assert client.post("/bulk", data={"type": "reject", "chip": "because", **boxes(*two)}).status_code == 400


def test_what_changed_meanwhile_is_left_out_and_listed(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    kept, faster, stale, reserved = (paused("please book a room") for _ in range(4))
    workspace.decide(faster["id"], "reject", by="ben")
    workspace.claim(reserved["id"], by="ben")
    given = boxes(kept, faster, stale, reserved) | {f"digest.{stale['id']}": "sha256:" + "0" * 64}
    page = send(client, {"type": "approve", **given})
    assert "1 decided, 3 left out" in page
    whys = re.findall(r'href="/reviews/([^"]+)">[^<]*</a><small>([^<]*)<', page)
    told = {review_id: why for review_id, why in whys}
    assert told[faster["id"]].startswith("Rejected · ben · ")
    assert told[stale["id"]] == "It is not what you looked at any more."
    assert told[reserved["id"]] == "claimed by ben"
    assert [workspace.show(r["id"]).decision is None for r in (kept, faster, stale, reserved)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert client.post("/bulk", data={"type": "approve", **boxes(faster)}).status_code == 409


@pytest.mark.parametrize("kind", ["approve", "reject"])
def test_what_does_not_belong_together_is_not_decided(
    client: TestClient, paused: Ask, workspace: Workspace, kind: str
) -> None:
    booking, refund, question = paused("please book a room"), paused("refund BK-2041"), paused("which one?")
    edited = {"type": "edit", "edited_args": {**refund["action"]["args"], "amount": 200_000}}
    top = workspace.decide(paused("refund BK-2041")["id"], edited).run.reviews[0]
    for odd in ((booking, refund), (booking, question), (question,), (top,), (refund, top)):
        answer = client.post("/bulk", data={"type": kind, **boxes(*odd)})
        assert answer.status_code == 400
        assert [workspace.show(review["id"]).decision for review in odd] == [None] * len(odd)
    page = selected(client, booking, refund, question, top)
    hrefs = re.findall(r'class="button" href="(/bulk\?id=[^"]+)"', page)
    assert {href.partition("id=")[2] for href in hrefs} == {booking["id"], refund["id"]}


def test_the_whole_batch_is_taken_back_within_the_window(slow: TestClient, paused: Ask, workspace: Workspace) -> None:
    two = [paused("please book a room") for _ in range(2)]
    page = send(slow, {"type": "approve", **boxes(*two)})
    assert "Take all of them back" in page
    named = dict(re.findall(r'name="(item\.\d+)" value="([^"]+)"', page))
    assert len(named) == 2
    after = slow.get(slow.post("/bulk/undo", data=named).headers["location"]).text
    assert "0 decided, 2 left out" in after
    assert [workspace.show(r["id"]).status for r in two] == ["open", "open"]
    assert [workspace.thread(r["thread_id"]).outcomes for r in two] == [[], []]


def test_what_has_run_is_not_taken_back(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    page = send(client, {"type": "approve", **boxes(review)})
    assert "Take all of them back" not in page
    item = f"{review['id']}~{review['digest']}"
    assert client.post("/bulk/undo", data={"item.1": item}).status_code == 409
    assert workspace.show(review["id"]).status == "decided"


@pytest.mark.parametrize("address", ["/bulk", "/bulk?id=", "/bulk?id=rv_zz", "/bulk?id=rv_00", "/bulk/done?item=~"])
def test_odd_addresses_are_pages(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 200
    assert client.post("/bulk", data={"type": "approve", "digest.../x": "1"}).status_code == 400
