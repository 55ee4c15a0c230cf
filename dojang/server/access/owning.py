"""Whose thread it is: it belongs to whoever asked first in it. Reviews are everybody's who may see reviews."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from dojang.server.access.callers import caller_of
from dojang.workspace import UnknownThread, Workspace
from state import person_of


MAKERS: Final = ("/runs", "/runs/wait", "/runs/stream", "/commands")
"""Ends of the paths under which a thread that is not there is made."""


def sees_every_thread(request: Request) -> bool:
    """Whether the caller is shown threads that others asked in."""
    return bool(request.app.state.settings.share_threads) or caller_of(request).sees_every_thread


def only_of(request: Request) -> str | None:
    """Whose threads a list for this caller has; None: everybody's."""
    return None if sees_every_thread(request) else caller_of(request).name


def _makes(request: Request) -> bool:
    """Whether the route may make the thread that its path names."""
    return request.method == "POST" and request.url.path.endswith(MAKERS)


def check_sees(request: Request, thread_id: str) -> None:
    """Raise UnknownThread for a thread of somebody else, in the words for one that is not there.

    One in which nobody has asked yet belongs to nobody, and is for whoever knows its id. One that is not there is told
    here as well, before anything else is found wrong: else the order of complaints would say which ids there are.
    """
    if sees_every_thread(request):
        return
    workspace: Workspace = request.app.state.workspace
    owner = workspace.owner(thread_id)
    absent = not (workspace.parts.folders.path(thread_id) / "thread.json").exists() and not _makes(request)
    if absent or (owner and person_of(owner) != person_of(caller_of(request).name)):
        raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")
