"""Who makes a request: recognised from what it carries, and put into ``request.state.caller``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser

from dojang.server.access.limiting import Limiter
from dojang.server.access.roles import DECIDE, EVERY_THREAD, Allowed
from dojang.server.access.sessions import COOKIE, Sessions
from dojang.server.access.tokens import TOKEN, BadToken, Token, Tokens
from dojang.workspace import Workspace
from state import person_of

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
How = Literal["token", "session", "local"]


@dataclass(frozen=True)
class Caller:
    """Who asks. ``roles`` None: the local user, whose roles nobody has said. ``prefix``: of their token, if any."""

    name: str
    roles: tuple[str, ...] | None
    how: How
    prefix: str = ""

    def may(self, allowed: Allowed) -> bool:
        """Whether one of these roles is theirs. The local user has the whole machine, and so may all."""
        return self.how == "local" or not allowed.isdisjoint(self.roles or ())

    @property
    def sees_every_thread(self) -> bool:
        """Whether threads that others asked in are shown to them, whatever the settings say."""
        return self.may(EVERY_THREAD)


def caller_of(request: Request) -> Caller:
    """The caller that the guards of access have put there."""
    found = request.state.caller
    assert isinstance(found, Caller)
    return found


def acting(workspace: Workspace, caller: Caller) -> Workspace:
    """The workspace as this caller uses it: their name on what is asked and decided, their roles at the door."""
    if caller.how == "local":
        return workspace
    return workspace.acting(caller.name, caller.roles or (), decides=caller.may(DECIDE))


def workspace_of(request: Request) -> Workspace:
    """The application's workspace, as the caller of this request uses it."""
    workspace: Workspace = request.app.state.workspace
    return acting(workspace, caller_of(request))


class Doorkeeper:
    """Recognises callers. Its methods block: call them on a worker thread.

    Args:
        tokens: the tokens of the home.
        sessions: the sessions of the console.
        local: the user to whom the loopback interface is open as long as no token was made; None where the server can
            be reached from elsewhere.
        limiter: counts what is wrong, by address.
        origins: other sites whose pages may call the API: with a token, never with a session.
    """

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        local: Caller | None,
        limiter: Limiter,
        origins: Collection[str] = (),
    ) -> None:
        self.tokens, self.sessions, self.local = tokens, sessions, local
        self.limiter, self.origins = limiter, origins
        self._closed = False  # a token was made: that never becomes untrue

    def open(self) -> bool:
        """Whether the local user needs no token."""
        if self.local is None:
            return False
        self._closed = self._closed or self.tokens.any()
        return not self._closed

    def caller(self, headers: Headers, address: str) -> Caller | None:
        """Who asks, from which address; None where the request carries nothing that says it.

        Raises:
            BadToken: it carries a token that opens nothing, or two different ones.
            TooMany: the caller asked too often, or the address was wrong too often.
        """
        caller = self._caller(headers, address)
        if caller is None or caller.how != "local":
            self.limiter.ask(f"address {address}" if caller is None else f"person {person_of(caller.name)}")
        return caller

    def _caller(self, headers: Headers, address: str) -> Caller | None:
        if self.open() and self.local is not None and host_of(headers) in LOOPBACK:
            return self.local  # clients send keys that they have for other servers: nobody wants one here
        secret = presented(headers)
        if secret:
            with self.counted(secret, address):
                return _known(self.tokens.check(secret), "token")
        if headers.get("origin") in self.origins:
            return None
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        token = self.sessions.check(cookie) if cookie else None
        return None if token is None else _known(token, "session")

    def begin(self, secret: str, address: str) -> str:
        """Begin a session of the console; what its cookie holds. Raises BadToken and TooMany."""
        with self.counted(secret, address):
            return self.sessions.begin(secret)[0]

    @contextmanager
    def counted(self, secret: str, address: str) -> Iterator[None]:
        """Hear a token only from an address that was not wrong too often, and count it when it opens nothing."""
        found = TOKEN.fullmatch(secret)
        prefix = found[1] if found else ""
        self.limiter.check_address(address, prefix)
        try:
            yield
        except BadToken:
            self.limiter.failed(address, prefix)
            raise


def presented(headers: Headers) -> str:
    """The token that a request carries, in either header; "" for none. BadToken where they are two."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = [bearer.strip()] if scheme.lower() == "bearer" else []
    given = [token for token in [*given, *headers.getlist("x-api-key")] if token]
    if len(set(given)) > 1:
        raise BadToken("the request carries two different tokens; send one of them")
    return given[0] if given else ""


def address_of(request: Request) -> str:
    """From where a request comes; behind a proxy on this machine, what that says of it."""
    return request.client.host if request.client is not None else ""


def host_of(headers: Headers) -> str:
    """The name in the Host header, without its port, in lower case."""
    host = headers.get("host", "").lower()
    return host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]


def _known(token: Token, how: How) -> Caller:
    return Caller(token.name, token.roles, how, token.prefix)
