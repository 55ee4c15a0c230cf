"""Whose thread it is: it belongs to whoever asked first in it. Reviews are everybody's who may see reviews."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from dojang.server.access.callers import caller_of
from dojang.server.work import Work
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


def sees(request: Request, thread_id: str) -> bool:
    """Whether the caller is shown a thread."""
    try:
        check_sees(request, thread_id)
    except UnknownThread:
        return False
    return True


def check_sees(request: Request, thread_id: str) -> None:
    """Raise UnknownThread for a thread of somebody else, in the words for one that is not there.

    One in which nobody has asked yet belongs to nobody, and is for whoever knows its id.
    """
    if sees_every_thread(request):
        return
    workspace: Workspace = request.app.state.workspace
    owner = workspace.owner(thread_id)
    if owner and person_of(owner) != person_of(caller_of(request).name):
        raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")


def check_path(request: Request, thread_id: str) -> None:
    """The same for the thread of a path, and UnknownThread where there is none, before anything else is found wrong.

    Else the order of complaints (a body that does not fit, a run that is not here) would say which ids there are.
    """
    check_sees(request, thread_id)
    if sees_every_thread(request) or (request.method == "POST" and request.url.path.endswith(MAKERS)):
        return
    workspace: Workspace = request.app.state.workspace
    if not workspace.parts.backend.exists(thread_id) and not _accepted(request, thread_id):
        raise UnknownThread(f"there is no thread {thread_id!r}; `dojang threads` lists those that exist")


def _accepted(request: Request, thread_id: str) -> bool:
    """Whether a message of the caller is to begin the thread, and no worker has come to it yet."""
    work: Work = request.app.state.work
    return any(person_of(row.requester) == person_of(caller_of(request).name) for row in work.rows.of(thread_id))
