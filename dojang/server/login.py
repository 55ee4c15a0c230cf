"""The page on which a person turns a token into a session of the console, and the end of that session."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.access.callers import Doorkeeper, address_of
from dojang.server.access.limiting import TooMany
from dojang.server.access.sessions import COOKIE
from dojang.server.access.tokens import TOKEN, BadToken, redacted
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.guards import Doors
from dojang.server.programs import FILE, kind_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Next = Annotated[str, Query(alias="next", max_length=2000)]
DONE: Final = "/login/done"
UNSENT_MAX: Final = 500


@router.get("/login")
def login(desk: AtDesk, wanted: Next = "/") -> Response:
    """The form; whoever needs none is sent on."""
    if desk.caller is not None:
        return RedirectResponse(inside(wanted), status_code=303)
    return login_form(desk, wanted)


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
        return login_form(desk, wanted, status=401, error=str(error))
    except TooMany as error:
        late = login_form(desk, wanted, status=429, error=str(error))
        late.headers["Retry-After"] = str(error.retry_after_s)
        return late
    answer = RedirectResponse(wanted, status_code=303)
    set_session(desk, answer, secret, doorkeeper.sessions.lasts)
    return answer


@router.post("/logout")
def end(desk: AtDesk, form: Form) -> Response:
    """End the session on the server; the cookie means nothing from here on."""
    doorkeeper: Doorkeeper = desk.request.app.state.doorkeeper
    there = doorkeeper.end(desk.request.cookies.get(COOKIE, ""), origin_of(desk) + "/login")
    answer: Response = RedirectResponse("/login", status_code=303)
    if there:  # not a redirect: what a form leads to must be ours (form-action)
        answer = desk.page("login/left.html", there=there, langs=[])
        answer.headers["Refresh"] = f"0; url={there}"
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=desk.request.app.state.settings.behind_tls)
    return answer


def inside(wanted: str) -> str:
    """The page that was wanted, if it is one of this server; else the first one."""
    good = wanted.startswith("/") and not wanted.startswith(("//", "/\\", "/login")) and wanted.isprintable()
    return wanted if wanted == DONE or (good and wanted.isascii() and not TOKEN.search(wanted)) else "/"


def origin_of(desk: Desk) -> str:
    """The origin of our own pages, by the name under which the browser asks; the guards have looked at that."""
    return Doors.of(desk.request.app.state.settings).origin_of(desk.request.headers["host"].lower())


def set_session(desk: Desk, answer: Response, secret: str, lasts: timedelta) -> None:
    """Give the browser the cookie of a session."""
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=int(lasts.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=desk.request.app.state.settings.behind_tls,
    )


def unsent(request: Request) -> list[tuple[str, str]]:
    """The fields of a form that was refused because its sender is logged in no more; [] where there is none.

    Only the browser keeps them: the page that answers holds them, to be sent again.
    """
    body: bytes = getattr(request.state, "unsent", b"")
    if not body or request.method != "POST" or request.url.path.startswith(("/login", "/logout")):
        return []
    try:
        if kind_of(request.headers) == FILE:
            fields = _texts(request.headers["content-type"], body)[:UNSENT_MAX]
        else:
            fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=UNSENT_MAX, errors="strict")
    except ValueError:
        return []
    return [(redacted(name), redacted(value)) for name, value in fields]


def _texts(kind: str, body: bytes) -> list[tuple[str, str]]:
    """The fields of a form with files, the files left out: a page cannot hold them, they are chosen again."""
    whole = message_from_bytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
    parts = [] if not whole.is_multipart() else [part for part in whole.walk() if not part.is_multipart()]
    texts = []
    for part in parts:
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and part.get_filename() is None and isinstance(content, bytes):
            texts.append((name, content.decode("utf-8")))
    return texts


def login_form(desk: Desk, wanted: str, *, status: int = 200, error: str = "") -> HTMLResponse:
    """The page on which people log in; it is never shown what was typed."""
    wanted, issuer = inside(wanted), desk.request.app.state.settings.oidc_issuer or ""
    context: dict[str, Any] = {
        "error": desk.say.told(error),
        "wanted": wanted,
        "provider": urlsplit(issuer).hostname or "",
        "there": "/login/provider?next=" + quote(wanted, safe=""),
    }
    if desk.request.url.path.startswith("/login/"):
        context["langs"] = []  # their addresses are good once
    return desk.page("login/login.html", status=status, **context)
