"""Hostile text in every field that a model, tool, document or user can write."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from dojang.server.clean import clean, clean_tree, pretty_json
from dojang.workspace import Workspace
from state import Review
from tests.dojang.server.conftest import browser_of, decision, open_workspace
from tests.dojang.workspaces import Rehearsed, told
from tests.graph.parts import asks, calls

EVIL = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7777}}"
    "</textarea></title>\u202eevil\u2066\x00\x1b[31m\u200b끝"
)
STORABLE = EVIL.replace("\x00", "").replace(
    "\x1b", ""
)  # the toolbox refuses control characters before anybody is asked
NAMED = EVIL.partition("</textarea>")[0]  # a name with hidden signs decides nothing
ALLOWED_SCRIPTS = 2


class Tags(HTMLParser):
    """Collects what a browser would see as elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def assert_harmless(page: str) -> None:
    parser = Tags()
    parser.feed(page)
    assert parser.tags.count("script") == ALLOWED_SCRIPTS
    assert "img" not in parser.tags
    assert not [name for name in parser.attributes if name.startswith("on")]
    assert "<script>alert" not in page
    assert "54439" not in page  # 7 times 7777: nothing was evaluated
    for hidden in "\u202e\u2066\x00\x1b\u200b":
        assert hidden not in page


class Evil(Rehearsed):
    """A model that has been talked into things."""

    def _wanted(self, text: str):  # type: ignore[no-untyped-def]
        if "ask" in text:
            return asks(EVIL)
        if "send" in text:
            return calls(("send_message", {"to": EVIL[:80], "text": STORABLE}))
        if "unknown" in text:
            return calls((EVIL, {EVIL: EVIL}))
        return told(EVIL)


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    home = tmp_path_factory.mktemp("evil")
    with open_workspace(home, postgres_server, generator=Evil(), user=NAMED) as workspace:
        text = EVIL.replace("\x00", "").replace("{{7*7777}}", "hostile words of a document")
        (home / "evil.txt").write_text(f"{text} send ask hello.\n", encoding="utf-8")
        workspace.ingest([home / "evil.txt"])
        yield workspace


@pytest.fixture
def page(evil: Workspace) -> Iterator[TestClient]:
    with browser_of(evil) as client:
        yield client


def waiting(evil: Workspace, text: str) -> Review:
    return evil.ask(f"{text} hostile words {EVIL}").reviews[0]


@pytest.mark.parametrize("lang", ["ko", "en"])
@pytest.mark.parametrize("text", ["send", "ask"])
def test_a_review_is_harmless_open_and_decided(page: TestClient, evil: Workspace, text: str, lang: str) -> None:
    review = waiting(evil, text)
    url = f"/reviews/{review['id']}"
    shown = page.get(f"{url}?lang={lang}").text
    assert_harmless(shown)
    assert "⟨U+202E⟩" in shown
    assert "hostile words of a document" in shown
    refused = page.post(f"{url}/decision", data={"type": "reject", "digest": EVIL, "note": EVIL, "arg.0": EVIL})
    assert refused.status_code == 409
    assert_harmless(refused.text)
    bad = page.post(f"{url}/decision", data=decision(review, EVIL, note=EVIL, message=EVIL))
    assert bad.status_code == 400
    assert_harmless(bad.text)
    page.post(f"{url}/decision", data=decision(review, "reject", note=EVIL.replace("\x00", "")))
    decided = page.get(url).text
    assert evil.show(review["id"]).decision is not None
    assert_harmless(decided)


def test_lists_threads_and_passages_are_harmless(page: TestClient, evil: Workspace) -> None:
    review = waiting(evil, "send")
    thread = evil.ask(EVIL).thread_id
    hit = evil.search("hostile words of a document")[0]
    for path in (
        "/",
        "/threads",
        f"/threads/{review['thread_id']}",
        f"/threads/{thread}",
        f"/threads/{thread}/history",
        f"/threads/{review['thread_id']}/history",
        "/threads?q=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE&status=%22onload=alert(1)",
        "/documents",
        f"/passages/{hit['id']}?start=0&end=40",
    ):
        answer = page.get(path)
        assert answer.status_code == 200
        assert_harmless(answer.text)
    assert_harmless(page.get("/documents", params={"q": EVIL.replace("\x00", "") + " hostile"}).text)
    assert_harmless(page.post("/threads", data={"text": ""}).text)


def test_an_unknown_tool_never_reaches_a_page_as_markup(page: TestClient, evil: Workspace) -> None:
    result = evil.ask("unknown")
    assert_harmless(page.get(f"/threads/{result.thread_id}").text)


@pytest.mark.parametrize("path", ["/reviews/", "/threads/", "/passages/", "/"])
def test_error_pages_are_harmless(page: TestClient, path: str) -> None:
    answer = page.get(path + "%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE")
    assert answer.status_code == 404
    assert_harmless(answer.text)


def test_an_edit_preview_is_harmless_and_keeps_untouched_values(page: TestClient, evil: Workspace) -> None:
    review = waiting(evil, "send")
    shown = page.get(f"/reviews/{review['id']}").text
    assert_harmless(shown)
    fields = {"arg.0": "Emma", "arg.1": clean(review["action"]["args"]["text"])}
    url = f"/reviews/{review['id']}/decision"
    assert_harmless(page.post(url, data=decision(review, "edit", **fields)).text)
    assert page.post(url, data=decision(review, "edit", confirmed="yes", **fields)).status_code == 303
    said = evil.show(review["id"]).decision
    assert said is not None
    assert said["edited_args"] is not None
    assert said["edited_args"]["text"] == review["action"]["args"]["text"]


def test_clean_keeps_what_people_write() -> None:
    kept = "가나다 각 ก็ café 👩‍👩‍👧 العربية\n\t끝"
    assert clean(kept) == kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1bc\x7fd\x9be", "abcde"),
        ("\u202eabc\u202c", "⟨U+202E⟩abc⟨U+202C⟩"),
        ("\u2067x\u2069", "⟨U+2067⟩x⟨U+2069⟩"),
        ("pay\u200bpal\ufeff", "pay⟨U+200B⟩pal⟨U+FEFF⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\ud800", "\ufffd"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(clean(text)) == clean(text)


def test_clean_reaches_into_trees() -> None:
    assert clean_tree({"k\u202e": ["\x00a", 1, None]}) == {"k⟨U+202E⟩": ["a", 1, None]}
    assert pretty_json({"한글": "\x00\u202e"}) == '{\n  "한글": "\\u0000⟨U+202E⟩"\n}'
