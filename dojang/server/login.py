"""The page on which a person turns a token into a session of the console, and the end of that session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.access.callers import Doorkeeper, address_of
from dojang.server.access.limiting import TooMany
from dojang.server.access.sessions import COOKIE
from dojang.server.access.tokens import TOKEN, BadToken
from dojang.server.console.desk import AtDesk, Desk, Form

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Next = Annotated[str, Query(alias="next", max_length=2000)]


@router.get("/login")
def login(desk: AtDesk, wanted: Next = "/") -> Response:
    """The form; whoever needs none is sent on."""
    if desk.caller is not None:
        return RedirectResponse(inside(wanted), status_code=303)
    return _form(desk, wanted)


@router.post("/login")
def begin(desk: AtDesk, form: Form) -> Response:
    """Begin a session with the token that was typed, or show the form again. It is never shown what was typed."""
    doorkeeper: Doorkeeper = desk.request.app.state.doorkeeper
    wanted = inside(form.get("next", "/"))
    if doorkeeper.open():
        return RedirectResponse(wanted, status_code=303)
    try:
        secret = doorkeeper.begin(form.get("token", "").strip(), address_of(desk.request))
    except BadToken as error:
        return _form(desk, wanted, status=401, error=str(error))
    except TooMany as error:
        late = _form(desk, wanted, status=429, error=str(error))
        late.headers["Retry-After"] = str(error.retry_after_s)
        return late
    answer = RedirectResponse(wanted, status_code=303)
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int(doorkeeper.sessions.lasts.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=desk.request.app.state.settings.behind_tls,
    )
    return answer


@router.post("/logout")
def end(desk: AtDesk, form: Form) -> Response:
    """End the session on the server; the cookie means nothing from here on."""
    doorkeeper: Doorkeeper = desk.request.app.state.doorkeeper
    doorkeeper.sessions.end(desk.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=desk.request.app.state.settings.behind_tls)
    return answer


def inside(wanted: str) -> str:
    """The page that was wanted, if it is one of this server; else the first one."""
    good = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/login")) and wanted.isprintable()
    return wanted if good and wanted.isascii() and not TOKEN.search(wanted) else "/"


def _form(desk: Desk, wanted: str, *, status: int = 200, error: str = "") -> HTMLResponse:
    return desk.page("login/login.html", status=status, error=desk.say.told(error), wanted=inside(wanted))
