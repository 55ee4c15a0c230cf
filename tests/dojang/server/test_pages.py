from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.server.console.item import button_label
from dojang.server.wording import sayer
from dojang.workspace import Workspace
from tests.dojang.server.conftest import BASE, Ask, settled


def test_the_inbox_lists_what_waits_soonest_due_first(client: TestClient, paused: Ask) -> None:
    later = paused("please book a room")
    sooner = paused("send it")
    page = client.get("/").text
    assert later["summary"].removesuffix(".") in page
    assert page.index(sooner["id"]) < page.index(later["id"])
    assert '<span class="risk" title="Tier">M</span>' in page


def test_the_inbox_can_be_narrowed(client: TestClient, paused: Ask) -> None:
    tool, question = paused("please book a room"), paused("which one?")
    page = client.get("/?kind=clarification").text
    assert question["id"] in page
    assert tool["id"] not in page
    for odd in ("?kind=nothing&view=none", "?after=zzz", "?after=~~", "?q=%22", "?q=risk:huge"):
        assert client.get(f"/{odd}").status_code == 200, odd


def test_a_review_shows_all_that_an_operator_needs(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room for two guests")
    page = client.get(f"/reviews/{review['id']}").text
    order = [
        "Writes",
        "can be undone",
        "<dt>guests</dt><dd>2",
        review["digest"],
        "&#34;guests&#34;: 2",
        "A booking is checked by a person before it is made.",
        "<mark>A room may be booked for two guests.</mark>",
        "word match",
        "please book a room for two guests",
        'aria-current="step"><a href="/threads/',
        'type="date" value="2026-12-03"',
    ]
    at = [page.index(part) for part in order]
    assert at == sorted(at)


def test_a_thread_is_started_answered_and_cites_its_passage(client: TestClient) -> None:
    answer = client.post("/threads", data={"text": "체크아웃은 몇 시입니까?"})
    assert answer.status_code == 303
    page = settled(client, answer.headers["location"])
    href = page.split('<a class="cite" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "<mark>체크아웃은 오전 11시입니다.</mark>" in client.get(href).text
    assert answer.headers["location"].partition("#")[0] in client.get("/threads").text


def test_a_thread_goes_on(client: TestClient, workspace: Workspace) -> None:
    thread = client.post("/threads", data={"text": "When is check-out?"}).headers["location"].partition("#")[0]
    settled(client, thread)
    assert client.post(f"{thread}/messages", data={"text": "And refunds?"}).status_code == 303
    assert "And refunds?" in client.get(thread).text


def test_the_way_to_a_review_begins_with_its_own_turn(client: TestClient, workspace: Workspace) -> None:
    thread = workspace.ask("When is check-out?").thread_id
    review = workspace.ask("please book a room", thread_id=thread).reviews[0]
    way = client.get(f"/reviews/{review['id']}").text.split('<ol class="path">')[1].split("</ol>")[0]
    names = [part.split("</a></li>")[0].rpartition(">")[2] for part in way.split("<li")[1:]]
    assert names == ["request", "search", "generate", "policy check", "review"]


def test_a_message_on_a_waiting_thread_is_refused_and_kept(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    answer = client.post(f"/threads/{review['thread_id']}/messages", data={"text": "잠깐만요"})
    assert answer.status_code == 409
    assert "잠깐만요" in answer.text
    assert review["id"] in answer.text


def test_empty_messages_and_unknown_threads(client: TestClient) -> None:
    assert client.post("/threads", data={"text": "  "}).status_code == 400
    assert client.post("/threads", data={}).status_code == 400
    assert client.get("/threads/none").status_code == 404
    assert client.post("/threads/none/messages", data={"text": "x"}).status_code == 404
    assert client.post("/threads/none/resume", data={}).status_code == 404
    assert client.get("/passages/none").status_code == 404
    assert "<main" in client.get("/nowhere").text


def test_resume_releases_a_recorded_decision(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    from nodes.door import Who, read_decision

    review = paused("please book a room")
    parts, who = workspace.parts, Who(by="박서준")
    said = read_decision(review, {"type": "approve"}, toolbox=parts.toolbox, now=parts.clock.now(), who=who)
    workspace.parts.decisions.record(review["thread_id"], said)
    page = client.get(f"/reviews/{review['id']}").text
    assert f'action="/threads/{review["thread_id"]}/resume"' in page
    assert client.post(f"/threads/{review['thread_id']}/resume", data={}).status_code == 303
    settled(client, f"/threads/{review['thread_id']}")
    assert workspace.show(review["id"]).status == "decided"


def test_documents_are_listed_and_searched(client: TestClient) -> None:
    page = client.get("/documents").text
    assert "규정.md" in page
    assert "rules.md" in page
    assert "체크인 3일 전까지" in client.get("/documents", params={"q": "환불"}).text


def test_a_late_review_says_so(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    from tests.graph.parts import FixedClock

    review = paused("please book a room")
    clock = workspace.parts.clock
    workspace.parts.clock = FixedClock(clock.now() + timedelta(days=3))
    try:
        assert re.search('class="late" title="Due: [^"]+">overdue 2 d', client.get("/").text)
        assert "overdue 2 d" in client.get(f"/reviews/{review['id']}?lang=en").text
    finally:
        workspace.parts.clock = clock


def test_the_reference_is_drawn_here(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "/reviews/{review_id}/decision" in page
    assert "&#34;type&#34;: &#34;approve&#34;" in page
    assert client.get("/openapi.json").json()["info"]["title"] == "Dojang"


def test_in_doubt_the_buttons_ask_what_happened(paused: Ask) -> None:
    review = {**paused("please book a room"), "kind": "in_doubt"}
    words = [button_label(review, kind, sayer("ko")) for kind in ("approve", "reject")]  # type: ignore[arg-type]
    assert words == ["실행되었음", "실행되지 않았음"]


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/threads", "application/json")])
def test_a_bug_of_ours_is_a_plain_page_without_a_traceback(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str, kind: str
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("secret <detail>")

    monkeypatch.setattr(workspace, "inbox", breaks)
    monkeypatch.setattr(workspace, "threads", breaks)
    monkeypatch.setattr(workspace, "found", breaks)
    client = TestClient(create_app(workspace), base_url=BASE)
    answer = client.get(path)
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith(kind)
    assert "RuntimeError" in answer.text
    assert "secret" not in answer.text
    assert "secret <detail>" in caplog.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
