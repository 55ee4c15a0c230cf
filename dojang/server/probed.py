"""A worker's small listener: whether it lives, whether it can work, how much it does. Off unless an address is named.

The first two are open, as a server's are. The numbers need a token with one of the server's roles for them; without a
token they are this machine's, where only that reaches the listener and none was made. So an address that others reach
is not refused where there is no token yet, as ``serve`` refuses it: nobody is let in here as the local user, and there
is nothing to ask, see or decide.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from dojang.server import vitals
from dojang.server.access.admission import Admission
from dojang.server.access.callers import Caller, Doorkeeper
from dojang.server.access.limiting import Limiter
from dojang.server.access.sessions import Sessions
from dojang.server.access.table import TABLE
from dojang.server.access.tokens import redacted
from dojang.server.guards import HEADERS
from dojang.server.opening import tokens_of
from dojang.server.readiness import of_worker
from dojang.server.serving import bind, is_loopback, server_for
from dojang.server.work import Work
from dojang.workspace import Workspace
from state import UserError

BY_OPTION: Final = ("--listen", "--listen")
END_S: Final = 10.0


def bound(listen: str) -> socket.socket:
    """A listening socket at ``ADDRESS:PORT``; port 0 takes any free one.

    Raises:
        UserError: that is no address and port.
        CannotServe: it cannot be bound.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UserError(f"--listen={listen}: write an address of this machine and a port, like 127.0.0.1:9100")
    return bind(host, int(port), BY_OPTION)


def worker_app(workspace: Workspace, work: Work, *, here_only: bool) -> FastAPI:
    """The routes; ``here_only``: nobody but this machine reaches them."""
    settings, parts = workspace.settings, workspace.parts
    app = FastAPI(title="Dojang worker", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.workspace, app.state.readiness = workspace, of_worker(parts, work)
    tokens = tokens_of(settings, parts.sessions, parts.audit)
    local = Caller(workspace.user, workspace.roles, "local") if here_only and not settings.oidc_issuer else None
    app.add_middleware(
        Admission,
        routes=lambda: app.router.routes,
        table=TABLE,
        doorkeeper=Doorkeeper(
            tokens, Sessions(tokens, hours=settings.session_hours), local, Limiter(settings.rate_limit)
        ),
        answer=_answer,
        is_api=lambda request: True,
        check_sees=lambda request, thread_id: None,
    )
    app.router.routes.extend(vitals.router.routes)
    return app


@contextlib.contextmanager
def listening(listener: socket.socket | None, workspace: Workspace, work: Work) -> Iterator[None]:
    """Answer meanwhile, in a thread of its own: also while the runs under way come to their end. None: nobody asks."""
    if listener is None:
        yield
        return
    app = worker_app(workspace, work, here_only=is_loopback(listener.getsockname()[0]))
    server = server_for(app, log_level=workspace.settings.log_level)
    thread = threading.Thread(target=server.run, args=([listener],), name="dojang-listener", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(END_S)


def _answer(request: Request, status: int, text: str) -> Response:
    text = request.app.state.workspace.parts.observer.scrub(redacted(text))
    return JSONResponse({"error": text}, status_code=status, headers={**HEADERS, "Cache-Control": "no-store"})
