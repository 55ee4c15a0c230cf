"""Who asks."""

from __future__ import annotations

from typing import cast

from fastapi import Request

from dojang.server.work import Work
from dojang.workspace import Workspace


def caller_of(request: Request) -> str:
    """The name under which this request's messages and decisions are recorded.

    Whoever let the request in says it (``request.state.caller``); else it is the settings' user. What a body says of it
    counts for nothing.
    """
    caller = getattr(request.state, "caller", None)
    name = getattr(caller, "name", caller)
    return name if isinstance(name, str) and name else workspace_of(request).settings.user


def workspace_of(request: Request) -> Workspace:
    """The workspace that is served."""
    return cast(Workspace, request.app.state.workspace)


def work_of(request: Request) -> Work:
    """The runs that are accepted."""
    return cast(Work, request.app.state.work)
