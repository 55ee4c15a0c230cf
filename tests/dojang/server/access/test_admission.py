"""Who comes to which route: every route with every role, and with what is no token."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from dojang.server.access.admission import PROBED, served
from dojang.server.access.callers import Doorkeeper
from dojang.server.access.limiting import Limiter
from dojang.server.access.roles import ROLES
from dojang.server.access.table import LANGGRAPH, OPEN, TABLE
from tests.databases import NOT_NEEDED
from tests.dojang.server.access.people import Echo, People
from tests.dojang.server.conftest import BASE
from tests.dojang.workspaces import workspace_for


@dataclass
class Gate:
    """The whole application, but with an echo where the routes are."""

    people: People
    routes: list[tuple[str, str]]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with workspace_for(tmp_path_factory.mktemp("gate"), NOT_NEEDED) as workspace:
        people = People(workspace)
        workspace.parts.backend.ensure("x1")  # nobody's, and there
        routes = [(method, route.path) for route in served(people.app.router.routes) for method in route.methods]
        people.app.router = Echo(people.app.router.routes)  # type: ignore[assignment]
        yield Gate(people, [(method, path) for method, path in routes if method not in ("HEAD", "OPTIONS")])


def address(path: str) -> str:
    """An address that leads to a route."""
    return re.sub(r"\{\w+\}", "x1", path)


def test_every_route_has_a_row_and_every_row_a_route(gate: Gate) -> None:
    assert set(gate.routes) - set(TABLE) == set()
    assert set(TABLE) - set(LANGGRAPH) - set(gate.routes) == set()


def test_every_route_with_every_role(gate: Gate) -> None:
    for role in ROLES:
        client = gate.people.client(gate.people.token(f"a {role}", role))
        for method, path in gate.routes:
            allowed = TABLE[method, path]
            answer = client.request(method, address(path))
            came = allowed is OPEN or role in allowed
            assert answer.status_code == (299 if came else 403), (role, method, path)
            who = "nobody" if path in PROBED else f"a {role}"  # a probe is answered without the database of tokens
            assert answer.headers.get("x-came", "") == (who if came else ""), (role, method, path)


def test_without_a_good_token_nothing_opens_but_what_is_open(gate: Gate) -> None:
    people = gate.people
    good = people.token("hana", *ROLES)
    bad = {"": "needs a token", "x": "not known", good[:-1]: "not known", good[:12] + "a" * 43: "not known"}
    bad |= {people.expired(): "expired at", people.revoked(): "was revoked"}
    for token, why in bad.items():
        client = people.client(token, origin=BASE, accept="text/html")
        for method, path in gate.routes:
            people.app.state.doorkeeper.limiter = Limiter("")  # one that has not heard the last token
            answer = client.request(method, address(path))
            where = (token, method, path)
            if TABLE[method, path] is OPEN:
                assert (answer.status_code, answer.headers["x-came"]) == (299, "nobody"), where
            elif not token and method == "GET" and not path.startswith(("/openapi", "/metrics")):
                assert answer.status_code == 303, where
                assert answer.headers["location"].startswith("/login?next=%2F"), where
            else:
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), where
                assert why in answer.text, where


def test_a_route_without_a_row_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = People(workspace)
        people.app.add_api_route("/policy/forgotten", lambda: "secret")
        client = people.client(people.token("root", "admin"))
        with caplog.at_level(logging.WARNING):
            answer = client.get("/policy/forgotten")
        assert (answer.status_code, "secret" in answer.text) == (404, False)
        assert "GET /policy/forgotten is in no row" in caplog.text
        assert people.client().get("/policy/forgotten").status_code == 401
        assert client.get("/policy/nowhere").status_code == 404
        assert client.delete("/threads", headers={"origin": "http://127.0.0.1:8723"}).status_code == 405
        assert people.client().get("/policy/nowhere").status_code == 401


def test_a_token_comes_in_either_header_but_not_in_two_voices(gate: Gate) -> None:
    people = gate.people
    hana, lee = people.token("hana", "viewer"), people.token("lee", "viewer")
    assert people.client(**{"x-api-key": hana}).get("/reviews").headers["x-came"] == "hana"
    assert people.client(hana, **{"x-api-key": hana}).get("/reviews").headers["x-came"] == "hana"
    two = people.client(hana, **{"x-api-key": lee}).get("/reviews")
    assert (two.status_code, "two different tokens" in two.json()["error"]) == (401, True)
    assert people.client(**{"authorization": f"Basic {hana}"}).get("/reviews").status_code == 401
    assert people.client(**{"authorization": f"bearer  {hana}"}).get("/reviews").status_code == 299
    assert people.client().get(f"/reviews?token={hana}&x-api-key={hana}").status_code == 401


def test_the_local_user_needs_no_token_until_one_is_made(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = People(workspace)
        stranger = people.client(**{"x-api-key": "lsv2_of_another_server"})
        assert people.client().get("/threads").json() == []
        assert stranger.get("/threads").json() == []
        assert people.client().get("/login").status_code == 303
        secret = people.token("hana", "viewer")
        assert people.client().get("/threads").status_code == 401
        assert stranger.get("/threads").status_code == 401
        assert people.client(secret).get("/threads").json() == []
        people.tokens.revoke(secret[:11], by="kim")
        assert people.client().get("/threads").status_code == 401


def test_a_server_that_others_reach_has_no_local_user(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        settings = workspace.settings.model_copy(update={"host": "0.0.0.0"})
        assert People(workspace, settings).client().get("/threads").status_code == 401


@pytest.mark.about_files("tokens lie in one of the home")
def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = People(workspace)
        secret = people.token("hana", "admin")
        (tmp_path / "tokens.sqlite").write_bytes(b"no database" * 999)
        for client in (people.client(secret), people.client(), people.browser()):
            assert client.get("/threads").status_code == 503
        assert People(workspace).client().get("/").status_code == 503


@pytest.mark.about_files("a database is always waited for")
def test_who_needs_no_token_is_known_without_waiting_for_a_file(tmp_path: Path) -> None:
    """On the event loop, and nobody else is: with a file of tokens, or from another name, somebody has to look."""
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = People(workspace)
        keeper: Doorkeeper = people.app.state.doorkeeper
        here, elsewhere = Headers({"host": "127.0.0.1:1"}), Headers({"host": "desk.example.com"})
        assert keeper.at_once(here) == keeper.caller(here, "127.0.0.1") == keeper.local
        assert keeper.at_once(elsewhere) is None
        people.token("kim", "operator")
        assert keeper.at_once(here) is None
        assert keeper.caller(here, "127.0.0.1") is None
        (tmp_path / "tokens.sqlite").unlink()
        assert keeper.at_once(here) is None
