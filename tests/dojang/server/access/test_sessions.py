"""Logging in on the console, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dojang.server.login import inside
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.people import People
from tests.dojang.workspaces import workspace_for


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    with workspace_for(tmp_path_factory.mktemp("people"), NOT_NEEDED, language=None) as workspace:
        people = People(workspace)
        people.token("somebody", "viewer")
        yield people


def test_a_token_is_typed_once_and_a_cookie_stands_for_it(people: People) -> None:
    secret = people.token("hana", "operator")
    browser = people.browser()
    asked = browser.get("/threads?offset=0")
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fthreads%3Foffset%3D0")
    page = browser.get(asked.headers["location"]).text
    assert 'name="next" value="/threads?offset=0"' in page
    assert "<nav" not in page
    assert "로그인" in browser.get("/login", headers={"accept-language": "ko"}).text
    entered = browser.post("/login", data={"token": f" {secret}\n", "next": "/threads?offset=0"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/threads?offset=0")
    cookie = entered.headers["set-cookie"]
    for part in ("dojang_session=", "HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    assert secret[12:] not in cookie
    page = browser.get("/threads").text
    assert '<span class="chip who">hana</span>' in page
    assert browser.get("/login").status_code == 303
    assert browser.post("/logout", data={}).headers["location"] == "/login"
    assert browser.get("/threads").status_code == 303


def test_a_session_ends_on_the_server(people: People) -> None:
    browser = people.logged_in(people.token("hana", "viewer"))
    kept = dict(browser.cookies)
    assert browser.post("/logout", data={}).status_code == 303
    again = people.browser()
    again.cookies.update(kept)
    assert again.get("/").status_code == 303
    events = [(r["event"], r["actor"]) for r in people.tokens.audit.records(None)]
    assert events[-2:] == [("session.began", "hana"), ("session.ended", "hana")]


def test_a_session_ends_with_its_token_and_with_its_time(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = people.token("hana", "viewer"), people.token("hana", "viewer")
    browser, other = people.logged_in(first), people.logged_in(second)
    people.tokens.revoke(first[:11], by="kim")
    assert (browser.get("/").status_code, other.get("/").status_code) == (303, 200)
    tokens = people.app.state.doorkeeper.tokens
    monkeypatch.setattr(tokens, "now", lambda: datetime.now(UTC) + timedelta(hours=11.9))
    assert other.get("/").status_code == 200
    monkeypatch.setattr(tokens, "now", lambda: datetime.now(UTC) + timedelta(hours=12.1))
    assert other.get("/").status_code == 303


@pytest.mark.parametrize("kind", ["wrong", "expired", "revoked", "empty"])
def test_a_bad_token_shows_the_form_again_without_it(people: People, kind: str) -> None:
    secret = {"wrong": "dj_00000000_" + "a" * 43, "expired": people.expired(), "revoked": people.revoked(), "empty": ""}
    browser = people.browser()
    answer = browser.post("/login", data={"token": secret[kind], "next": "/docs"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert 'role="alert"' in answer.text
    assert 'name="next" value="/docs"' in answer.text
    assert "a" * 43 not in answer.text
    assert not secret[kind] or secret[kind] not in answer.text
    assert browser.get("/").status_code == 303


def test_a_log_in_from_another_site_is_refused(people: People) -> None:
    browser, secret = people.browser(), people.token("hana", "viewer")
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert browser.post("/login", data={"token": secret}, headers=headers).status_code == 403
        assert browser.post("/logout", data={}, headers=headers).status_code == 403


def test_behind_tls_the_cookie_goes_by_https_only(people: People) -> None:
    settings = people.workspace.settings.model_copy(update={"behind_tls": True})
    browser = People(people.workspace, settings).browser()
    answer = browser.post("/login", data={"token": people.token("hana", "viewer")})
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "elsewhere",
    ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\n", "/\t/evil", "/login?next=/login", "/가"],
)
def test_the_way_on_leads_to_pages_of_ours(elsewhere: str) -> None:
    assert inside(elsewhere) == "/"
    assert inside("/reviews/rv_1?lang=ko") == "/reviews/rv_1?lang=ko"
