"""Threads: made, read, noted about, looked for, copied, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from checkpoints import ThreadRow
from dojang.runs import UnknownThread
from dojang.server.access.owning import check_sees, only_of
from dojang.server.langgraph.answers import Answer
from dojang.server.langgraph.bodies import ThreadIn, ThreadPatch, ThreadSearch
from dojang.server.langgraph.caller import caller_of, work_of, workspace_of
from dojang.server.langgraph.document import REFUSALS, ThreadForm, gives
from dojang.server.langgraph.forms import Threads, status_of
from dojang.server.langgraph.inputs import NotTaken
from dojang.server.programs import ProgramRoute
from dojang.server.work.plain import plain
from state import Conflict

router = APIRouter(
    tags=["langgraph threads"], route_class=ProgramRoute, responses=REFUSALS, default_response_class=Answer
)
PAGE = 100
"""Rows of the index that are looked at together."""
MOST = 1_000_000


def threads_of(request: Request) -> Threads:
    """The threads that are served."""
    return Threads(workspace_of(request), work_of(request), request.app.state.known, only_of(request))


async def _at_threads(request: Request) -> Threads:
    """The same; waits for nothing, so no thread is woken for it."""
    return threads_of(request)


AtThreads = Annotated[Threads, Depends(_at_threads)]


@router.post("/threads", responses=gives(ThreadForm))
def create(request: Request, threads: AtThreads, asked: ThreadIn) -> Response:
    """Make an empty thread. ``if_exists``: 409, or the one that is there."""
    if asked.supersteps:
        raise NotTaken("supersteps are not taken: a thread's history is what happened in it; copy the thread instead")
    thread_id = asked.thread_id or str(uuid.uuid4())
    if threads.exists(thread_id):
        check_sees(request, thread_id)
        if asked.if_exists == "raise":
            raise Conflict(f"there is a thread {thread_id!r} already; send if_exists: do_nothing to be given it")
        return Answer(threads.form(thread_id))
    threads.make(thread_id, _noted(asked.metadata or {}))
    return Answer(threads.form(thread_id))


@router.post("/threads/search", responses=gives(list[ThreadForm]))
def search(threads: AtThreads, asked: ThreadSearch) -> Response:
    """Threads that fit everything that is said, last changed first."""
    found = []
    for row in _found(threads, asked, asked.offset, asked.limit):
        try:
            form = threads.form(row["thread_id"], status=row["status"])
        except UnknownThread:  # deleted since it was listed
            continue
        found.append({key: form[key] for key in asked.select if key in form} if asked.select else form)
    return Answer(found)


@router.post("/threads/count", responses=gives(int))
def count(threads: AtThreads, asked: ThreadSearch) -> Response:
    """How many threads fit."""
    return Answer(sum(1 for _ in _found(threads, asked, 0, MOST)))


@router.get("/threads/{thread_id}", responses=gives(ThreadForm))
def get(threads: AtThreads, thread_id: str) -> Response:
    """One thread, with its values and what it waits for."""
    return Answer(threads.form(thread_id))


@router.patch(
    "/threads/{thread_id}",
    responses={**gives(ThreadForm), 204: {"description": "done; `Prefer: return=minimal` was asked for"}},
)
def update(request: Request, threads: AtThreads, thread_id: str, asked: ThreadPatch) -> Response:
    """Add members to a thread's metadata; they are kept in its folder."""
    threads.check(thread_id)
    threads.workspace.parts.about.merge(thread_id, _noted(asked.metadata))
    if "return=minimal" in request.headers.get("prefer", ""):
        return Response(status_code=204)
    return Answer(threads.form(thread_id))


@router.delete("/threads/{thread_id}", status_code=204)
def delete(request: Request, threads: AtThreads, thread_id: str) -> Response:
    """Delete a thread with its folder. 409 while something of it is under way, or waits for a person."""
    threads.check(thread_id)
    rows = threads.work.rows
    if rows.busy(thread_id):
        raise Conflict(f"thread {thread_id} has runs that are not over; cancel them first")
    threads.workspace.delete_thread(thread_id, by=caller_of(request))
    for row in rows.of(thread_id, limit=MOST):
        threads.work.forget(row.run_id)
    return Response(status_code=204)


@router.post("/threads/{thread_id}/copy", responses=gives(ThreadForm))
def copy(request: Request, threads: AtThreads, thread_id: str) -> Response:
    """A new thread with what was said in this one. Its reviews and effects stay where they are."""
    threads.check(thread_id)
    target = str(uuid.uuid4())
    threads.workspace.copy_thread(thread_id, target, by=caller_of(request))  # first: it is refused while a run is on
    threads.make(target, threads.workspace.parts.about.of(thread_id))
    return Answer(threads.form(target))


# -- looking for threads ----------------------------------------------------------------------------------------------


def _found(threads: Threads, asked: ThreadSearch, offset: int, limit: int) -> Iterator[ThreadRow]:
    skipped = given = 0
    for row in _waiting(threads) if _is_inbox(asked) else _sorted(threads, asked):
        if given == limit:
            return
        if not _fits(threads, row, asked):
            continue
        if skipped < offset:
            skipped += 1
            continue
        given += 1
        yield row


def _is_inbox(asked: ThreadSearch) -> bool:
    """Whether threads that wait are asked for, last changed first, as inboxes do."""
    ordered = asked.sort_by in (None, "updated_at", "state_updated_at") and asked.sort_order in (None, "desc")
    return asked.status == "interrupted" and ordered and asked.ids is None


def _waiting(threads: Threads) -> Iterator[ThreadRow]:
    """The rows of threads that wait for a person, a page at a time: there may be very many."""
    busy, offset = threads.work.rows.threads_under_way(), 0
    rows = threads.workspace.threads(limit=PAGE, owner=threads.only, status="interrupted")
    while rows:
        yield from (row for row in rows if row["thread_id"] not in busy)
        offset += len(rows)
        rows = threads.workspace.parts.index.threads(PAGE, offset, owner=threads.only, status="interrupted")


def _sorted(threads: Threads, asked: ThreadSearch) -> list[ThreadRow]:
    """The rows of the index, with the status that clients know."""
    rows = threads.workspace.threads(limit=MOST, owner=threads.only)
    if asked.ids is not None:
        rows = [row for row in rows if row["thread_id"] in set(asked.ids)]
    busy = threads.work.rows.threads_under_way()
    failed = threads.work.rows.failed()
    for row in rows:
        if row["status"] != "error":  # a folder that cannot be read stays one
            waits, thread_id = row["status"] == "interrupted", row["thread_id"]
            status = status_of(busy=thread_id in busy, waits=waits, failed=thread_id in failed)
            row["status"] = cast(Any, status)
    rows = [row for row in rows if not row["error"]]
    key = asked.sort_by or "updated_at"
    if key == "state_updated_at":
        key = "updated_at"
    order = {row["thread_id"]: _key(threads, row, key) for row in rows}
    return sorted(rows, key=lambda row: order[row["thread_id"]], reverse=(asked.sort_order or "desc") == "desc")


def _key(threads: Threads, row: ThreadRow, key: str) -> str:
    if key == "created_at" or not row["updated_at"]:
        return threads.created_at(row["thread_id"])
    return str(cast(Mapping[str, Any], row)[key])


def _fits(threads: Threads, row: ThreadRow, asked: ThreadSearch) -> bool:
    if asked.status is not None and row["status"] != asked.status:
        return False
    if asked.metadata and not contains(threads.metadata(row["thread_id"]), asked.metadata):
        return False
    return not asked.values or contains(plain(threads.workspace.look(row["thread_id"]).values), asked.values)


def contains(whole: Any, part: Any) -> bool:
    """Whether JSON has all of ``part``, objects member by member, as PostgreSQL's ``@>`` has it."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(item, wanted) for item in whole) for wanted in part)
    return bool(whole == part) and isinstance(whole, bool) == isinstance(part, bool)


def _noted(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that is kept; which graph a thread is of, it says itself."""
    return {str(key): value for key, value in metadata.items() if key not in ("graph_id", "assistant_id")}
