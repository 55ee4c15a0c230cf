"""The desk: views with counts, a list that stays beside the item, what is handed up, put off, decided in a row."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.conftest import Ask, decision


@pytest.fixture(autouse=True, scope="module")
def without_undo(workspace: Workspace) -> None:
    """What is decided runs at once, so that nothing is left to wait for."""
    assert workspace.settings.undo_s == 0


def count(client: TestClient, key: str) -> int:
    """What the frame says of a view."""
    found = re.search(rf'id="count-{key}"[^>]*>(\d+)<', client.get("/").text)
    assert found is not None, key
    return int(found[1])


def listed(client: TestClient, query: str) -> list[str]:
    return re.findall(r'<a class="row [^"]*" href="[^"]*" data-id="([^"]+)"', client.get(f"/?{query}").text)


def test_a_claim_is_mine_and_no_more_unassigned(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    free, mine = count(client, "view-unassigned"), count(client, "view-mine")
    assert client.post(f"/reviews/{review['id']}/claim?view=unassigned", data={}).headers["location"] == (
        f"/reviews/{review['id']}?view=unassigned"
    )
    assert (count(client, "view-unassigned"), count(client, "view-mine")) == (free - 1, mine + 1)
    assert review["id"] in listed(client, "view=mine")
    assert review["id"] not in listed(client, "view=unassigned")


def test_the_search_narrows_the_list_and_stays_beside_the_item(client: TestClient, paused: Ask) -> None:
    refund, other = paused("refund BK-7001"), paused("refund BK-7002")
    found = listed(client, "q=tool%3Aissue_refund+bk-7001")
    assert found == [refund["id"]]
    page = client.get(f"/reviews/{refund['id']}?q=tool%3Aissue_refund").text
    assert f"/reviews/{other['id']}?q=tool%3Aissue_refund" in page
    assert f'action="/reviews/{refund["id"]}/decision?q=tool%3Aissue_refund"' in page
    assert re.search(r'<p class="narrowed"><a class="tag" href="/"[^>]*>tool:issue_refund', page)
    assert listed(client, "q=risk%3Alow+bk-7001") == []


def test_what_is_handed_up_is_for_those_who_have_the_role(
    client: TestClient, paused: Ask, workspace: Workspace
) -> None:
    review = paused("please book a room")
    client.post(f"/reviews/{review['id']}/claim", data={})
    assert client.post(f"/reviews/{review['id']}/handup", data={"role": "emperor"}).status_code == 400
    assert client.post(f"/reviews/{review['id']}/handup", data={"role": "manager"}).status_code == 303
    assert workspace.hand_up(review["id"], "manager") is False  # said already
    progress = workspace.show(review["id"]).progress
    assert progress["assigned"]["role"] == "manager"
    assert progress["claim"] is None
    assert "for manager" in client.get(f"/reviews/{review['id']}").text
    assert review["id"] not in listed(client, "view=unassigned")
    at = workspace.parts.clock.now().isoformat()
    from checkpoints.wanted import Wanted

    both = [Wanted(assignee="lee", roles=roles, now=at) for roles in (("manager",), ("finance",))]
    shown = [{one["review"]["id"] for one in workspace.found(wanted, limit=99)} for wanted in both]
    assert [review["id"] in ids for ids in shown] == [True, False]
    noted = [record["event"] for record in workspace.parts.audit.records(review["thread_id"])]
    assert noted.count("review.assigned") == 1


def test_a_decided_review_is_not_handed_up(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    workspace.decide(review["id"], "approve")
    assert client.post(f"/reviews/{review['id']}/handup", data={"role": "manager"}).status_code == 409
    assert "assigned" not in workspace.show(review["id"]).progress


def test_what_is_put_off_leaves_the_lists_and_comes_back(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    before = count(client, "view-all")
    assert client.post(f"/reviews/{review['id']}/later", data={"until": "whenever"}).status_code == 400
    assert client.post(f"/reviews/{review['id']}/later", data={"until": "two"}).status_code == 303
    assert count(client, "view-all") == before - 1
    assert review["id"] not in listed(client, "")
    assert listed(client, "view=later") == [review["id"]]
    assert "Show it again" in client.get(f"/reviews/{review['id']}?view=later").text
    client.post(f"/reviews/{review['id']}/later", data={"until": "now"})
    assert count(client, "view-all") == before


def test_a_decision_goes_on_to_the_next_item_and_says_what_was_done(client: TestClient, paused: Ask) -> None:
    first, second = paused("refund BK-8001"), paused("refund BK-8001")
    page = client.get(f"/reviews/{first['id']}?q=bk-8001").text
    named = re.findall(r'name="next" value="([^"]+)"', page)
    assert set(named) == {second["id"]}
    said = decision(first, "reject", chip="unsafe", next=second["id"])
    answer = client.post(f"/reviews/{first['id']}/decision?q=bk-8001", data=said)
    assert answer.headers["location"] == f"/reviews/{second['id']}?q=bk-8001&said={first['id']}"
    page = client.get(answer.headers["location"]).text
    assert 'class="just"' in page
    assert re.search(r'aria-live="polite">Rejected: [^<]*BK-8001', page)
    assert listed(client, "q=bk-8001") == [second["id"]]
    assert listed(client, "view=done&q=bk-8001") == [first["id"]]


@pytest.mark.parametrize("following", ["//evil.example", "rv_zz/../..", "https://evil.example", ""])
def test_where_it_goes_on_is_a_review_of_ours(client: TestClient, paused: Ask, following: str) -> None:
    review = paused("please book a room")
    answer = client.post(f"/reviews/{review['id']}/decision", data=decision(review, "approve", next=following))
    assert answer.headers["location"] == f"/reviews/{review['id']}"


def test_a_card_shows_what_was_decided_before(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    earlier: Review = paused("cancel BK-2041")
    workspace.decide(earlier["id"], {"type": "reject", "reason": "policy: not so late"})
    page = client.get(f"/reviews/{paused('cancel BK-2041')['id']}").text
    assert "What was decided before" in page
    assert "policy: not so late" in page
    assert "same: booking_id" in page
    assert 'class="graph"' in page


def test_an_edited_call_that_is_asked_about_again_says_so(client: TestClient, workspace: Workspace) -> None:
    review = workspace.ask("refund BK-9001").reviews[0]
    args = {**review["action"]["args"], "amount": 200_000}
    again = workspace.decide(review["id"], {"type": "edit", "edited_args": args}).run.reviews
    rows = client.get("/?q=bk-9001").text
    assert [one["id"] in rows for one in again] == [True]
    assert ">edited</span>" in rows


def test_a_long_list_is_paged(client: TestClient, paused: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {paused("refund BK-6001")["id"] for _ in range(3)}
    monkeypatch.setattr("dojang.server.console.inbox.ROWS", 2)
    first = client.get("/?q=bk-6001").text
    more = re.findall(r'href="(/\?[^"]*)" data-more', first)[0].replace("&amp;", "&")
    both = [re.findall(r'data-id="([^"]+)"', page) for page in (first, client.get(more).text)]
    assert [len(page) for page in both] == [2, 1]
    assert {*both[0], *both[1]} == ids
