"""A provider beside an application, for tests: started once a module, told what is to go wrong, asked for tokens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi.testclient import TestClient
from pydantic import SecretStr

from dojang.workspace import Workspace
from tests.dojang.server.access.people import People
from tests.dojang.server.access.provider import CLIENT_ID, SECRET
from tests.processes import Forked

HANA = {"name": "Hana", "email": "hana@example.com", "email_verified": True, "groups": ["desk-operators"]}
LEE = {"name": "Lee", "groups": ["desk-managers", "everybody"]}
GUEST = {"name": "Guest", "groups": ["everybody"]}
ROLES = {"desk-operators": ["operator"], "desk-managers": ["manager", "finance"]}


class Provided:
    """The provider's process, as a test speaks to it."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(trust_env=False)
        self.well()

    def control(self, **said: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(self.issuer + "/control", json=said).json()
        return answer

    def well(self, user: str = "u1", **faults: Any) -> None:
        """Everybody is there again, ``user`` is who logs in, and only these things go wrong."""
        self.control(ahead=0, faults={"user": user, **faults}, users={"u1": HANA, "u2": LEE, "u3": GUEST, "u4": HANA})

    def asked(self) -> list[str]:
        """Paths that were asked for since the last time."""
        found: list[str] = self.control()["asked"]
        return found

    def access_token(self, **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.issuer, "sub": "u1", "aud": "dojang-api", "iat": now, "exp": now + 300, **HANA, **claims}
        token: str = self.control(sign={name: value for name, value in said.items() if value is not None})["token"]
        return token

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": SecretStr(SECRET),
            "oidc_roles": ROLES,
            **more,
        }


@contextmanager
def provider_process() -> Iterator[Provided]:
    """One provider, on a port of its own."""
    with Forked("tests.dojang.server.access.provider", stdin=True, stderr=False) as process:
        provided = Provided(int(process.stdout.readline()))
        try:
            yield provided
        finally:
            provided.http.close()
            process.stdin.close()


class House(People):
    """People who log in with a provider, over one workspace."""

    def __init__(self, workspace: Workspace, provided: Provided, **more: Any) -> None:
        self.provided = provided
        super().__init__(workspace, workspace.settings.model_copy(update=provided.settings(**more)))

    def begun(self, browser: TestClient, wanted: str = "/threads") -> str:
        """Go out to the provider; the address with which it sends the browser back."""
        out = browser.get("/login/provider", params={"next": wanted})
        assert out.status_code == 303, out.text
        back = self.provided.http.get(out.headers["location"])
        assert back.status_code == 302, back.text
        return back.headers["location"]

    def enter(self, browser: TestClient | None = None, wanted: str = "/threads") -> tuple[TestClient, Any]:
        """(a browser, how its log-in ended)."""
        browser = browser or self.browser()
        return browser, browser.get(self.begun(browser, wanted), headers={"sec-fetch-site": "cross-site"})

    def name_of(self, browser: TestClient) -> str:
        """The name of whoever is logged in there."""
        person = self.app.state.doorkeeper.logins.check(browser.cookies["dojang_session"])
        assert person is not None
        name: str = person.name
        return name
