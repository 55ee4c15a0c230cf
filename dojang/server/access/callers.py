"""Who makes a request: recognised from what it carries, and put into ``request.state.caller``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser

from dojang.server.access.limiting import Limiter
from dojang.server.access.oidc.logins import Entered, Logins
from dojang.server.access.oidc.persons import Person
from dojang.server.access.roles import AGENT, DECIDE, EVERY_THREAD, Allowed
from dojang.server.access.sessions import COOKIE, Sessions
from dojang.server.access.tokens import TOKEN, BadToken, Token, Tokens, hashed
from dojang.workspace import Workspace
from state import person_of

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
How = Literal["token", "session", "local"]


@dataclass(frozen=True)
class Caller:
    """Who asks. ``roles`` None: the local user, whose roles nobody has said. ``prefix``: of their token, if any.

    ``has_say`` False: whatever their roles, they decide nothing: a token where people log in with a provider.
    """

    name: str
    roles: tuple[str, ...] | None
    how: How
    prefix: str = ""
    has_say: bool = True

    def may(self, allowed: Allowed) -> bool:
        """Whether one of these roles is theirs. The local user has the whole machine, and so may all."""
        return self.how == "local" or not allowed.isdisjoint(self.roles or ())

    @property
    def decides(self) -> bool:
        """Whether they have a say in reviews at all."""
        return self.has_say and AGENT not in (self.roles or ()) and self.may(DECIDE)

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
    return workspace.acting(caller.name, caller.roles or (), decides=caller.decides)


def workspace_of(request: Request) -> Workspace:
    """The application's workspace, as the caller of this request uses it."""
    workspace: Workspace = request.app.state.workspace
    return acting(workspace, caller_of(request))


class Doorkeeper:
    """Recognises callers. Its methods block but for :meth:`at_once`: call them on a worker thread.

    Args:
        tokens: the tokens of the home.
        sessions: the sessions of the console.
        local: the user to whom the loopback interface is open as long as no token was made; None where the server can
            be reached from elsewhere.
        limiter: counts what is wrong, by address.
        origins: other sites whose pages may call the API: with a token, never with a session.
        logins: of people who log in with a provider; None where there is none.
        tokens_decide: whether tokens made here have a say in reviews beside those people.
    """

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        local: Caller | None,
        limiter: Limiter,
        origins: Collection[str] = (),
        *,
        logins: Logins | None = None,
        tokens_decide: bool = False,
    ) -> None:
        self.tokens, self.sessions, self.local = tokens, sessions, local
        self.logins, self.has_say = logins, logins is None or tokens_decide
        self.limiter, self.origins = limiter, origins
        self._closed = False  # a token was made: that never becomes untrue

    def open(self) -> bool:
        """Whether the local user needs no token."""
        if self.local is None or self.logins is not None:
            return False
        self._closed = self._closed or self.tokens.any()
        return not self._closed

    def at_once(self, headers: Headers) -> Caller | None:
        """The local user, where there is not even a file for tokens; else None, and :meth:`caller` has to say who asks.

        It waits for nothing, so it may be called on an event loop.
        """
        if self.local is None or self.logins is not None or self._closed or self.tokens.database.there():
            return None
        return self.local if host_of(headers) in LOOPBACK else None

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
                if self.logins is not None and self.logins.takes(secret):
                    return _person(self.logins.bearer(secret), "token")
                return self._known(self.tokens.check(secret), "token")
        if headers.get("origin") in self.origins:
            return None
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        token = self.sessions.check(cookie) if cookie else None
        if token is not None:
            return self._known(token, "session")
        person = self.logins.check(cookie) if cookie and self.logins is not None else None
        return None if person is None else _person(person, "session")

    def _known(self, token: Token, how: How) -> Caller:
        return Caller(token.name, token.roles, how, token.prefix, self.has_say)

    def begin(self, secret: str, address: str) -> str:
        """Begin a session of the console; what its cookie holds. Raises BadToken and TooMany."""
        with self.counted(secret, address):
            return self.sessions.begin(secret)[0]

    def finish(self, answer: Mapping[str, str], browser: str, address: str) -> Entered:
        """Finish a log-in with the provider. Raises BadToken, TooMany, ProviderFault and BadProvider."""
        assert self.logins is not None
        with self.counted(answer.get("state", ""), address):
            return self.logins.finish(answer, browser)

    def end(self, cookie: str, back: str) -> str:
        """Log out, however one logged in; where the browser goes to be logged out of the provider, too, or ""."""
        self.sessions.end(cookie)
        return self.logins.end(cookie, back) if self.logins is not None else ""

    @contextmanager
    def counted(self, secret: str, address: str) -> Iterator[None]:
        """Hear a token only from an address that was not wrong too often, and count it when it opens nothing."""
        found = TOKEN.fullmatch(secret)
        strange = hashed(secret).hex()[:8] if self.logins is not None else ""  # people behind one address share it
        prefix = found[1] if found else strange
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


def _person(person: Person, how: How) -> Caller:
    return Caller(person.name, person.roles, how)
