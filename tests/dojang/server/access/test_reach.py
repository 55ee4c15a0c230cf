"""How the server is reached from elsewhere: bind, names, other sites' pages, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dojang.server import serve
from dojang.server.access.limiting import WRONG, WRONG_IN_ALL
from dojang.server.serving import CannotServe
from dojang.settings import BadSetting, Settings, load_settings
from dojang.workspace import Workspace
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.people import People
from tests.dojang.workspaces import workspace_for

DESK, CHAT = "desk.example.com", "http://chat.example.com"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with workspace_for(tmp_path_factory.mktemp("reach"), NOT_NEEDED, language=None) as opened:
        yield opened


def people_with(workspace: Workspace, **settings: Any) -> People:
    return People(workspace, workspace.settings.model_copy(update=settings))


def given(home: Path, **settings: Any) -> Settings:
    return Settings(home=home, port=0, _env_file=None, **settings)  # type: ignore[call-arg]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "127.0.0.2"])
def test_others_reach_nothing_before_a_token_is_made(host: str, tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match=f"DOJANG_HOST={host}: .*`dojang tokens create`, or serve on 127.0.0.1 only"):
        serve(given(tmp_path / "var", host=host))
    assert not (tmp_path / "var").exists()


def test_a_proxy_in_front_is_others_too(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="DOJANG_PUBLIC_HOSTS: others reach the server, and no token was made"):
        serve(given(tmp_path, public_hosts=[DESK]))


def test_with_a_token_it_binds_and_wants_to_know_its_name(workspace: Workspace) -> None:
    People(workspace).token("hana", "viewer")
    same = workspace.settings.model_copy
    with pytest.raises(CannotServe, match="say by which names people reach the server in DOJANG_PUBLIC_HOSTS"):
        serve(same(update={"port": 0, "host": "0.0.0.0"}))
    with pytest.raises(CannotServe, match="write an IP address of this machine"):
        serve(same(update={"port": 0, "host": "example.com"}))
    with pytest.raises(CannotServe, match=r"of 192\.0\.2\.1 cannot be used"):  # the address is for documents only
        serve(same(update={"port": 0, "host": "192.0.2.1"}))


def test_names_that_the_settings_list_are_answered(workspace: Workspace) -> None:
    people = people_with(workspace, public_hosts=["Desk.example.com"], host="10.0.0.5", behind_tls=True)
    client = people.client(people.token("hana", "operator"))
    for host, status in ((DESK, 200), ("10.0.0.5:8723", 200), ("evil.example", 421), (f"{DESK}:81", 421)):
        assert client.get("/threads", headers={"host": host}).status_code == status, host
    browser = people.browser()
    for origin, status in ((f"https://{DESK}", 401), (f"http://{DESK}", 403), ("https://evil.example", 403)):
        sent = {"host": DESK, "origin": origin}
        assert browser.post("/login", data={"token": "x"}, headers=sent).status_code == status, origin


def test_the_local_user_does_not_come_by_a_public_name(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = people_with(workspace, public_hosts=[DESK])
        assert people.client().get("/threads").status_code == 200
        assert people.client(host=DESK).get("/threads").status_code == 401


def test_pages_of_listed_sites_may_call_with_a_token_and_never_with_a_session(workspace: Workspace) -> None:
    people = people_with(workspace, cors_origins=[CHAT])
    token = people.token("hana", "operator")
    ask = {"origin": CHAT, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = people.client().options("/threads", headers=ask)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, CHAT)
    assert people.client().options("/threads", headers={**ask, "origin": "http://b.c"}).status_code == 400
    with_token = people.client(token, origin=CHAT, **{"sec-fetch-site": "cross-site"})
    answer = with_token.get("/threads")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, CHAT)
    assert "access-control-allow-credentials" not in answer.headers
    assert with_token.post("/reviews/x/claim", json={}).status_code == 404
    foreign = people.client(token, origin="http://b.c", **{"sec-fetch-site": "cross-site"})
    assert foreign.post("/reviews/x/claim", json={}).status_code == 403
    browser = people.logged_in(token)
    assert browser.get("/threads").status_code == 200
    assert browser.get("/threads", headers={"origin": CHAT, "accept": "*/*"}).status_code == 401


def test_whoever_asks_too_often_waits_and_nobody_else(workspace: Workspace) -> None:
    people = people_with(workspace, rate_limit="3/hour")
    hana, lee = (people.client(people.token(name, "viewer")) for name in ("hana", "lee"))
    again = people.client(people.token(" HANA", "viewer"))  # another token of the same person
    assert [c.get("/threads").status_code for c in (hana, again, hana, hana, again)] == [200, 200, 200, 429, 429]
    late = hana.get("/threads")
    assert 3500 <= int(late.headers["retry-after"]) <= 3600
    assert "at most 3 per 1 hour" in late.json()["error"]
    assert lee.get("/threads").status_code == 200
    assert [people.client().get("/threads").status_code for _ in range(4)] == [401, 401, 401, 429]
    unlimited = people_with(workspace, rate_limit="")
    assert {unlimited.client().get("/threads").status_code for _ in range(5)} == {401}


def test_wrong_tokens_are_slowed_by_their_visible_part_and_in_all(workspace: Workspace) -> None:
    people = people_with(workspace, rate_limit="")
    secret = people.token("hana", "viewer")
    wrong = secret[:12] + "a" * 43
    tries = [people.client(wrong).get("/threads").status_code for _ in range(WRONG.amount + 1)]
    assert tries == [401] * WRONG.amount + [429]
    assert people.client(people.token("lee", "viewer")).get("/threads").status_code == 200
    form = people.browser().post("/login", data={"token": secret})
    assert (form.status_code, int(form.headers["retry-after"]) <= 60) == (429, True)
    assert "too many tokens from here were wrong" in form.text
    for number in range(WRONG_IN_ALL.amount - WRONG.amount):
        people.app.state.doorkeeper.limiter.failed("testclient", f"dj_{number}")
    assert people.client(people.token("park", "viewer")).get("/threads").status_code == 429


@pytest.mark.parametrize("rate", ["many", "0/minute", "5/week", "5", "5/minute;drop"])
def test_a_rate_that_is_none_is_told(rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOJANG_RATE_LIMIT", rate)
    with pytest.raises(BadSetting, match=r"DOJANG_RATE_LIMIT: .*must be like 1200/minute"):
        load_settings()
