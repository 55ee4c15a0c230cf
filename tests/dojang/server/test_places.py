"""Documents in the console: searched, sent, corrected, trusted, taken out; every change says first what it changes."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import Ask, decision

LATE = "Late arrivals are possible until midnight. Call the desk before you come."


@pytest.fixture
def client(workspace: Workspace) -> TestClient:
    """A browser in which kim is logged in, who may all of it."""
    people = People(workspace)
    return people.logged_in(people.token("kim", "admin"))


def sent(client: TestClient, *files: tuple[str, bytes], trust: str = "trusted") -> tuple[int, str]:
    """Send a form as a browser does, and wait for its jobs."""
    answer = client.post("/documents", files=[("file", file) for file in files], data={"trust": trust})
    client.app.state.uploads.wait()  # type: ignore[attr-defined]
    return answer.status_code, answer.text


def passage_of(client: TestClient, document: str) -> str:
    found = re.search(r'href="(/passages/[^"?]+)', client.get(f"/documents/{document}").text)
    assert found is not None
    return found[1]


def test_a_document_is_sent_searched_corrected_put_back_and_taken_out(client: TestClient, workspace: Workspace) -> None:
    assert sent(client, ("late.md", LATE.encode())) == (303, "")
    assert "taken in; passages: 1" in client.get("/uploads").text
    page = client.get("/documents", params={"q": "midnight arrival", "document": "late.md"}).text
    assert "<mark>Late arrivals are possible until midnight.</mark>" in page
    assert all(half in page for half in ("vector", "word match", "together"))
    assert page.count('class="passage hit"') == 1
    href = passage_of(client, "late.md")
    form = {"text": LATE.replace("midnight", "noon"), "reason": "the night desk"}
    before = client.post(f"{href}/corrections", data=form)
    assert "<del>midnight</del><ins>noon</ins>" in before.text
    assert passage_of(client, "late.md") == href  # nothing was recorded yet
    made = client.post(f"{href}/corrections", data={**form, "confirmed": "yes"})
    new = made.headers["location"]
    assert made.status_code == 303
    assert "the night desk" in client.get(new).text
    lost = client.post(f"{href}/corrections", data={"text": "until one", "confirmed": "yes"})
    assert (lost.status_code, "until one" in lost.text) == (409, True)
    assert "older version" in client.get(href).text
    undone = client.post(new.partition("?")[0] + "/undo", data={"reason": "a mistake"})
    assert "midnight" in client.get(undone.headers["location"]).text
    assert client.post("/documents/late.md", data={"do": "trust", "trust": "untrusted"}).status_code == 303
    assert [row["trust"] for row in workspace.documents() if row["name"] == "late.md"] == ["untrusted"]
    assert "Take this document out?" in client.post("/documents/late.md", data={"do": "delete"}).text
    assert client.post("/documents/late.md", data={"do": "delete", "confirmed": "yes"}).status_code == 303
    assert client.get("/documents/late.md").status_code == 404


def test_files_that_cannot_be_taken_in_are_named_and_the_others_go_in(client: TestClient, workspace: Workspace) -> None:
    status, page = sent(client, ("a<b>.exe", b"text"), ("good.md", b"Dinner is at seven."), ("empty.md", b""))
    assert (status, "a&lt;b&gt;.exe" in page, "empty.md" in page) == (400, True, True)
    assert "good.md" in {row["name"] for row in workspace.documents()}
    workspace.delete("good.md")
    limit = client.app.state.uploads.limit_bytes  # type: ignore[attr-defined]
    early = client.post(
        "/documents",
        content=b"",
        headers={"content-type": "multipart/form-data; boundary=x", "content-length": str(500 * 2**20)},
    )
    assert (early.status_code, f"{limit // 2**20} MiB" in early.text) == (413, True)
    assert client.post("/documents", data={"trust": "trusted"}, files=[("file", ("", b""))]).status_code == 400


def test_who_may_not_change_documents_is_shown_no_button_and_refused(workspace: Workspace) -> None:
    with_viewer = People(workspace)
    headers = {"accept": "text/html", "origin": "http://127.0.0.1:8723", "sec-fetch-site": "same-origin"}
    viewer = with_viewer.client(with_viewer.token("vic", "viewer"))
    page = viewer.get("/documents", headers=headers).text
    assert ("rules.md" in page, 'type="file"' in page) == (True, False)
    href = re.search(r'href="(/passages/[^"?]+)', viewer.get("/documents/rules.md", headers=headers).text)
    assert href is not None
    assert "<textarea" not in viewer.get(href[1], headers=headers).text
    for path in ("/documents/rules.md", f"{href[1]}/corrections"):
        assert viewer.post(path, data={"do": "delete", "confirmed": "yes"}, headers=headers).status_code == 403


def test_who_does_not_decide_is_shown_no_bar_and_no_claim(workspace: Workspace, paused: Ask) -> None:
    review, people = paused("please book a room"), People(workspace)
    pages = (f"/reviews/{review['id']}", f"/threads/{review['thread_id']}")
    for role, decides in (("developer", False), ("manager", True)):
        person = people.logged_in(people.token(f"{role}-1", role))
        for path in pages:
            page = person.get(path)
            assert page.status_code == 200
            drawn = [word in page.text for word in ('name="type"', "Claim for ten minutes", 'data-panel="handup"')]
            assert drawn == [decides] * 3, (role, path)
            assert 'data-panel="later"' in page.text  # a view of one's own
    workspace.decide(review["id"], "approve")
    assert "data-undo" not in people.logged_in(people.token("dan", "developer")).get(pages[0]).text


def test_one_question_is_answered_side_by_side_and_nothing_comes_of_it(
    client: TestClient, workspace: Workspace
) -> None:
    threads = len(workspace.threads())
    assert client.post("/adapters/compare", data={"question": " "}).status_code == 400
    made = client.post("/adapters/compare", data={"question": "please book a room, <b>now</b>"})
    assert made.status_code == 303
    client.app.state.jobs.wait()  # type: ignore[attr-defined]
    page = client.get(made.headers["location"]).text
    assert page.count("<article>") == 2  # the base alone, and what goes with the model: there is no champion
    assert ("Emma Lee" in page, "&lt;b&gt;now" in page, "<b>now" in page) == (True, True, False)
    assert len(workspace.threads()) == threads
    people = People(workspace)
    other = people.logged_in(people.token("dana", "developer"))
    assert other.get(made.headers["location"]).status_code == 404


def test_operators_see_their_own_figures_and_managers_everybodys(workspace: Workspace, paused: Ask) -> None:
    review = paused("please book a room for two guests")
    workspace.decide(review["id"], {**decision(review, "reject"), "dwell_ms": 4200}, channel="console", by="jo")
    again = paused("please book a room for two guests")
    workspace.decide(again["id"], {**decision(again, "approve"), "dwell_ms": 900}, channel="console", by="jo")
    patient = Workspace(workspace.settings.model_copy(update={"undo_s": 600.0}), parts=workspace.parts)
    open_again = paused("please book a room for two guests")["id"]
    patient.decide(open_again, "approve", channel="console", by="jo")
    patient.undo(open_again, by="jo")  # and nobody decides it again
    people = People(workspace)
    manager = people.logged_in(people.token("mina", "manager")).get("/shift").text
    taken_back = manager.split('person=jo"')[1].split("</tr>")[0].split('<td class="n">')[-4]
    assert taken_back.startswith("1<")
    assert ("person=jo" in manager, "50 %" in manager, "book_room" in manager) == (True, True, True)
    operator = people.logged_in(people.token("olga", "operator"))
    for path in ("/shift", "/shift?person=kim", "/shift?hours=720&person=mina"):
        page = operator.get(path).text
        assert ("book_room" in page, "Nothing was decided in this time." in page) == (False, True), path
