"""Puts the application together: guards, pages, API, and what an error looks like in each of them."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import dojang
from dojang.server import api, pages, reference
from dojang.server.clean import clean
from dojang.server.desk import HERE, Desk
from dojang.server.guards import MAX_BODY, Guards, wants_json
from dojang.workspace import UnknownReview, UnknownThread, Workspace
from state import BrokenInvariant, Conflict, DojangError, PassingFault, UserError

_STATUS: Final[tuple[tuple[type[DojangError], int], ...]] = (
    (UnknownThread, 404),
    (UnknownReview, 404),
    (Conflict, 409),
    (UserError, 400),
    (PassingFault, 503),
    (BrokenInvariant, 500),
)


def create_app(workspace: Workspace, *, max_body: int = MAX_BODY) -> FastAPI:
    """The application over an open workspace, which stays the caller's to close.

    Args:
        workspace: the files, the store and the graph that pages show and decisions resume.
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
    app.add_middleware(Guards, max_body=max_body)
    for router in (api.router, pages.router, reference.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_exception_handler(DojangError, _told)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(Exception, _unexpected)
    return app


def status_of(error: DojangError) -> int:
    """The HTTP status that says what kind of error it is."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _told(request: Request, error: Exception) -> Response:
    status = status_of(error) if isinstance(error, DojangError) else 500
    return _answer(request, status, str(error), winner=getattr(error, "winner", None))


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = f"there is no page {request.url.path}" if status == 404 else str(getattr(error, "detail", error))
    return _answer(request, status, text)


def _unreadable(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"])
    return _answer(request, 422 if wants_json(request.url.path) else 400, f"{where}: {first['msg']}")


def _unexpected(request: Request, error: Exception) -> Response:
    """A bug of ours: the log has the traceback, the page does not."""
    return _answer(request, 500, f"something went wrong inside ({type(error).__name__}); recorded decisions are kept")


def _answer(request: Request, status: int, text: str, *, winner: object = None) -> Response:
    if wants_json(request.url.path):
        body = {"error": clean(text)} | ({"winner": winner} if winner else {})
        return JSONResponse(body, status_code=status)
    return Desk(request.app.state.workspace, request).page("error.html", status=status, code=status, text=text)
