"""An OpenID provider as a process of its own, for tests: `python -m tests.dojang.server.access.provider`.

The protocol (codes good for once, PKCE, clients and their secrets, redirect addresses, refresh) is that of Authlib's
server, so what our log-in meets is not our own reading of the standard. What a test wants to go wrong it posts to
``/control``. Prints its port; ends when its standard input is closed.
"""

from __future__ import annotations

import hmac
import json
import sys
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT_ID: Final = "desk"
SECRET: Final = "s:e+c/r%t of the desk, quite long"
WAYS: Final = ("client_secret_basic", "client_secret_post")


@dataclass
class World:
    """What the provider knows, and what goes wrong with it now."""

    issuer: str = ""
    first: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, auto_kid=True))
    second: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, auto_kid=True))
    stray: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, auto_kid=True))
    faults: dict[str, Any] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    ahead: int = 0  # seconds of its clock
    codes: dict[str, Code] = field(default_factory=dict)
    refreshes: dict[str, Refresh] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def key(self) -> RSAKey:
        """The key that is published, and signs."""
        return self.second if self.faults.get("turned") else self.first


class Client(ClientMixin):  # type: ignore[misc]
    """The one client."""

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return urlsplit(redirect_uri).path == "/login/callback"

    def check_client_secret(self, client_secret: str) -> bool:
        return bool(client_secret == WORLD.faults.get("secret", SECRET))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in WORLD.faults.get("description", {}).get("token_endpoint_auth_methods_supported", WAYS)

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code" or not WORLD.faults.get("no_refresh")


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that was given out."""

    sub: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Refresh(TokenMixin):  # type: ignore[misc]
    """A refresh token that was given out."""

    sub: str
    scope: str

    def check_client(self, client: Client) -> bool:
        return True

    def get_scope(self) -> str:
        return self.scope


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """Codes for tokens."""

    TOKEN_ENDPOINT_AUTH_METHODS = WAYS

    def save_authorization_code(self, code: str, request: Any) -> None:
        data = request.payload.data
        WORLD.codes[code] = Code(
            request.user, data["redirect_uri"], request.scope, data.get("nonce", ""),
            data.get("code_challenge", ""), data.get("code_challenge_method", ""),
        )  # fmt: skip

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return WORLD.codes.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        for code in [code for code, kept in WORLD.codes.items() if kept is authorization_code]:
            del WORLD.codes[code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.sub


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """Refresh tokens, each good for once."""

    TOKEN_ENDPOINT_AUTH_METHODS = WAYS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        return WORLD.refreshes.pop(refresh_token, None)

    def authenticate_user(self, refresh_token: Refresh) -> str | None:
        return refresh_token.sub if refresh_token.sub in WORLD.users else None

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        pass


class Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server over this file's HTTP."""

    def query_client(self, client_id: str) -> Client | None:
        return Client() if client_id == CLIENT_ID else None

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        nonce = request.authorization_code.nonce if request.authorization_code else ""
        if "refresh_token" in token:
            WORLD.refreshes[token["refresh_token"]] = Refresh(request.user, token["scope"])
        if not (request.refresh_token and WORLD.faults.get("no_id_token_on_refresh")):
            token["id_token"] = id_token(request.user, nonce)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        pass

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, dict[str, str]]:
        return status, body, dict(headers)


class Request(OAuth2Request):  # type: ignore[misc]
    """A request as Authlib reads it."""

    def __init__(self, method: str, uri: str, sent: dict[str, str], headers: dict[str, str]) -> None:
        super().__init__(method, uri, headers=headers)
        self.sent, self.payload = sent, BasicOAuth2Payload(sent)

    @property
    def args(self) -> dict[str, str]:
        return self.sent

    @property
    def form(self) -> dict[str, str]:
        return self.sent


def id_token(sub: str, nonce: str) -> str:
    """What the provider says of somebody, with what a test wants to be wrong in it."""
    now = int(time.time()) + WORLD.ahead
    claims = {"iss": WORLD.issuer, "sub": sub, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **WORLD.users[sub]}
    claims |= {"nonce": nonce} if nonce else {}
    claims |= WORLD.faults.get("claims", {})
    return signed({name: value for name, value in claims.items() if value is not None})


def signed(claims: dict[str, Any]) -> str:
    """A token under the algorithm and key that a test wants."""
    algorithm = WORLD.faults.get("alg", "RS256")
    if algorithm == "none":
        return jwt.encode({"alg": "none", "kid": WORLD.key.kid}, claims, OctKey.generate_key(), ["none"])
    if algorithm == "HS256":  # the public key as a shared secret: whoever takes it for one is taken in
        parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "kid": WORLD.key.kid}, claims))
        said = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        by = urlsafe_b64encode(hmac.digest(WORLD.key.as_pem(private=False), said, "sha256")).rstrip(b"=")
        return (said + b"." + by).decode()
    key = WORLD.stray if WORLD.faults.get("stray") else WORLD.key
    kid = WORLD.key.kid if WORLD.faults.get("stray") == "under our name" else key.kid
    return jwt.encode({"alg": "RS256", "kid": kid}, claims, key)


class Handler(BaseHTTPRequestHandler):
    """The addresses."""

    def do_GET(self) -> None:
        self.handled({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self.handled(json.loads(body) if self.path == "/control" else dict(parse_qsl(body, keep_blank_values=True)))

    def handled(self, sent: dict[str, Any]) -> None:
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        if path == "/control":
            self.answer(200, control(sent))
            return
        WORLD.asked.append(path)
        if WORLD.faults.get("hang") == path:
            WORLD.go_on.wait(30)
        if WORLD.faults.get("down") == path:
            self.answer(503, {})
        elif path == "/.well-known/openid-configuration":
            self.answer(200, description())
        elif path == "/jwks":
            self.answer(200, {"keys": [WORLD.key.as_dict(private=False, use="sig")]})
        elif path == "/userinfo":
            self.answer(200, WORLD.faults.get("userinfo", {}))
        elif path == "/authorize" and WORLD.faults.get("asks") and "said" not in query:
            self.answer(200, page(self.path + "&said=yes"), {"content-type": "text/html"})
        elif path == "/authorize":
            self.authorize(query)
        elif path == "/end":
            self.answer(302, {}, {"location": query["post_logout_redirect_uri"]})
        elif path == "/token":
            request = Request("POST", WORLD.issuer + path, sent, {"Authorization": self.headers["Authorization"] or ""})
            self.answer(*SERVER.create_token_response(request))
        else:
            self.answer(404, {})

    def authorize(self, query: dict[str, str]) -> None:
        request = Request("GET", WORLD.issuer + self.path, query, {})
        try:
            grant = SERVER.get_consent_grant(request, end_user=WORLD.faults["user"])
        except OAuth2Error as error:
            self.answer(400, {"error": error.error, "description": error.description})
            return
        user = None if WORLD.faults.get("denies") else WORLD.faults["user"]
        self.answer(*SERVER.create_authorization_response(request, grant_user=user, grant=grant))

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(body).encode() if isinstance(body, dict) else str(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        pass


def page(way_on: str) -> str:
    """What a person sees of the provider, where a test has a person: who they are there, and a link that says so."""
    return f'<!doctype html><title>The provider</title><a href="{escape(way_on)}">Yes, {WORLD.faults["user"]}</a>'


def description() -> dict[str, Any]:
    """The discovery document."""
    found = {
        "issuer": WORLD.issuer,
        "authorization_endpoint": WORLD.issuer + "/authorize",
        "token_endpoint": WORLD.issuer + "/token",
        "userinfo_endpoint": WORLD.issuer + "/userinfo",
        "end_session_endpoint": WORLD.issuer + "/end",
        "jwks_uri": WORLD.issuer + "/jwks",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(WAYS),
    }
    return {**found, **WORLD.faults.get("description", {})}


def control(sent: dict[str, Any]) -> dict[str, Any]:
    """What a test wants: the faults from here on, the people, a token; what was asked so far is told."""
    if "faults" in sent:
        WORLD.faults = sent["faults"]
        WORLD.go_on.set()
        WORLD.go_on = threading.Event()
    WORLD.ahead = sent.get("ahead", WORLD.ahead)
    if "users" in sent:
        WORLD.users = sent["users"]
    asked, WORLD.asked = WORLD.asked, []
    return {"asked": asked, "token": signed(sent["sign"]) if "sign" in sent else ""}


WORLD: Final = World()
SERVER: Final = Server()
SERVER.register_token_generator(
    "default", BearerTokenGenerator(lambda **_: generate_token(40), lambda **_: generate_token(40))
)
SERVER.register_grant(CodeGrant, [CodeChallenge(required=True)])
SERVER.register_grant(RefreshGrant)


def main() -> None:
    """Serve until the standard input is closed."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    WORLD.issuer = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    print(http.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
