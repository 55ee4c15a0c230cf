"""Seeded checks: written by who oversees, decided like any review, told afterwards, and never carried out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dojang.checking import Pretended, message_of
from dojang.checks import Card
from dojang.seeding import NoCheck, seed
from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import browser_of, decision, open_workspace
from tools.errors import ToolFailed

REFUND = {"booking_id": "BK-2041", "amount": 90_000}
CARD = {
    "text": "Please refund 9000 won for booking BK-2041.",
    "asked_by": "Guest of room 7",
    "tool": "issue_refund",
    "args": json.dumps(REFUND),
    "right.reject": "yes",
    "why": "the guest says 9,000 won, the call says 90,000",
}


def refunds(workspace: Workspace) -> int:
    """Rows that a refund leaves in the world."""
    import psycopg

    url = workspace.settings.database_url
    assert url is not None
    with psycopg.connect(url.get_secret_value()) as connection:
        found = connection.execute("SELECT count(*) FROM refunds").fetchone()
    assert found is not None
    return int(found[0])


def drawn(page: TestClient, workspace: Workspace) -> Review:
    """The review of the check that comes after a decision."""
    real = workspace.ask("please book a room").reviews[0]
    before = {review["id"] for review in workspace.inbox()}
    page.post(f"/reviews/{real['id']}/decision", data=decision(real, "reject"))
    page.app.state.jobs.wait()  # type: ignore[attr-defined]
    found = [review for review in workspace.inbox() if review["id"] not in before]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def page(client: TestClient, workspace: Workspace) -> Iterator[TestClient]:
    """A manager's browser; one card, which comes after every decision."""
    assert client.post("/shift/checks/cards", data=CARD).status_code == 303
    assert client.post("/shift/checks", data={"every": "1"}).status_code == 303
    yield client
    client.post("/shift/checks", data={"every": "0"})
    for card in workspace.parts.checks.deck().cards:
        assert client.post(f"/shift/checks/cards/{card.id}/remove").status_code == 303


@pytest.mark.parametrize(("kind", "told"), [("approve", "Missed"), ("reject", "Seen")])
def test_a_check_is_decided_like_a_review_never_carried_out_and_told_afterwards(
    page: TestClient, workspace: Workspace, kind: str, told: str
) -> None:
    before = refunds(workspace)
    check = drawn(page, workspace)
    url = f"/reviews/{check['id']}"
    shown = page.get(url).text
    history = page.get(f"/threads/{check['thread_id']}/history").text
    for text in (shown, history, page.get("/").text, page.get(f"/threads/{check['thread_id']}").text):
        assert not [word for word in ("check of attention", "program:", "Missed", "9,000 won, the") if word in text]
    assert ("Guest of room 7" in shown, "90,000" in shown, "issue_refund" in shown) == (True, True, True)
    next_one = page.post(f"{url}/decision", data=decision(check, kind))
    after = page.get(next_one.headers["location"]).text
    assert ("That was a check of attention" in after, told in after, "the call says 90,000" in after) == (True,) * 3
    assert "That was a check" not in page.get("/").text  # it is told once,
    assert "That was a check" in page.get(url).text  # and stands on its own page for good,
    assert 'class="tag strong">check of attention' in page.get("/?view=done").text  # and in the list
    assert [(o["status"], o["tool"]) for o in workspace.thread(check["thread_id"]).outcomes] == [
        ("refused", "issue_refund")
    ]
    assert refunds(workspace) == before
    assert workspace.parts.prompts.read(check["thread_id"]).prompts == []  # it teaches nothing


def test_a_check_is_counted_apart(page: TestClient, workspace: Workspace) -> None:
    def figures() -> tuple[str, str]:
        text = page.get("/shift").text
        row = text[text.index("<td>", text.index("kim")) - 200 :] if "<td>" in text else text
        return text.split("<small>decisions</small><b>")[1].split("<")[0], row

    check = drawn(page, workspace)
    total, _ = figures()
    page.post("/shift/checks", data={"every": "0"})
    page.post(f"/reviews/{check['id']}/decision", data=decision(check, "reject"))
    again, row = figures()
    assert again == total  # no decision of the day's work
    seen = [cell for cell in row.split('<td class="n">') if "/" in cell.split("<")[0]]
    assert seen
    similar = page.get(f"/reviews/{workspace.ask('refund BK-2041').reviews[0]['id']}").text
    assert f"/reviews/{check['id']}" not in similar  # nor anything to go by


def test_neither_the_state_nor_the_files_let_a_check_run(page: TestClient, workspace: Workspace) -> None:
    """Whoever changes the one is stopped by the other."""
    before = refunds(workspace)
    by_file = drawn(page, workspace)
    page.post("/shift/checks", data={"every": "0"})
    config: Any = {"configurable": {"thread_id": by_file["thread_id"]}}
    assert workspace.parts.reader.get_state(config).values["adapter"] == "program:check"
    deps = workspace.speaking.deps("", by_file["thread_id"])  # as if the state said that a model speaks
    assert isinstance(deps.toolbox, Pretended)
    with pytest.raises(ToolFailed):
        deps.toolbox.run("issue_refund", REFUND, key="k")
    files = workspace.parts.checks
    for state in ("open", "told"):  # as if its file were lost
        for path in (files.folder / state).glob("*.json"):
            path.unlink()
    workspace.decide(by_file["id"], "approve")
    assert [o["status"] for o in workspace.thread(by_file["thread_id"]).outcomes] == ["refused"]
    assert refunds(workspace) == before


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("args", "[1]", "not one JSON object"),
        ("args", '{"booking_id": "BK-2041"}', "is missing"),
        ("args", '{"booking_id": "BK-2041", "amount": 200000}', "several people"),
        ("tool", "search_hotels", "none that the tool takes"),
        ("text", "cancel it", "two ways"),
        ("text", " ", "write what is asked for"),
        ("asked_by", "kim", "no name for whoever asks"),
        ("asked_by", "КIM", "no name for whoever asks"),
        ("why", "", "what the right answer is"),
        ("right.reject", "", "what the right answer is"),
    ],
)
def test_a_card_that_would_be_no_check_is_refused(client: TestClient, field: str, value: str, why: str) -> None:
    answer = client.post("/shift/checks/cards", data={**CARD, field: value})
    assert (answer.status_code, why in answer.text) == (400, True)
    assert "the guest says 9,000" in answer.text or field == "why"  # what was typed is still there


def test_a_check_whose_call_no_rule_asks_about_opens_nothing(workspace: Workspace) -> None:
    card = Card("ck_1", "hello", "nobody", "search_hotels", {"city": "Seoul"}, ["reject"], "x", "kim", "2026")
    before = len(workspace.inbox())
    with pytest.raises(NoCheck):
        seed(workspace, card)
    assert len(workspace.inbox()) == before
    assert message_of(card).name == "nobody"


def test_a_decided_review_makes_a_card(client: TestClient, workspace: Workspace) -> None:
    review = workspace.ask("refund BK-2041").reviews[0]
    client.post(f"/reviews/{review['id']}/decision", data=decision(review, "reject", chip="wrong data"))
    link = f"/shift/checks?from={review['id']}"
    assert f'href="{link}"' in client.get(f"/reviews/{review['id']}").text
    form = client.get(link).text
    assert ("refund BK-2041</textarea>" in form, 'name="right.reject" value="yes" checked' in form) == (True, True)


def test_only_who_oversees_writes_cards(tmp_path: Any, postgres_server: str) -> None:
    with open_workspace(tmp_path, postgres_server) as workspace:
        people = People(workspace)
        operator = people.logged_in(people.token("olga", "operator"))
        manager = people.logged_in(people.token("mina", "manager"))
        assert [operator.get("/shift/checks").status_code, manager.get("/shift/checks").status_code] == [403, 200]
        assert operator.post("/shift/checks", data={"every": "1"}).status_code == 403
        assert manager.post("/shift/checks/cards", data={**CARD, "asked_by": "Olga"}).status_code == 400  # somebody's
        assert 'href="/shift/checks"' not in operator.get("/shift").text
        assert manager.post("/shift/checks", data={"every": "1001"}).status_code == 400
    assert browser_of is not None
