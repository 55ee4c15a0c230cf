"""A rule that wants a written reason for an approval, at every door that a person or a program comes through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dojang.notebook import Notebook
from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import decision, edit_fields, open_workspace
from tests.dojang.server.screens import Open, of_browsers, running, tabs, violations
from tests.dojang.server.test_mcp import call, refused

POLICY = """
[[rule]]
id = "booking-why"
text = "Whoever lets a booking through says why."
text_ko = "예약을 승인할 때는 사유를 적습니다."
on = "call"
tool = "book_room"
outcome = "ask"
reason = "required"

[[rule]]
id = "refund-why"
text = "A refund is of the highest tier."
on = "call"
tool = "issue_refund"
outcome = "ask"
tier = 3
reason = "required"
"""
WHY = "the guest called back"
SAID = "is approved with a reason"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    """One whose bookings want a reason."""
    folder = tmp_path_factory.mktemp("reasons")
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
    with open_workspace(folder, postgres_server, policy=folder / "policy.toml") as opened:
        yield opened


@pytest.fixture(scope="module")
def people(workspace: Workspace) -> Iterator[People]:
    made = People(workspace)
    with made.app.state.work:
        yield made


def ask(workspace: Workspace, text: str = "please book a room") -> Review:
    [review] = workspace.ask(text).reviews
    assert review["wants_reason"] is True
    return review


def over_http(people: People, review: Review, reason: str) -> str:
    said = {"type": "approve", "digest": review["digest"], **({"reason": reason} if reason else {})}
    client = people.client(people.token(f"hana {review['id']}{reason}", "operator"))
    return client.post(f"/reviews/{review['id']}/decision", json=said).text


def resumed(people: People, review: Review, reason: str) -> str:
    said: dict[str, Any] = {"decisions": [{"type": "approve"}], **({"reason": reason} if reason else {})}
    client = people.client(people.token(f"dev {review['id']}{reason}", "developer", "operator"))
    body = {"assistant_id": "dojang", "command": {"resume": said}}
    return client.post(f"/threads/{review['thread_id']}/runs/wait", json=body).text


def inbox_form(people: People, review: Review, reason: str) -> str:
    answer = [{"type": "accept", "args": None, **({"reason": reason} if reason else {})}]
    try:
        people.workspace.answer(review["thread_id"], answer)
    except Exception as error:
        return str(error)
    return ""


def over_mcp(people: People, review: Review, reason: str) -> str:
    client = people.client(people.token(f"lee {review['id']}{reason}", "operator"))
    answer = call(client, "decide", review_id=review["id"], decision="approve", reason=reason, digest=review["digest"])
    return refused(answer) if answer.get("isError") else ""


def on_a_form(people: People, review: Review, reason: str) -> str:
    client = people.logged_in(people.token(f"jo {review['id']}{reason}", "operator"))
    return client.post(f"/reviews/{review['id']}/decision", data=decision(review, "approve", reason=reason)).text


def on_a_card(people: People, review: Review, reason: str) -> str:
    bar = Notebook(people.workspace).review(review["id"]).bar()
    form = {"review": review["id"], "digest": review["digest"], "reason": reason}
    bar.pressed({"press": "approve", "form": form, "dwell_ms": 900})
    return str(bar.shown()["markup"])


@pytest.mark.parametrize("door", [over_http, resumed, inbox_form, over_mcp, on_a_form, on_a_card])
def test_no_door_takes_an_approval_without_one(workspace: Workspace, people: People, door: Any) -> None:
    review = ask(workspace)
    assert SAID in door(people, review, "")
    assert workspace.show(review["id"]).decision is None
    assert SAID not in door(people, review, WHY)
    made = workspace.show(review["id"]).decision
    assert made is not None
    assert (made["type"], made["reason"]) == ("approve", WHY)


def test_an_edit_on_the_console_says_why_on_the_page_that_shows_it(workspace: Workspace, people: People) -> None:
    review = ask(workspace)
    url = f"/reviews/{review['id']}/decision"
    changed = decision(review, "edit", **edit_fields(review, guests="1"))
    client = people.logged_in(people.token("editor", "operator"))
    shown = client.post(url, data=changed)
    assert '<textarea id="reason" name="reason" rows="2" required' in shown.text
    unsaid = client.post(url, data={**changed, "confirmed": "yes"})
    assert (unsaid.status_code, SAID in unsaid.text) == (400, True)
    assert client.post(url, data={**changed, "confirmed": "yes", "reason": WHY}).status_code == 303
    made = workspace.show(review["id"]).decision
    assert made is not None
    assert (made["type"], made["reason"]) == ("edit", WHY)


def test_they_are_not_decided_together(workspace: Workspace, people: People) -> None:
    """One sentence for many is a reason for none."""
    two = [ask(workspace) for _ in range(2)]
    token = people.token("bulk", "operator")
    body = {"type": "approve", "reason": WHY, "reviews": [{"id": r["id"], "digest": r["digest"]} for r in two]}
    answer = people.client(token).post("/reviews/bulk", json=body)
    assert (answer.status_code, "decided one by one" in answer.text) == (400, True)
    page = people.logged_in(token).get("/bulk", params={"id": [r["id"] for r in two]}).text
    assert "One by one:" in page
    assert all(workspace.show(r["id"]).decision is None for r in two)


@pytest.mark.parametrize("label", [pytest.param("Why you approve it", marks=of_browsers)])
def test_at_the_keyboard(workspace: Workspace, people: People, browser: Any, label: str) -> None:
    """A opens the place to write in, and does not approve; Ctrl+Enter sends, and not while it is empty."""
    review, high = ask(workspace), ask(workspace, "refund BK-7001")
    token = people.token("typist", "operator")
    with running(workspace) as site, tabs(browser, site) as tab:
        opened: Open = tab
        page = opened("/login")
        page.locator("[name=token]").fill(token)
        page.keyboard.press("Enter")
        page.wait_for_url("**/")
        page.goto(f"/reviews/{review['id']}")
        page.keyboard.press("a")
        box = page.get_by_label(label)
        assert box.evaluate("e => document.activeElement === e")
        assert box.input_value() == ""
        assert violations(page) == []
        page.keyboard.press("Control+Enter")
        assert page.evaluate("document.querySelector('#reason:invalid') !== null")
        page.keyboard.type("she called")
        with page.expect_navigation():
            page.keyboard.press("Control+Enter")
        made = workspace.show(review["id"]).decision
        assert made is not None
        assert (made["type"], made["reason"]) == ("approve", "she called")

        page.goto(f"/reviews/{high['id']}")
        for _ in range(2):  # held: of the highest tier, and still nothing that a key could say, or write
            page.keyboard.down("a")
        assert page.locator(".holding").count() == 0
        page.keyboard.up("a")
        assert page.get_by_label(label).input_value() == ""
        page.keyboard.type("paid twice")
        page.get_by_label("I have read the arguments").check()
        with page.expect_navigation():
            page.get_by_label(label).press("Control+Enter")
        made = workspace.show(high["id"]).decision
        assert made is not None
        assert made["reason"] == "paid twice"
