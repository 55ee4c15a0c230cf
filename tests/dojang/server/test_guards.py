from __future__ import annotations

import hashlib
import re

import pytest
from fastapi.testclient import TestClient

from dojang.server.console.desk import HERE
from dojang.workspace import Workspace
from tests.dojang.server.conftest import BASE, Ask, browser_of, decision


@pytest.mark.parametrize("host", ["127.0.0.1:8723", "localhost:8723", "LOCALHOST:8723", "[::1]:8723"])
def test_loopback_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/ok", headers={"host": host}).json()["ok"] is True


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8723",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1.evil:8723",
        "localhost:8723x",
    ],
)
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "127.0.0.1:8723" in answer.text
    assert "<" not in answer.text


def test_no_host_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": ""}).status_code in (400, 421)


FORM = {"accept": "text/html,application/xhtml+xml,*/*"}  # what every browser asks for when a form is sent
FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "https://127.0.0.1:8723"},
    {"origin": "null"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/threads", "/reviews/x/decision", "/reviews/bulk", "/documents"])
def test_a_post_from_another_site_is_refused(client: TestClient, path: str, headers: dict[str, str]) -> None:
    for accept in ("text/html,*/*", "*/*"):
        said = {**headers, "accept": accept}
        assert client.post(path, data={"text": "hello"}, headers=said).status_code == 403
        assert client.post(path, json={"text": "hello"}, headers=said).status_code == 403
        assert client.post(path, files={"file": ("a.md", b"hello")}, headers=said).status_code == 403


def test_a_refused_post_changes_nothing(client: TestClient, paused: Ask, workspace: Workspace) -> None:
    review = paused("please book a room")
    url = f"/reviews/{review['id']}/decision"
    assert client.post(url, data=decision(review, "approve"), headers={"origin": "http://a.b"}).status_code == 403
    assert workspace.show(review["id"]).status == "open"


def test_neither_header_is_for_programs_with_json_only(workspace: Workspace, paused: Ask) -> None:
    review = paused("please book a room")
    with TestClient(browser_of(workspace).app, base_url=BASE, follow_redirects=False) as program:
        url = f"/reviews/{review['id']}/decision"
        assert program.post(url, data=decision(review, "approve")).status_code == 403
        assert program.post("/documents", files={"file": ("a.md", b"x")}, headers=FORM).status_code == 403
        assert program.post(url, json=decision(review, "approve")).status_code == 200


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in ("/", "/ok", "/docs", "/static/css/tokens.css", "/nowhere", "/reviews/none", "/openapi.json"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert client.get("/", headers={"host": "a.b"}).headers["x-frame-options"] == "DENY"
    assert client.get("/").headers["cache-control"] == "no-store"


def test_what_never_changes_under_its_address_is_kept_and_nothing_else(client: TestClient) -> None:
    page = client.get("/").text
    kept = re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', page)
    assert len(kept) > 20
    assert {client.get(path).headers["cache-control"] for path in kept} == {"public, max-age=31536000, immutable"}
    for path in ("/static/css/base.css", "/static/0123456789ab/css/base.css"):  # of no version, of another Dojang
        answer = client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    for path in (f"{kept[0]}x", "/static/0123456789ab/../../desk.py", "/static/0123456789ab/%2e%2e/%2e%2e/desk.py"):
        assert client.get(path).status_code == 404


def test_pages_have_no_inline_script_or_style_and_load_nothing_from_afar(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    for path in ("/", f"/reviews/{review['id']}", "/threads", f"/threads/{review['thread_id']}", "/documents", "/docs"):
        page = client.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert " on" not in [part[:3] for part in page.split("<input")]
        assert page.count("<script") == len(re.findall(r'<script [^>]*src="/static/[^"]+"[^>]*></script>', page)) == 2
        assert "https://" not in page
        assert 'src="http' not in page


def test_a_body_that_is_too_large_is_refused(workspace: Workspace) -> None:
    with browser_of(workspace, max_body=1000) as client:
        assert client.post("/threads", data={"text": "가" * 1000}).status_code == 413
        chunks = (b"text=" + b"a" * 400 for _ in range(4))
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert client.post("/threads", content=chunks, headers=headers).status_code == 413


def test_a_body_that_is_no_form_is_refused(client: TestClient) -> None:
    assert client.post("/threads", json={"text": "hello"}).status_code == 400
    assert client.post("/threads", files={"text": b"hello"}).status_code == 400
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/threads", content=b"text=%ff%fe", headers=headers).status_code == 400
    assert client.post("/threads", content=b"a=1&" * 600, headers=headers).status_code == 400


def test_other_methods_do_nothing(client: TestClient) -> None:
    assert client.delete("/threads").status_code == 405
    assert client.get("/reviews/x/decision").status_code == 405


def test_files_of_others_are_what_was_released() -> None:
    vendor = HERE / "static" / "vendor"
    told = dict(
        re.findall(r"^\| `([^`]+\.js)` .*`([0-9a-f]{64})` \|$", (vendor / "README.md").read_text(), re.MULTILINE)
    )
    assert told == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in vendor.glob("*.js")}
    assert told
