"""Puts the application together (guards, pages, API, what an error looks like in each of them) and serves it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import dojang
from dojang.going_back import UnknownCheckpoint
from dojang.language import locale_language
from dojang.observing.logs import logging_as
from dojang.observing.scrubbing import Scrubber
from dojang.server import api, langgraph, login, mcp, provider_login, vitals
from dojang.server.access.admission import Admission, NotAdmitted
from dojang.server.access.callers import Caller, Doorkeeper
from dojang.server.access.limiting import Limiter
from dojang.server.access.owning import check_path, sees_every_thread
from dojang.server.access.sessions import Sessions
from dojang.server.access.table import TABLE
from dojang.server.access.tokens import redacted
from dojang.server.api.problems import TooLarge, Unknown
from dojang.server.clean import clean
from dojang.server.console import ROUTERS
from dojang.server.console.assets import Assets
from dojang.server.console.desk import Desk
from dojang.server.console.jobs import Jobs
from dojang.server.guards import MAX_BODY, Doors, Guards, wants_json
from dojang.server.items import Items
from dojang.server.keeping import Keeper
from dojang.server.langgraph.assistants import UnknownAssistant
from dojang.server.langgraph.forms import Known
from dojang.server.langgraph.unserved import instead_of
from dojang.server.live import Live
from dojang.server.login import unsent
from dojang.server.observed import Observed
from dojang.server.opening import any_token, tokens_of
from dojang.server.programs import by_program
from dojang.server.readiness import of_server
from dojang.server.serving import (
    CannotServe,
    bind,
    is_loopback,
    is_wildcard,
    only_server,
    room_for_readers,
    run_until_interrupted,
    url_of,
)
from dojang.server.signing_in import client_of, logins_of
from dojang.server.taking_over import beside_of
from dojang.server.wording import sayer
from dojang.server.work import QueueFull, UnknownRun, Work
from dojang.settings import Settings, secrets_of
from dojang.uploads import TooMuch, UnknownUpload, Uploads
from dojang.workspace import UnknownReview, UnknownThread, Workspace
from state import BrokenInvariant, Conflict, DojangError, PassingFault, UserError
from store import UnknownDocument

log = logging.getLogger(__name__)

_STATUS: Final[tuple[tuple[type[DojangError], int], ...]] = (
    (UnknownThread, 404),
    (UnknownReview, 404),
    (UnknownRun, 404),
    (UnknownAssistant, 404),
    (UnknownCheckpoint, 404),
    (UnknownDocument, 404),
    (UnknownUpload, 404),
    (Unknown, 404),
    (TooLarge, 413),
    (TooMuch, 413),
    (QueueFull, 429),
    (Conflict, 409),
    (UserError, 400),
    (PassingFault, 503),
    (BrokenInvariant, 500),
)


def create_app(workspace: Workspace, *, settings: Settings | None = None, max_body: int = MAX_BODY) -> FastAPI:
    """The application over an open workspace, which stays the caller's to close.

    Args:
        workspace: the files, the store and the graph that pages show and decisions resume.
        settings: where it is served and who may come in; the workspace's own when None.
        max_body: largest request body in bytes.
    """
    app = FastAPI(
        title="Dojang",
        version=dojang.__version__,
        description="Reviews that wait for a person, decisions on them, and the threads that they belong to.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.workspace = workspace
    app.state.settings = settings or workspace.settings
    app.state.keeper = Keeper(workspace)
    app.state.work = Work(workspace)
    app.state.known = Known()
    app.state.live = Live(workspace)
    app.state.uploads = Uploads(workspace, limit_bytes=app.state.settings.document_mb * 2**20)
    app.state.readiness = of_server(workspace.parts, app.state.work)
    observer = workspace.parts.observe(numbers=True)
    if observer.metrics is not None:
        from dojang.server.standing import Standing

        observer.metrics.look_also(Standing(workspace.parts, app.state.work))
    app.state.jobs = Jobs()
    app.state.items = cache(lambda: items_of(workspace))
    app.state.doorkeeper = doorkeeper(workspace, app.state.settings)
    app.add_middleware(
        Admission,
        routes=lambda: app.router.routes,
        table=TABLE,
        doorkeeper=app.state.doorkeeper,
        answer=_answer,
        is_api=_json_wanted,
        check_sees=check_path,
        sees_all=sees_every_thread,
    )
    app.add_middleware(Faults)  # inside the guards: their headers belong on this answer, too
    app.add_middleware(
        CORSMiddleware,
        allow_origins=app.state.settings.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "X-Api-Key", "Content-Type", "Last-Event-ID"],
        expose_headers=["Location", "Content-Location", "Retry-After", "X-Pagination-Total", "X-Pagination-Next"],
    )
    limit = app.state.uploads.limit_bytes
    # Base64 makes a file a third longer.
    message = max_body + (app.state.settings.attachment_mb * 2**20 * 7 // 5 if app.state.settings.attachments else 0)
    doors = Doors.of(app.state.settings)
    app.add_middleware(Guards, max_body=max_body, max_upload=limit, max_message=message, doors=doors)
    app.add_middleware(Observed, observer=lambda: workspace.parts.observer)
    app.router.routes.extend(_routes())
    app.router.routes.append(mcp.route)
    app.mount("/static", Assets(), name="static")
    app.add_exception_handler(DojangError, _told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unreadable)
    return app


def _routes() -> list[BaseRoute]:
    """All routes, as one list.

    FastAPI keeps routers that are included in routers, and asks each of them anew, at every request, what has been
    added to it: half of what the event loop did for a request was to find its route.
    """
    together = (vitals.router, *api.ROUTERS, *langgraph.ROUTERS, *ROUTERS, login.router, provider_login.router)
    return [route for router in together for route in router.routes]


def serve(
    settings: Settings, *, workspace: Workspace | None = None, on_ready: Callable[[str], None] | None = None
) -> bool:
    """Serve until interrupted. The port is bound before anything is opened, so a mistake is told at once.

    Args:
        settings: ``host``, ``port`` and where the data lives.
        workspace: the one to serve; opened from the settings, and closed at the end, when None.
        on_ready: called with the address to open; when None, it is written to stderr.

    Returns:
        Whether everything has come to its end. If not, a model still speaks in a thread of this process; the run is the
        next start's, and whoever has nothing else to do here may end the process at once (``serving.end_process``).

    Raises:
        CannotServe: others would reach it and no token was made, the address or port cannot be used, or the home has
            a server already.
    """
    say = sayer(settings.language or locale_language())
    check_reach(settings)
    logs = logging_as(settings.log_format, settings.log_level, Scrubber(secrets_of(settings)))
    with (
        bind(settings.host, settings.port) as listener,
        only_server(settings.home, listener),
        logs,
        opened_by(settings, workspace) as opened,
    ):
        opened.check_policy()
        for line in opened.server_problems():
            print(say.told(line), file=sys.stderr, flush=True)
        room_for_readers()
        url = url_of(listener)
        if on_ready is not None:
            on_ready(url)
        else:
            print(say("The console is at %(url)s – Ctrl-C ends it.", url=url).unescape(), file=sys.stderr, flush=True)
        app = create_app(opened, settings=settings)
        with app.state.uploads, app.state.keeper, app.state.work:  # runs stop before the file under way is taken in
            run_until_interrupted(app, listener, log_level=settings.log_level, on_end=lambda: leave(app))
        if app.state.items.cache_info().currsize:
            app.state.items().close()
        return not app.state.work.left


def leave(app: FastAPI) -> None:
    """The server is about to end: nobody is to wait for anything that comes only after its next start."""
    app.state.work.drain()
    app.state.live.end()


def items_of(workspace: Workspace) -> Items:
    """What clients keep, where the sessions lie."""
    parts = workspace.parts
    beside = beside_of(parts.settings, parts.sessions)
    return Items(parts.settings.home / "items.sqlite" if beside is None else beside, keys=parts.session_keys)


def opened_by(settings: Settings, workspace: Workspace | None) -> AbstractContextManager[Workspace]:
    """The workspace that somebody else closes, or one of our own."""
    return Workspace(settings) if workspace is None else nullcontext(workspace)


def check_reach(settings: Settings) -> None:
    """Raise CannotServe where others than the local user would reach the server, and nobody has a token yet."""
    elsewhere = not is_loopback(settings.host)
    client_of(settings)
    if (elsewhere or settings.public_hosts) and not settings.oidc_issuer and not any_token(settings):
        given = f"DOJANG_HOST={settings.host}" if elsewhere else "DOJANG_PUBLIC_HOSTS"
        raise CannotServe(
            settings.host,
            settings.port,
            f"{given}: others reach the server, and no token was made, so nobody could say who they are: make one with "
            f"`dojang tokens create`, or serve on 127.0.0.1 only",
        )
    if is_wildcard(settings.host) and not settings.public_hosts:
        raise CannotServe(
            settings.host,
            settings.port,
            f"DOJANG_HOST={settings.host}: say by which names people reach the server in DOJANG_PUBLIC_HOSTS, like "
            f'["desk.example.com"]; requests for other names are refused',
        )


def doorkeeper(workspace: Workspace, settings: Settings) -> Doorkeeper:
    """Who recognises callers: tokens of the home; the local user, where only this machine reaches the server."""
    tokens = tokens_of(workspace.settings, workspace.parts.sessions, workspace.parts.audit)
    local = Caller(workspace.user, workspace.roles, "local") if is_loopback(settings.host) else None
    sessions = Sessions(tokens, hours=settings.session_hours)
    return Doorkeeper(
        tokens,
        sessions,
        local,
        Limiter(settings.rate_limit),
        settings.cors_origins,
        logins=logins_of(settings, tokens, workspace.settings.user),
        tokens_decide=settings.oidc_tokens_decide,
    )


def status_of(error: DojangError) -> int:
    """The HTTP status that says what kind of error it is."""
    if isinstance(error, NotAdmitted):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _told(request: Request, error: Exception) -> Response:
    status = status_of(error) if isinstance(error, DojangError) else 500
    answer = _answer(request, status, str(error), winner=getattr(error, "winner", None))
    if (again_s := getattr(error, "retry_after_s", None)) is not None:
        answer.headers["Retry-After"] = str(again_s)
    return answer


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    text = str(getattr(error, "detail", error))
    if status in (404, 405):
        method, path, program = request.method, request.url.path, by_program(request.scope)
        if program and (instead := instead_of(method, path)):
            text = instead
        elif status == 405:  # which methods there are, the header says for programs, and the text for people
            text = f"{method} is not taken at {path}; it takes {headers.get('allow', 'other methods')}"
        else:
            text = f"there is no page {path}" + ("; /docs lists what there is" if program else "")
    answer = _answer(request, status, text)
    answer.headers.update(headers)
    return answer


def _unreadable(request: Request, error: Exception) -> Response:
    """The first thing that does not fit: where it stands, what it should be, and where a good one can be seen."""
    known = error.errors() if isinstance(error, RequestValidationError) else []
    first: dict[str, Any] = {"loc": (), "msg": str(error), **(known[0] if known else {})}
    if first.get("type") == "json_invalid":
        text = f"the body is no JSON ({first['ctx']['error']}, at character {first['loc'][-1]})"
    else:
        where = ".".join(str(part) for part in first["loc"] if "[" not in str(part))  # not which one of a union
        text = f"{where}: {first['msg']}"
    if not _json_wanted(request):
        return _answer(request, 400, text)
    return _answer(request, 422, f"{text}; /docs shows what is taken, with examples")


class Faults:
    """Answers a bug of ours with a plain 500: the log has the traceback, the page does not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer in place of whoever failed before answering."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            log.exception("%s %s failed", scope["method"], redacted(scope["path"]))
            text = f"something went wrong inside ({type(error).__name__}); recorded decisions are kept"
            await _answer(Request(scope), 500, text)(scope, receive, send)


def _json_wanted(request: Request) -> bool:
    return wants_json(request.url.path) or by_program(request.scope)


def _answer(request: Request, status: int, text: str, *, winner: object = None) -> Response:
    text = request.app.state.workspace.parts.observer.scrub(redacted(text))
    if _json_wanted(request):
        # LangGraph's clients read "detail", ours read "error".
        detail = {"detail": clean(text)} if by_program(request.scope) else {}
        body = {"error": clean(text), **detail} | ({"winner": winner} if winner else {})
        return JSONResponse(body, status_code=status)
    desk = Desk(request.app.state.workspace, request)
    if fields := unsent(request):
        action, text = redacted(request.url.path), desk.say.told(text)
        return desk.page("login/unsent.html", status=status, counted=False, text=text, fields=fields, action=action)
    return desk.page("frame/error.html", status=status, counted=False, code=status, text=desk.say.told(text))
