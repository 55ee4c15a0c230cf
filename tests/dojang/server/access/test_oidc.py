"""Logging in with a provider that is a process of its own: over real sockets, with real keys, codes and PKCE."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dojang.server.access.oidc.errors import ProviderFault
from dojang.server.access.oidc.provider import is_safe
from dojang.server.access.oidc.wire import ask
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.people import People
from tests.dojang.server.access.provided import HANA, LEE, House, Provided, provider_process
from tests.dojang.server.conftest import BASE
from tests.dojang.workspaces import workspace_for


@pytest.fixture(scope="module")
def provided() -> Iterator[Provided]:
    with provider_process() as provided:
        yield provided


@pytest.fixture(scope="module")
def module_house(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with workspace_for(tmp_path_factory.mktemp("house"), NOT_NEEDED, language=None) as workspace:
        yield House(workspace, provided, oidc_audience="dojang-api")


@pytest.fixture
def house(module_house: House, provided: Provided) -> House:
    """The house, with a provider in which nothing is wrong."""
    provided.well()
    return module_house


def again(house: House, **more: Any) -> House:
    """The same home, served by another process with other settings."""
    return House(house.workspace, house.provided, **more)


def later(house: House, monkeypatch: pytest.MonkeyPatch, **delta: float) -> None:
    """So much later, here and at the provider."""
    monkeypatch.setattr(house.app.state.doorkeeper.tokens, "now", lambda: datetime.now(UTC) + timedelta(**delta))
    house.provided.control(ahead=int(timedelta(**delta).total_seconds()))


def test_a_person_logs_in_and_out(house: House) -> None:
    browser = house.browser()
    assert browser.get("/threads?offset=0").headers["location"] == "/login?next=%2Fthreads%3Foffset%3D0"
    page = browser.get("/login?next=%2Fthreads%3Foffset%3D0").text
    assert 'href="/login/provider?next=%2Fthreads%3Foffset%3D0"' in page
    out = browser.get("/login/provider?next=%2Fthreads%3Foffset%3D0")
    query = parse_qs(urlsplit(out.headers["location"]).query)
    assert query["redirect_uri"] == [BASE + "/login/callback"]
    assert query["code_challenge_method"] == ["S256"]
    for part in ("HttpOnly", "SameSite=lax", "Path=/login", "Max-Age=600"):
        assert part in out.headers["set-cookie"]
    browser, entered = house.enter(browser, "/threads?offset=0")
    assert (entered.status_code, entered.headers["refresh"]) == (200, "0; url=/threads?offset=0")
    assert "Logged in as Hana" in entered.text
    cookie = next(c for c in entered.headers.get_list("set-cookie") if c.startswith("dojang_session"))
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert '<span class="chip who">Hana</span>' in browser.get("/threads").text
    assert browser.get("/login?next=/docs").headers["location"] == "/docs"
    kept = dict(browser.cookies)
    left = browser.post("/logout", data={})
    there = parse_qs(urlsplit(left.headers["refresh"].partition("url=")[2]).query)
    assert there["post_logout_redirect_uri"] == [BASE + "/login"]
    assert there["id_token_hint"][0].count(".") == 2
    browser.cookies.update(kept)
    assert browser.get("/threads").status_code == 303
    events = [(r["event"], r["actor"], r["subject"]) for r in house.tokens.audit.records(None)]
    who = f"{house.provided.issuer}#u1"
    assert events[-2:] == [("session.began", "Hana", who), ("session.ended", "Hana", who)]
    assert ("person.named", "Hana", who) in events


def test_a_log_in_is_finished_once_and_in_the_browser_where_it_began(house: House) -> None:
    first, other = house.browser(), house.browser()
    back = house.begun(first)
    for browser, address in ((other, back), (first, back + "x"), (first, BASE + "/login/callback?code=x")):
        refused = browser.get(address)
        assert (refused.status_code, "dojang_session" in refused.headers.get("set-cookie", "")) == (401, False)
        assert "not begun in this browser" in refused.text
    assert first.get(back).status_code == 200
    assert first.get(back).status_code == 401  # the state is used up
    state = parse_qs(urlsplit(back).query)["state"][0]
    used = parse_qs(urlsplit(back).query)["code"][0]
    fresh = house.begun(first)
    replayed = fresh.replace(parse_qs(urlsplit(fresh).query)["code"][0], used)
    assert (first.get(replayed).status_code, state in fresh) == (401, False)


@pytest.mark.parametrize(
    ("answer", "why"),
    [({"iss": "https://evil.example"}, "another log-in provider"), ({"error": "x", "code": ""}, "did not let you in")],
)
def test_an_answer_that_is_no_good_uses_the_log_in_up(house: House, answer: dict[str, str], why: str) -> None:
    browser = house.browser()
    query = {name: values[0] for name, values in parse_qs(urlsplit(house.begun(browser)).query).items()}
    said = {name: value for name, value in {**query, **answer}.items() if value}
    for params, told in ((said, why), (query, "not begun in this browser")):
        same = house.browser()
        same.cookies.update({cookie.name: cookie.value or "" for cookie in browser.cookies.jar})
        refused = same.get("/login/callback", params=params)
        assert (refused.status_code, told in refused.text) == (401, True)


def test_two_tabs_log_in_at_once(house: House) -> None:
    browser = house.browser()
    one, two = house.begun(browser), house.begun(browser)
    assert [browser.get(back).status_code for back in (one, two)] == [200, 200]


def test_a_session_is_new_and_the_old_one_ends(house: House) -> None:
    browser = house.browser()
    browser.cookies.set("dojang_session", "chosen-by-somebody-else", domain="127.0.0.1")
    browser, _ = house.enter(browser)
    cookie = browser.cookies["dojang_session"]
    assert cookie != "chosen-by-somebody-else"
    old = house.browser()
    old.cookies.set("dojang_session", cookie)
    assert old.get("/threads").status_code == 200
    browser, _ = house.enter(browser)
    assert browser.cookies["dojang_session"] != cookie
    assert (old.get("/threads").status_code, browser.get("/threads").status_code) == (303, 200)


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "/login?next=/x"])
def test_the_way_back_leads_to_pages_of_ours(house: House, elsewhere: str) -> None:
    assert house.enter(wanted=elsewhere)[1].headers["refresh"] == "0; url=/"


WRONG: dict[str, dict[str, Any]] = {
    "nonce": {"claims": {"nonce": "of another log-in"}},
    "no nonce": {"claims": {"nonce": None}},
    "audience": {"claims": {"aud": "another program"}},
    "audiences without a party": {"claims": {"aud": ["desk", "another program"]}},
    "party": {"claims": {"azp": "another program"}},
    "issuer": {"claims": {"iss": "https://evil.example"}},
    "expired": {"claims": {"exp": 1_700_000_000}},
    "no expiry": {"claims": {"exp": None}},
    "from the future": {"claims": {"iat": 4_000_000_000}},
    "nobody": {"claims": {"sub": None}},
    "alg none": {"alg": "none"},
    "public key as a secret": {"alg": "HS256"},
    "key that is not published": {"stray": "yes"},
    "key under our key's name": {"stray": "under our name"},
    "denied": {"denies": True},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_proves_nobody_logs_nobody_in(house: House, wrong: str) -> None:
    house.provided.well(**WRONG[wrong])
    browser, answer = house.enter()
    assert (answer.status_code, "dojang_session" in browser.cookies) == (401, False)
    assert 'role="alert"' in answer.text
    assert browser.get("/threads").status_code == 303


def test_a_minute_of_another_clock_is_forgiven(house: House) -> None:
    now = int(datetime.now(UTC).timestamp())
    house.provided.well(claims={"iat": now + 40, "exp": now - 40})
    assert house.enter()[1].status_code == 200
    house.provided.well(claims={"exp": now - 90})
    assert "this machine&#39;s clock" in house.enter()[1].text


def test_keys_that_were_changed_are_asked_for_again_but_not_for_ever(house: House) -> None:
    fresh = again(house)
    assert fresh.enter()[1].status_code == 200
    assert fresh.provided.asked().count("/jwks") == 1
    assert fresh.enter()[1].status_code == 200
    assert fresh.provided.asked().count("/jwks") == 0
    house.provided.well(turned=True)
    assert fresh.enter()[1].status_code == 200
    assert fresh.provided.asked().count("/jwks") == 1
    house.provided.well(turned=True, stray="yes")
    assert [fresh.enter()[1].status_code for _ in range(2)] == [401, 401]
    assert fresh.provided.asked().count("/jwks") == 0  # asked less than ten seconds ago


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"down": "/.well-known/openid-configuration"}, "has a fault (503)"),
        ({"description": {"issuer": "https://evil.example"}}, "calls itself"),
        ({"description": {"token_endpoint": "http://evil.example/token"}}, "no token_endpoint that goes by https"),
        ({"description": {"code_challenge_methods_supported": ["plain"]}}, "does not offer S256"),
    ],
)
def test_a_provider_that_cannot_be_used_is_told_before_anybody_goes_there(
    house: House, faults: dict[str, Any], said: str
) -> None:
    house.provided.well(**faults)
    answer = again(house).browser().get("/login/provider?next=/docs")
    assert (answer.status_code, said in answer.text) == (503, True)
    assert 'name="next" value="/docs"' in answer.text


@pytest.mark.parametrize(
    ("faults", "status", "said"),
    [
        ({"down": "/token"}, 503, "has a fault (503)"),
        ({"down": "/jwks"}, 503, "has a fault (503)"),
        ({"secret": "another one"}, 503, "DOJANG_OIDC_CLIENT_SECRET"),
    ],
)
def test_a_provider_that_fails_on_the_way_back_leaves_nothing_half_done(
    house: House, faults: dict[str, Any], status: int, said: str
) -> None:
    fresh = again(house)
    browser = fresh.browser()
    back = fresh.begun(browser)
    house.provided.well(**faults)
    answer = browser.get(back)
    assert (answer.status_code, said in answer.text, "dojang_session" in browser.cookies) == (status, True, False)
    house.provided.well()
    assert fresh.enter(browser)[1].status_code == 200


def test_a_provider_that_is_gone_or_never_answers(provided: Provided) -> None:
    with pytest.raises(ProviderFault, match="cannot be reached"):
        ask("GET", "http://127.0.0.1:9/", timeout_s=1)
    provided.well(hang="/jwks")
    with pytest.raises(ProviderFault, match="ReadTimeout"):
        ask("GET", provided.issuer + "/jwks", timeout_s=0.05)
    provided.well()


@pytest.mark.parametrize("ways", [["client_secret_basic"], ["client_secret_post"]])
def test_a_secret_is_sent_as_the_provider_takes_it(house: House, ways: list[str]) -> None:
    house.provided.well(description={"token_endpoint_auth_methods_supported": ways})
    assert again(house).enter()[1].status_code == 200


def test_roles_are_mapped_and_whoever_has_none_is_refused(house: House) -> None:
    house.provided.well("u2")
    lee, _ = house.enter()
    sessions = house.app.state.doorkeeper.logins
    assert sessions.check(lee.cookies["dojang_session"]).roles == ("manager", "finance")
    house.provided.well("u3")
    guest, answer = house.enter()
    assert (answer.status_code, "dojang_session" in guest.cookies) == (403, False)
    assert "Guest is known to the log-in provider and has no role here" in answer.text
    house.provided.well("u3", userinfo={"sub": "u3", "realm": {"roles": ["desk-operators"]}})
    inner = again(house, oidc_roles_claim="realm.roles")
    assert inner.enter()[1].status_code == 200
    house.provided.well("u3", userinfo={"sub": "somebody else", "realm": {"roles": ["desk-operators"]}})
    assert inner.enter()[1].status_code == 403
    taken = again(house, oidc_roles={"others": ["admin"]}).browser()
    taken.cookies.update(dict(lee.cookies))
    assert taken.get("/threads").status_code == 401


@pytest.mark.parametrize(
    ("domain", "claims", "status"),
    [
        ("example.com", {}, 200),
        ("example.org", {}, 401),
        ("example.com", {"email_verified": False}, 401),
        ("example.com", {"email": "hana@example.com.evil.example"}, 401),
        ("example.com", {"email": None, "hd": "example.com"}, 200),
    ],
)
def test_only_people_of_a_domain(house: House, domain: str, claims: dict[str, Any], status: int) -> None:
    house.provided.well(claims=claims)
    assert again(house, oidc_domains=[domain]).enter()[1].status_code == status


# -- while somebody is logged in --


def test_the_provider_is_asked_again_and_ends_whom_it_no_longer_knows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = house.enter()
    house.provided.asked()
    assert browser.get("/docs").status_code == 200
    assert house.provided.asked() == []
    for minutes in (16, 32):  # the second with the token that the first one gave
        later(house, monkeypatch, minutes=minutes)
        assert browser.get("/docs").status_code == 200
        assert house.provided.asked() == ["/token"]
    house.provided.control(users={"u2": LEE})
    assert browser.get("/docs").status_code == 200
    later(house, monkeypatch, minutes=48)
    assert browser.get("/docs").status_code == 303
    assert house.tokens.audit.records(None)[-1]["facts"] == {"why": "ended by the provider"}
    house.provided.well()
    assert browser.get("/docs").status_code == 303


def test_groups_that_were_taken_away_count_at_the_next_question(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = house.enter()
    house.provided.control(users={"u1": {**HANA, "groups": []}})
    later(house, monkeypatch, minutes=16)
    refused = browser.get("/docs")
    assert (refused.status_code, "has no role here" in refused.text) == (401, True)


def test_a_fault_of_the_provider_is_outlived_for_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = house.enter()
    house.provided.well(down="/token")
    later(house, monkeypatch, minutes=16)
    assert browser.get("/docs").status_code == 200
    later(house, monkeypatch, minutes=31)
    assert (browser.get("/docs").status_code, browser.get("/login").status_code) == (503, 200)
    house.provided.well()
    later(house, monkeypatch, minutes=33)
    assert browser.get("/docs").status_code == 200


def test_an_answer_that_proves_nobody_is_no_check(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = house.enter()
    house.provided.well(claims={"groups": None}, down="/userinfo")  # it gives new tokens, and does not say whose
    for minutes in (16, 29):
        later(house, monkeypatch, minutes=minutes)
        assert browser.get("/docs").status_code == 200
    later(house, monkeypatch, minutes=31)
    assert browser.get("/docs").status_code == 503
    house.provided.well()
    later(house, monkeypatch, minutes=33)
    assert browser.get("/docs").status_code == 200


def test_a_log_in_lasts_its_hours(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.provided.well(no_refresh=True)
    browser, _ = house.enter()
    later(house, monkeypatch, hours=11.9)
    assert browser.get("/docs").status_code == 200
    later(house, monkeypatch, hours=12.1)
    assert browser.get("/docs").status_code == 303


def test_requests_that_come_together_ask_the_provider_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = house.enter()
    logins, cookie = house.app.state.doorkeeper.logins, browser.cookies["dojang_session"]
    house.provided.asked()
    later(house, monkeypatch, minutes=16)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(logins.check(cookie))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [person.name for person in found] == ["Hana"] * 4
    assert house.provided.asked() == ["/token"]


@pytest.mark.about_files("log-ins lie in one of the home")
def test_the_file_alone_opens_nothing(house: House) -> None:
    browser, _ = house.enter()
    raw = (house.workspace.settings.home / "tokens.sqlite").read_bytes()
    assert browser.cookies["dojang_session"].encode() not in raw
    assert b"refresh_token" not in raw
    assert b"eyJhbGciOi" not in raw  # how a token of the provider begins


def test_what_was_being_written_outlives_the_log_in(house: House) -> None:
    browser, typed = house.browser(), 'No "deluxe" left & <b>none</b> in December'
    form = {"type": "reject", "digest": "sha256:1", "note": typed, "chip": "wrong data"}
    held = browser.post("/reviews/rv_1/decision", data=form)
    assert held.status_code == 401
    assert 'action="/reviews/rv_1/decision"' in held.text
    assert "No &#34;deluxe&#34; left &amp; &lt;b&gt;none&lt;/b&gt; in December" in held.text
    for name, value in (("type", "reject"), ("digest", "sha256:1"), ("chip", "wrong data")):
        assert f'name="{name}" value="{value}"' in held.text
    assert 'href="/login?next=%2Flogin%2Fdone" target="_blank"' in held.text
    browser, entered = house.enter(browser, "/login/done")
    assert entered.headers["refresh"] == "0; url=/login/done"
    assert "Close this page" in browser.get("/login/done").text
    assert browser.post("/reviews/rv_1/decision", data=form).status_code == 404  # let in: there is no such review
    assert "No &#34;deluxe" not in house.browser().post("/login", data=form).text


# -- who is who --


def test_nobody_gets_a_name_that_somebody_has(house: House) -> None:
    house.token("Mina", "operator")
    names = {}
    for sub, wanted in (
        ("n1", "Mina"), ("n2", "ＭＩＮＡ"), ("n3", "Jo"), ("n4", "jo "), ("n5", "Jo (12345678)"), ("n6", "J\u200bo"),
        ("n7", house.workspace.user), ("n8", "Борис"), ("n9", "борис"), ("n1", "Somebody else now"),
    ):  # fmt: skip
        house.provided.control(faults={"user": sub}, users={sub: {**HANA, "name": wanted, "email": None}})
        browser, entered = house.enter()
        assert entered.status_code == 200
        names[sub, wanted] = house.name_of(browser)
    assert names["n3", "Jo"] == "Jo"
    assert names["n8", "Борис"] == "Борис"
    assert names["n1", "Somebody else now"] == names["n1", "Mina"]  # for good
    bare = names["n1", "Mina"].rpartition(" (")
    assert (bare[0], len(bare[2])) == ("Mina", 9)
    people = {name.casefold() for name in names.values()}
    assert len(people) == 9
    assert not people & {"mina", house.workspace.user.casefold()}
    assert names["n5", "Jo (12345678)"] != "Jo (12345678)"
    assert names["n6", "J\u200bo"].startswith("person (")


def test_the_same_name_of_two_providers_is_two_people(house: House) -> None:
    with provider_process() as other:
        first, second = house, House(house.workspace, other)
        other.well("u1")
        names = [h.name_of(h.enter()[0]) for h in (first, second)]
        assert names[0] == "Hana"
        assert names[1].startswith("Hana (")
        browser, _ = second.enter()
        here = first.browser()
        here.cookies.update(dict(browser.cookies))
        assert here.get("/threads").status_code == 303  # a session of another provider is none of this one's


def test_a_token_gets_no_name_of_a_person(house: House) -> None:
    house.enter()
    with pytest.raises(Exception, match="is somebody who logs in with"):
        house.token("hana", "operator")


def test_a_token_has_no_say_beside_people_unless_it_is_said_so(house: House) -> None:
    secret = house.token("Bo", "admin")
    refused = house.client(secret).post("/reviews/rv_1/claim")
    assert (refused.status_code, "has no say" in refused.json()["error"]) == (403, True)
    assert house.client(secret).get("/threads").status_code == 200
    both = again(house, oidc_tokens_decide=True).client(secret)
    assert both.post("/reviews/rv_1/claim").status_code == 404
    assert People(house.workspace).client(secret).post("/reviews/rv_1/claim").status_code == 404


def test_with_a_provider_the_local_user_logs_in_too(house: House) -> None:
    assert house.browser().get("/threads").status_code == 303
    assert house.client().get("/threads").status_code == 401


# -- programs --


def test_an_access_token_for_us_is_taken_where_the_settings_say_so(house: House) -> None:
    house.enter()
    token = house.provided.access_token()
    program = house.client(token)
    assert program.get("/threads").status_code == 200
    assert program.post("/reviews/rv_1/claim").status_code == 404  # the person's own say
    assert house.client(**{"x-api-key": token}).get("/threads").status_code == 200
    assert again(house).client(token).get("/threads").status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "desk"},
        {"exp": 1_700_000_000},
        {"iss": "https://evil.example"},
        {"typ": "ID"},
        {"groups": ["everybody"]},
    ],
)
def test_other_tokens_of_the_provider_open_nothing(house: House, claims: dict[str, Any]) -> None:
    answer = house.client(house.provided.access_token(**claims)).get("/threads")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_an_address_is_safe_by_https_or_on_this_machine() -> None:
    good = ["https://id.example.com/a", "http://localhost:1/", "http://127.0.0.1:2", "http://[::1]:3/"]
    bad = ["http://id.example.com", "ftp://x", "", None, "https://x\r\nSet-Cookie: a", "http://127.0.0.1.evil.example"]
    assert [is_safe(url) for url in good + bad] == [True] * len(good) + [False] * len(bad)


def test_the_tests_provider_checks_what_it_should(house: House) -> None:
    """PKCE: a code without its verifier opens nothing there, so the happy path shows that ours is right."""
    back = house.begun(house.browser())
    form = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0]}
    form |= {"redirect_uri": BASE + "/login/callback", "client_id": "desk", "code_verifier": "a" * 43}
    form |= {"client_secret": "s:e+c/r%t of the desk, quite long"}
    answer = house.provided.http.post(house.provided.issuer + "/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
