"""Logging in with the provider: out to it, back from it. The cookies are set here; who it is, is found out in access.

The way out is a link: ``form-action 'self'`` holds for what a form is redirected to. The way back ends in a page of
ours that goes on by itself: a browser sends no SameSite=Strict cookie along a chain that another site began.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.access.callers import Doorkeeper, address_of
from dojang.server.access.limiting import TooMany
from dojang.server.access.oidc.errors import BadProvider, NoRole, ProviderFault
from dojang.server.access.oidc.logins import ATTEMPT
from dojang.server.access.sessions import COOKIE
from dojang.server.access.tokens import BadToken
from dojang.server.console.desk import AtDesk
from dojang.server.login import inside, login_form, origin_of, set_session
from dojang.workspace import UnknownThread

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
LONGEST: Final = 4000
_FACTS: Final = ("code", "state", "error", "iss")


@router.get("/login/provider")
def begin(desk: AtDesk, wanted: Annotated[str, Query(alias="next", max_length=2000)] = "/") -> Response:
    """Send the browser to the provider; a cookie binds the way back to this browser."""
    doorkeeper: Doorkeeper = desk.request.app.state.doorkeeper
    if doorkeeper.logins is None:
        raise UnknownThread("nobody logs in with a provider here; set DOJANG_OIDC_ISSUER")
    try:
        begun = doorkeeper.logins.begin(inside(wanted), origin_of(desk) + "/login/callback")
    except (ProviderFault, BadProvider) as error:
        return login_form(desk, wanted, status=503, error=str(error))
    answer = RedirectResponse(begun.address, status_code=303)
    answer.set_cookie(
        _cookie(begun.state),
        begun.browser,
        max_age=int(ATTEMPT.total_seconds()),
        path="/login",
        httponly=True,
        samesite="lax",  # it has to come along when the provider sends the browser back
        secure=desk.request.app.state.settings.behind_tls,
    )
    return answer


@router.get("/login/callback")
def finish(desk: AtDesk) -> Response:
    """The way back. Whoever is logged in gets a new session; one that the browser had is ended."""
    doorkeeper: Doorkeeper = desk.request.app.state.doorkeeper
    if doorkeeper.logins is None:
        raise UnknownThread("nobody logs in with a provider here; set DOJANG_OIDC_ISSUER")
    query = desk.request.query_params
    said = {name: query[name][:LONGEST] for name in _FACTS if len(query.getlist(name)) == 1}
    cookie = _cookie(said.get("state", ""))
    try:
        entered = doorkeeper.finish(said, desk.request.cookies.get(cookie, ""), address_of(desk.request))
    except TooMany as error:
        answer = login_form(desk, "/", status=429, error=str(error))
        answer.headers["Retry-After"] = str(error.retry_after_s)
    except (BadToken, ProviderFault, BadProvider) as error:
        status = 503 if not isinstance(error, BadToken) else 403 if isinstance(error, NoRole) else 401
        answer = login_form(desk, "/", status=status, error=str(error))
    else:
        doorkeeper.end(desk.request.cookies.get(COOKIE, ""), "")
        wanted = inside(entered.wanted)
        answer = desk.page("login/entered.html", name=entered.person.name, wanted=wanted, langs=[])
        answer.headers["Refresh"] = f"0; url={wanted}"
        set_session(desk, answer, entered.cookie, doorkeeper.logins.lasts)
    answer.delete_cookie(
        cookie, path="/login", httponly=True, samesite="lax", secure=desk.request.app.state.settings.behind_tls
    )
    return answer


@router.get("/login/done")
def done(desk: AtDesk) -> Response:
    """For whoever logged in beside a page that still holds what they had written."""
    if desk.caller is None:
        return login_form(desk, "/login/done")
    return desk.page("login/entered.html", name=desk.caller.name, wanted="/login/done")


def _cookie(state: str) -> str:
    """The cookie of one log-in that is under way: several may be, in several tabs."""
    return "dojang_login_" + hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()[:16]
