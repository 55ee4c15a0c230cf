"""The middleware of access: who asks, which route that is, whether they may. Nothing below hears of a refused one.

It stands inside the guards (Host, Origin, size) and outside of every route, so a handler cannot forget it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from checkpoints.errors import SessionsAway
from dojang.server.access.callers import Doorkeeper, address_of
from dojang.server.access.limiting import TooMany
from dojang.server.access.oidc.errors import ProviderFault
from dojang.server.access.roles import AGENT, DECIDE, ROLES, Allowed
from dojang.server.access.table import OPEN
from dojang.server.access.tokens import BadToken
from dojang.server.programs import is_upload
from dojang.workspace import UnknownThread
from state import DojangError, UserError

log = logging.getLogger(__name__)

Answer = Callable[[Request, int, str], Response]
"""Makes the page or the JSON of a refusal: (request, status, text)."""
READS: Final = ("HEAD", "OPTIONS")
PROBED: Final = ("/healthz", "/readyz")
"""Open, and who asks is not looked up: a probe is answered while the database with the tokens is away."""
NOBODY: Final[Allowed] = frozenset()


class NoToken(BadToken):
    """The request carries nothing that says who asks."""


class NotAdmitted(UserError):
    """Somebody known may not come here; ``status`` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Admission:
    """The middleware.

    Args:
        app: what is guarded.
        routes: gives the application's routes.
        table: (method, path) to the roles that it needs.
        doorkeeper: recognises callers.
        answer: what a refusal looks like.
        check_sees: raises UnknownThread where the caller may not see a thread; it may wait for files.
        sees_all: whether it would never raise for this caller; waits for nothing.
        is_api: whether a request is a program's, which is told 401 and not sent to a page.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Callable[[], Sequence[BaseRoute]],
        table: Mapping[tuple[str, str], Allowed],
        doorkeeper: Doorkeeper,
        answer: Answer,
        is_api: Callable[[Request], bool],
        check_sees: Callable[[Request, str], None],
        sees_all: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        self.app, self.routes, self.table = app, routes, table
        self.doorkeeper, self.answer, self.is_api, self.check_sees = doorkeeper, answer, is_api, check_sees
        self.sees_all = sees_all
        self._seen: tuple[int, dict[str, list[Served]]] = -1, {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with the caller in ``request.state``, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        scope.setdefault("state", {})["caller"] = None
        try:
            await self._admit(request, Headers(scope=scope))
        except DojangError as error:
            if isinstance(error, BadToken | ProviderFault) and not self.is_api(request) and not is_upload(scope):
                request.state.unsent = await request.body()  # what somebody has written is not lost with their log-in
            await self._refusal(request, error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _admit(self, request: Request, headers: Headers) -> None:
        """Find out who asks, and raise where they may not."""
        path = request.url.path
        allowed, thread_id = self.allowed(request.method, path)
        if allowed is OPEN and path in PROBED:
            return
        try:
            caller = self.doorkeeper.at_once(headers)
            if caller is None:
                caller = await run_in_threadpool(self.doorkeeper.caller, headers, address_of(request))
            request.state.caller = caller
        except (BadToken, ProviderFault, SessionsAway):
            if allowed is OPEN:
                return  # /ok says that it is well, /login what was wrong
            raise
        if allowed is OPEN:
            return
        if caller is None:
            raise NoToken("this needs a token; send it as `Authorization: Bearer …`, or log in at /login")
        if allowed is NOBODY:
            raise NotAdmitted(HTTPStatus.NOT_FOUND, f"there is no page {path}")
        if allowed is not None and not caller.may(allowed):  # without a route, the router says so: 404 or 405
            wanted, have = ", ".join(role for role in ROLES if role in allowed), ", ".join(caller.roles or ())
            raise NotAdmitted(
                HTTPStatus.FORBIDDEN,
                f"this needs one of the roles {wanted}; the token of {caller.name} has: {have}; ask for another one",
            )
        if allowed is DECIDE and AGENT in (caller.roles or ()):
            raise NotAdmitted(
                HTTPStatus.FORBIDDEN,
                f"the token of {caller.name} is an agent's, which has no say in reviews; a person decides them",
            )
        if allowed is DECIDE and not caller.has_say:
            raise NotAdmitted(
                HTTPStatus.FORBIDDEN,
                f"reviews are decided by people who log in with the provider; the token of {caller.name} has no say in "
                "them: log in, or set DOJANG_OIDC_TOKENS_DECIDE",
            )
        if thread_id and not self.sees_all(request):
            await run_in_threadpool(self.check_sees, request, thread_id)

    def allowed(self, method: str, path: str) -> tuple[Allowed | None, str]:
        """Who may come to the route of a request, and to which thread it leads ("": to none).

        Nobody may where the table has no row; None where there is no route.
        """
        asked = "GET" if method in READS else method
        routes = self.routes()
        if len(routes) != self._seen[0]:
            self._seen = len(routes), by_head(served(routes))  # an application gains routes while it is put together
        for route in self._seen[1].get(head_of(path), ()):
            if asked in route.methods and (found := route.regex.match(path)):
                row = self.table.get((asked, route.path), NOBODY)
                if row is NOBODY:
                    log.warning("%s %s is in no row of the table of access; it is not served", asked, route.path)
                return row, found.groupdict().get("thread_id", "")
        return None, ""

    def _refusal(self, request: Request, error: DojangError) -> Response:
        """The answer to whoever is not let in; who opens a page without a token is led to where they log in."""
        path, query = request.url.path, request.url.query
        stream = "text/event-stream" in request.headers.get("accept", "")  # a page's own, that has nowhere to go
        if isinstance(error, NoToken) and request.method == "GET" and not self.is_api(request) and not stream:
            here = urlencode({"next": path + (f"?{query}" if query else "")})
            return RedirectResponse(f"/login?{here}", status_code=HTTPStatus.SEE_OTHER)
        if isinstance(error, BadToken):
            answer = self.answer(request, HTTPStatus.UNAUTHORIZED, str(error))
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if isinstance(error, TooMany):
            answer = self.answer(request, HTTPStatus.TOO_MANY_REQUESTS, str(error))
            answer.headers["Retry-After"] = str(error.retry_after_s)
            return answer
        status = HTTPStatus.NOT_FOUND if isinstance(error, UnknownThread) else HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(error, NotAdmitted):
            status = HTTPStatus(error.status)
        answer = self.answer(request, status, str(error))
        if isinstance(error, SessionsAway):
            answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer


@dataclass(frozen=True)
class Served:
    """A route as the application has it."""

    path: str
    methods: frozenset[str]
    regex: re.Pattern[str]


def served(routes: Sequence[BaseRoute]) -> list[Served]:
    """The routes, in the order in which they are tried; what is mounted answers GET."""
    return [
        Served(found.path_format or found.path or "", frozenset(found.methods or ("GET",)), found.path_regex)
        for found in iter_route_contexts(routes)
    ]


def by_head(routes: Sequence[Served]) -> dict[str, list[Served]]:
    """The routes by the first part of their path, which is the same for all that they are asked for."""
    found: dict[str, list[Served]] = {}
    for route in routes:
        head = head_of(route.path)
        assert "{" not in head, f"{route.path} could be asked for by any first part"
        found.setdefault(head, []).append(route)
    return found


def head_of(path: str) -> str:
    """The first part of a path: ``threads`` of ``/threads/t/runs``."""
    return path[1:].partition("/")[0]
