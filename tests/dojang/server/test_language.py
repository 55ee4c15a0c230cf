from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir, extract_from_file
from fastapi.testclient import TestClient

import dojang.server
from dojang.language import catalogue
from dojang.workspace import Workspace
from tests.dojang.server.conftest import Ask, browser_of

SERVER = Path(dojang.server.__file__).parent
SAME = {"Enter", "API", "JSON"}


def texts() -> set[str]:
    """Every text that code and templates mark for translation."""
    keywords = {"_": None, "say": None, "N_": None, "gettext": None}
    methods = [("**.py", "python"), ("console/templates/**.html", "jinja2")]
    found = list(extract_from_dir(str(SERVER), method_map=methods, keywords=keywords))
    cards = [("**.py", "python"), ("templates/**.html", "jinja2"), ("templates/**.svg", "jinja2")]
    found += extract_from_dir(str(SERVER.parent / "notebook"), method_map=cards, keywords=keywords)
    shared = extract_from_file("python", SERVER.parent / "vocabulary.py", keywords=keywords)
    return {m for _, _, m, _, _ in found if isinstance(m, str)} | {m for _, m, _, _ in shared if isinstance(m, str)}


def test_every_text_has_korean() -> None:
    assert len(texts()) > 100
    korean = catalogue("console", "ko")
    assert [t for t in sorted(texts()) if korean.gettext(t) in (t, "") and t not in SAME] == []


def test_translations_keep_their_placeholders() -> None:
    korean = catalogue("console", "ko")
    for text in texts():
        assert set(re.findall(r"%\(\w+\)s", text)) == set(re.findall(r"%\(\w+\)s", korean.gettext(text))), text


def test_nothing_is_translated_that_is_not_used() -> None:
    known = {key for key in catalogue("console", "ko")._catalog if key}  # type: ignore[attr-defined]
    assert sorted(known - texts()) == []


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-GB,en;q=0.9", "en"),
        ("en;q=0.1,ko;q=0.9", "ko"),
        ("fr-FR,ko;q=0.5", "ko"),
        ("ko;q=0,en", "en"),
        ("ko;q=zzz,en;q=0.3", "en"),
    ],
)
def test_the_browser_is_asked(client: TestClient, header: str, language: str) -> None:
    page = client.get("/", headers={"accept-language": header})
    assert f'<html lang="{language}">' in page.text
    assert page.headers["content-language"] == language


def test_a_choice_is_kept(workspace: Workspace) -> None:
    with browser_of(workspace) as client:
        assert "결재함" in client.get("/?lang=ko").text
        assert "결재함" in client.get("/threads").text
        assert "Inbox" in client.get("/threads?lang=en").text
        assert "Inbox" in client.get("/").text
        assert '<html lang="en">' in client.get("/?lang=xx").text


def test_both_languages_show_a_review(client: TestClient, paused: Ask) -> None:
    review = paused("남산스테이에 예약해 줘")
    korean = client.get(f"/reviews/{review['id']}?lang=ko").text
    for text in (
        "승인",
        "수정",
        "반려",
        "실행될 인자",
        "결재가 필요한 이유",
        "근거",
        "되돌릴 수 있음",
        "지금까지의 과정",
    ):
        assert text in korean
    english = client.get(f"/reviews/{review['id']}?lang=en").text
    for text in ("Approve", "Edit", "Reject", "Arguments that will run", "Why you are asked", "Evidence", "남산스테이"):
        assert text in english


def test_errors_speak_the_language(client: TestClient) -> None:
    assert "찾는 것이 없습니다." in client.get("/nowhere?lang=ko").text


def test_pages_show_a_review_in_the_readers_language(client: TestClient, paused: Ask) -> None:
    review = paused("please book a room")
    english, korean = (client.get(f"/reviews/{review['id']}?lang={language}").text for language in ("en", "ko"))
    assert "A booking is checked by a person before it is made." in english
    assert "예약은 사람이 확인한 뒤에 합니다." in korean
    assert "A booking is checked by a person before it is made." not in korean
    assert "예약합니다" in korean
    assert "남음)" in korean


def test_an_error_page_is_in_the_readers_language(client: TestClient) -> None:
    assert "그런 검토가 없습니다" in client.get("/reviews/rv_nope?lang=ko").text
    assert "there is no review" in client.get("/reviews/rv_nope?lang=en").text
    assert (
        client.get("/reviews/rv_nope?lang=ko", headers={"accept": "*/*"})
        .json()["error"]
        .startswith("there is no review")
    )
