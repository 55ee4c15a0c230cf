"""Who asks, and with what: the guards of access have found it out before any of these routes is reached."""

from __future__ import annotations

from typing import cast

from fastapi import Request

from dojang.server.access import callers
from dojang.server.access.callers import workspace_of
from dojang.server.work import Work


def caller_of(request: Request) -> str:
    """The name on this request's messages and decisions; what a body says of it counts for nothing."""
    return callers.caller_of(request).name


def work_of(request: Request) -> Work:
    """The runs that are accepted."""
    return cast(Work, request.app.state.work)


__all__ = ["caller_of", "work_of", "workspace_of"]
