"""People with tokens in front of an application, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.server.access.tokens import Tokens
from dojang.server.opening import tokens_of
from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.dojang.server.conftest import BASE

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class People:
    """Makes tokens and clients over one workspace."""

    def __init__(self, workspace: Workspace, settings: Settings | None = None) -> None:
        self.workspace = workspace
        self.app = create_app(workspace, settings=settings)
        parts = workspace.parts
        self.tokens = tokens_of(parts.settings, parts.sessions, parts.audit)

    def token(self, name: str, *roles: str) -> str:
        return self.tokens.make(name, roles, days=1, by="kim")[0]

    def expired(self) -> str:
        past = Tokens(self.tokens.database, self.workspace.parts.audit, lambda: LONG_AGO)
        return past.make("old", ["admin"], days=1, by="kim")[0]

    def revoked(self) -> str:
        secret = self.token("gone", "admin")
        self.tokens.revoke(secret[:11], by="kim")
        return secret

    def client(self, token: str = "", **headers: str) -> TestClient:
        """A program with a token, or with none."""
        sent = {"authorization": f"Bearer {token}"} if token else {}
        return TestClient(self.app, base_url=BASE, headers={**sent, **headers}, follow_redirects=False)

    def browser(self) -> TestClient:
        """A browser on a page of ours, not logged in."""
        headers = {"origin": BASE, "sec-fetch-site": "same-origin", "accept-language": "en", "accept": "text/html"}
        return TestClient(self.app, base_url=BASE, headers=headers, follow_redirects=False)

    def logged_in(self, token: str) -> TestClient:
        """A browser in which somebody has logged in."""
        browser = self.browser()
        answer = browser.post("/login", data={"token": token})
        assert answer.status_code == 303, answer.text
        return browser


class Echo:
    """Stands where the routes are, and says who came through."""

    def __init__(self, routes: Any) -> None:
        self.routes = routes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        caller = scope["state"]["caller"]
        headers = [(b"x-came", caller.name.encode() if caller else b"nobody")]
        await send({"type": "http.response.start", "status": 299, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
