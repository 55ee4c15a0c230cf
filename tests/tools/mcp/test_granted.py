"""Tokens for servers over HTTP, from a file or by client credentials: real sockets, the SDK's own server."""

from __future__ import annotations

import base64
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.fastmcp import FastMCP
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tools.mcp.config import BrokenServers, read_servers
from tools.mcp.servers import McpServers, ServerDown

SECRET = "the-clients-own-secret"
TOKEN = "granted-to-dojang"


class Guarded:
    """A server that wants a token, and who gives it out, at one address."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.refuses = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(self.url),
            resource_server_url=AnyHttpUrl(f"{self.url}/mcp"),
            validate_token_resource=True,
        )
        app = FastMCP("guarded", auth=auth, token_verifier=self)

        @app.tool()
        def hello() -> str:
            """Say hello."""
            return "hello"

        app.custom_route("/.well-known/oauth-authorization-server", methods=["GET"])(self.described)
        app.custom_route("/token", methods=["POST"])(self.granted)
        self.server = uvicorn.Server(uvicorn.Config(app.streamable_http_app(), log_level="critical", log_config=None))
        self.thread = threading.Thread(target=lambda: self.server.run(sockets=[self.listener]))

    async def verify_token(self, token: str) -> AccessToken | None:
        good = token == TOKEN
        return AccessToken(token=token, client_id="dojang", scopes=[], resource=f"{self.url}/mcp") if good else None

    async def described(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": f"{self.url}/",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "response_types_supported": ["code"],
                "grant_types_supported": ["client_credentials"],
            }
        )

    async def granted(self, request: Request) -> Response:
        form = await request.form()
        basic = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ") or "").decode()
        self.asked.append({**{key: str(value) for key, value in form.items()}, "basic": basic})
        if self.refuses:
            return JSONResponse({"error": "invalid_client", "error_description": f"no: {SECRET}"}, status_code=401)
        return JSONResponse({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    one = Guarded()
    one.thread.start()
    yield one
    one.server.should_exit = True
    one.thread.join(20)
    one.listener.close()


def servers(folder: Path, url: str, how: str) -> McpServers:
    path = folder / "mcp.toml"
    path.write_text(f'[server.shop]\nurl = "{url}/mcp"\n{how}', "utf-8")
    return McpServers(read_servers(path), {}, outside={"SHOP_SECRET": SECRET})


def oauth(issuer: str, how: str = 'secret_env = "SHOP_SECRET"') -> str:
    return f'[server.shop.oauth]\nissuer = "{issuer}"\nclient_id = "dojang"\nscopes = "shop"\n{how}\n'


def test_a_token_is_got_by_client_credentials_and_sent(guarded: Guarded, tmp_path: Path) -> None:
    asked = servers(tmp_path, guarded.url, oauth(f"{guarded.url}/"))
    try:
        assert set(asked.drift("shop")[0].tools) == {"hello"}
    finally:
        asked.close()
    [one] = guarded.asked
    assert (one["grant_type"], one["scope"], one["basic"]) == ("client_credentials", "shop", f"dojang:{SECRET}")


def test_the_secret_goes_to_nobody_but_the_issuer_and_into_no_message(
    guarded: Guarded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    elsewhere = servers(tmp_path, guarded.url, oauth("https://id.example.com"))
    refused = servers(tmp_path, guarded.url, oauth(f"{guarded.url}/", 'secret_env = "SHOP_SECRET"\nsend = "post"'))
    try:
        with pytest.raises(ServerDown):
            elsewhere.drift("shop")
        assert guarded.asked == [], "the server names an issuer that is not the house's"
        guarded.refuses = True
        with pytest.raises(ServerDown) as told:
            refused.drift("shop")
    finally:
        elsewhere.close()
        refused.close()
    assert guarded.asked[0]["client_secret"] == SECRET
    assert SECRET not in str(told.value)
    assert SECRET not in caplog.text


def test_a_token_of_a_file_is_read_at_each_connection(guarded: Guarded, tmp_path: Path) -> None:
    asked = servers(tmp_path, guarded.url, 'token_file = "token"\n')
    try:
        for wrong, why in ((None, "cannot be read"), ("\n", "is empty"), ("old", "does not answer")):
            if wrong is not None:
                (tmp_path / "token").write_text(wrong, "utf-8")
            with pytest.raises(ServerDown, match=why):
                asked.drift("shop")
        (tmp_path / "token").write_text(f"{TOKEN}\n", "utf-8")
        assert set(asked.drift("shop")[0].tools) == {"hello"}
    finally:
        asked.close()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ('token_env = "A"\ntoken_file = "b"\n', "give either token_env or token_file"),
        ('token_env = "A"\n[server.shop.oauth]\nissuer = "https://i"\nclient_id = "d"\nsecret_env = "S"', "or oauth"),
        ('[server.shop.oauth]\nissuer = "https://i"\nclient_id = "d"', "secret_env or secret_file"),
        ('[server.shop.oauth]\nissuer = "id.example.com"\nclient_id = "d"\nsecret_env = "S"', "must begin with http"),
    ],
)
def test_two_ways_at_once_or_half_of_one_are_refused(tmp_path: Path, how: str, why: str) -> None:
    with pytest.raises(BrokenServers, match=why):
        servers(tmp_path, "https://shop.example.com", how)
