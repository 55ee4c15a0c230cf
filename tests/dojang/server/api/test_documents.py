"""Documents, uploads, passages, search over HTTP: whole or not at all, and every odd request is told what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import BASE

TEXT = "Late arrivals are possible until midnight. Call the desk before you come."


def send(program: TestClient, filename: str, data: bytes, **fields: str) -> Any:
    return program.post("/documents", files={"file": (filename, data)}, data=fields)


def taken_in(program: TestClient, answer: Any) -> Any:
    """The upload when its job is over."""
    assert answer.status_code == 202, answer.text
    program.app.state.uploads.wait()  # type: ignore[attr-defined]
    return program.get(answer.headers["location"]).json()


def names(program: TestClient) -> list[str]:
    return [row["name"] for row in program.get("/documents", params={"limit": 1000}).json()["items"]]


def test_a_document_is_sent_found_corrected_and_taken_out(program: TestClient, workspace: Workspace) -> None:
    answer = send(program, "late.md", TEXT.encode(), trust="trusted")
    job = taken_in(program, answer)
    assert (job["state"], job["fate"], job["passages"], job["by"], job["size"]) == (
        "done",
        "added",
        1,
        "kim",
        len(TEXT),
    )
    assert not list((workspace.settings.home / "uploads" / job["id"]).glob("data"))
    assert program.get("/uploads").json()["items"][0]["id"] == job["id"]
    again = taken_in(program, send(program, "other.md", TEXT.encode(), name="late.md", trust="trusted"))
    assert (again["name"], again["fate"]) == ("late.md", "unchanged")
    [passage] = program.get("/passages", params={"document": "late.md"}).json()["items"]
    found = program.get("/search", params={"q": "midnight arrival", "k": 3, "filter": "document=late.md"}).json()
    assert [p["id"] for p in found["passages"]] == [passage["id"]]
    assert found["passages"][0]["scores"]
    url = f"/passages/{passage['id']}"
    new = program.post(f"{url}/corrections", json={"text": "Late arrivals: until 2 a.m.", "reason": "new"}).json()
    assert new["text"] == "Late arrivals: until 2 a.m."
    assert program.post(f"{url}/corrections", json={"text": "once more"}).status_code == 409
    card = program.get(f"/passages/{new['id']}").json()
    assert [(v["author"], v["text"]) for v in card["versions"]] == [("kim", "Late arrivals: until 2 a.m.")]
    assert program.get("/documents/late.md").json()["versions"] == card["versions"]
    assert program.post(f"/passages/{new['id']}/undo", json={}).json()["text"] == passage["text"]
    assert program.patch("/documents/late.md", json={"trust": "untrusted"}).json()["trust"] == "untrusted"
    assert program.delete("/documents/late.md").status_code == 204
    assert program.delete("/documents/late.md").status_code == 404
    noted = [r for r in workspace.parts.audit.records(None) if r["event"].startswith("document.")]
    assert [r["event"] for r in noted if r["subject"] == "late.md"] == [*["document.uploaded"] * 2, "document.deleted"]


NO_FILE = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nt\r\n--x--\r\n'
BAD: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "no document": ("a.md", b"\x7fELF\x02\x01" + b"\x00" * 90, {}, 400, "binary"),
    "no known ending": ("a.exe", b"text", {}, 400, "not read"),
    "empty": ("a.md", b"", {}, 400, "empty"),
    "only blanks": ("a.md", b"  \n ", {}, 202, ""),
    "half a zip": ("a.docx", b"PK\x03\x04 no more", {}, 400, "not a whole Office file"),
    "a path": ("a.md", b"text", {"name": "../../etc/a.md"}, 400, "no name for a document"),
    "an absolute path": ("a.md", b"text", {"name": "/etc/a.md"}, 400, "no name for a document"),
    "NUL": ("a.md", b"text", {"name": "a\x00.md"}, 400, "name that one can read"),
    "bidi": ("a.md", b"text", {"name": "a\u202etxt.md"}, 400, "name that one can read"),
    "long": ("a.md", b"text", {"name": "a" * 600 + ".md"}, 400, "at most 500"),
    "trust": ("a.md", b"text", {"trust": "very"}, 400, "trusted or untrusted"),
    "another field": ("a.md", b"text", {"owner": "me"}, 400, "'owner'"),
    "many fields": ("a.md", b"text", {f"x{n}": "1" for n in range(9)}, 400, "nothing was kept"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_document_leaves_nothing(what: str, program: TestClient, workspace: Workspace) -> None:
    name, data, fields, status, why = BAD[what]
    before = names(program), len(program.get("/uploads").json()["items"])
    answer = send(program, name, data, **fields)
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
    if status == 202:
        job = taken_in(program, answer)
        assert (job["state"], "empty" in job["error"]) == ("failed", True)
        before = before[0], before[1] + 1
    assert (names(program), len(program.get("/uploads").json()["items"])) == before
    assert not list((workspace.settings.home / "uploads").glob(".up_*"))


@pytest.fixture(scope="module")
def small(workspace: Workspace) -> Iterator[TestClient]:
    """An application that takes documents of 1 MB."""
    settings = workspace.settings.model_copy(update={"document_mb": 1})
    with TestClient(create_app(workspace, settings=settings), base_url=BASE) as client:
        yield client


def test_a_file_that_is_too_large_is_refused_whether_it_says_so_or_not(small: TestClient, workspace: Workspace) -> None:
    large = b"word " * (2**18)
    told = send(small, "a.md", large + large)
    assert told.status_code == 413
    begun = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n'
    parts = [begun, *[large] * 3, b"\r\n--x--\r\n"]
    streamed = small.post(
        "/documents", content=iter(parts), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (streamed.status_code, "split it" in streamed.json()["error"]) == (413, True)
    assert not list((workspace.settings.home / "uploads").glob(".up_*"))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", b""),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nt\r\n--x--\r\n',
        ),
        ("application/json", b'{"file": "x"}'),
        ("", b""),
    ],
)
def test_what_is_no_form_is_400(program: TestClient, kind: str, body: bytes) -> None:
    answer = program.post("/documents", content=body, headers={"content-type": kind} if kind else {})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


def test_a_job_that_a_kill_cut_off_is_done_at_the_next_start(workspace: Workspace) -> None:
    app = create_app(workspace)
    uploads = app.state.uploads
    uploads._later = lambda job: None  # killed right after the answer
    with TestClient(app, base_url=BASE) as dead:
        sent = send(dead, "cut.md", TEXT.encode()).json()
    (uploads.root / sent["id"] / "job.json").write_text(json.dumps({**sent, "state": "working", "work": {"read": 1}}))
    revived = create_app(workspace)
    with revived.state.uploads, TestClient(revived, base_url=BASE) as program:
        revived.state.uploads.wait()
        job = program.get(f"/uploads/{sent['id']}").json()
        assert (job["state"], job["fate"], job["work"]["written"]) == ("done", "added", 1)
        assert "cut.md" in names(program)


def test_unknown_ids_are_404_and_odd_ones_too(program: TestClient) -> None:
    for path in ("/documents/none.md", "/documents/a%00b", "/documents/..%2F..%2Fetc%2Fpasswd", "/passages/none",
                 "/uploads/none", "/uploads/..%2f..%2fkeys", "/passages?document=none.md"):  # fmt: skip
        answer = program.get(path)
        assert (answer.status_code, bool(answer.json()["error"])) == (404, True), path
    assert program.delete("/documents/none.md").status_code == 404
    assert program.patch("/documents/none.md", json={"trust": "trusted"}).status_code == 404
    assert program.post("/passages/none/corrections", json={"text": "x"}).status_code == 404
    assert program.post("/passages/none/undo", json={}).status_code == 404


def test_pages_of_documents_and_passages_follow_each_other(program: TestClient) -> None:
    seen: list[str] = []
    page: Any = {"next": ""}
    while not seen or page["next"]:
        page = program.get("/documents", params={"limit": 1, "cursor": page["next"]}).json()
        seen += [row["name"] for row in page["items"]]
    assert seen == names(program)
    assert len(seen) == len(set(seen)) >= 2


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422), ({"q": ""}, 422), ({"q": "…"}, 400), ({"q": "a\x00b"}, 422), ({"q": "x", "k": 51}, 422),
        ({"q": "x", "filter": "language"}, 400), ({"q": "x", "filter": ["trust=trusted", "trust=untrusted"]}, 400),
    ],
)  # fmt: skip
def test_an_odd_search_is_told(program: TestClient, asked: dict[str, Any], status: int) -> None:
    answer = program.get("/search", params=asked)
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


def test_whose_answers_cited_a_passage_is_told_as_far_as_one_sees_them(workspace: Workspace) -> None:
    people = People(workspace)
    workspace.acting("hana", ["operator"]).ask("When is check-out?")
    for name, role in (("hana", "operator"), ("lee", "operator"), ("park", "manager")):
        client = people.client(people.token(name, role))
        [passage] = client.get("/passages", params={"document": "rules.md"}).json()["items"]
        card = client.get(f"/passages/{passage['id']}").json()
        seen, hidden = len(card["cited"]), card["cited_elsewhere"]
        assert (seen > 0, hidden > 0) == (name != "lee", name == "lee"), name
    assert (
        people.client(people.token("lee", "operator")).post("/documents", files={"file": ("a.md", b"x")}).status_code
        == 403
    )


def test_a_folder_that_was_half_removed_does_not_keep_the_server_from_starting(workspace: Workspace) -> None:
    root = workspace.settings.home / "uploads"
    (root / "up_0123456789abcdef").mkdir(parents=True)
    (root / ".up_0123456789abcdee").mkdir()
    with create_app(workspace).state.uploads as uploads:
        uploads.wait()
    assert not (root / ".up_0123456789abcdee").exists()
    (root / "up_0123456789abcdef").rmdir()
