"""Threads: the list, one conversation, and what a person says in it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.access.owning import only_of
from dojang.server.console.addresses import citation_href, thread_href
from dojang.server.console.desk import AtDesk, Form
from dojang.server.console.marked import Segment
from dojang.server.console.rows import row_of
from state import Conflict, Draft, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/threads")
def threads(desk: AtDesk, offset: Offset = 0) -> Response:
    """Threads, newest first, and a box to start one."""
    return _threads(desk, offset=offset)


def _threads(desk: AtDesk, *, offset: int = 0, status: int = 200, error: str = "", held: str = "") -> HTMLResponse:
    found = desk.workspace.threads(limit=51, offset=offset, owner=only_of(desk.request))
    rows = [{"row": row, "href": thread_href(row["thread_id"])} for row in found[:50]]
    more = f"offset={offset + 50}" if len(found) > 50 else ""
    context: dict[str, Any] = {
        "rows": rows,
        "more": more,
        "error": desk.say.told(error),
        "held": held,
        "section": "threads",
    }
    return desk.page("threads/threads.html", status=status, **context)


@router.post("/threads")
def start(desk: AtDesk, form: Form) -> Response:
    """Start a thread with a message; answers when the run has paused or ended."""
    text = form.get("text", "")
    try:
        result = desk.workspace.ask(text.replace("\r\n", "\n"))
    except UserError as error:
        return _threads(desk, status=400, error=str(error), held=text)
    return RedirectResponse(thread_href(result.thread_id), status_code=303)


@router.get("/threads/{thread_id}")
def thread(desk: AtDesk, thread_id: str) -> Response:
    """The conversation, its answer with citations, and the reviews that wait."""
    return _thread(desk, thread_id)


def _thread(desk: AtDesk, thread_id: str, *, status: int = 200, error: str = "", held: str = "") -> HTMLResponse:
    workspace = desk.workspace
    run = workspace.thread(thread_id)
    lines = workspace.conversation(thread_id)
    if run.answer and lines and lines[-1]["role"] == "assistant":
        lines = lines[:-1]  # shown below, with its citations
    now = workspace.parts.clock.now()
    context: dict[str, Any] = {
        "run": run,
        "title": next((line["text"] for line in lines if line["role"] == "user"), thread_id)[:120],
        "href": thread_href(thread_id),
        "lines": lines,
        "answer": answer_segments(run.answer) if run.answer else [],
        "citations": [(c, citation_href(c)) for c in run.answer["citations"]] if run.answer else [],
        "rows": [row_of(desk.read(r), desk.say, now) for r in run.reviews],
        "error": desk.say.told(error),
        "held": held,
        "section": "threads",
    }
    return desk.page("threads/thread.html", status=status, **context)


@router.post("/threads/{thread_id}/messages")
def go_on(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Send a message on a thread; refused with what was typed while it waits for somebody."""
    text = form.get("text", "")
    desk.workspace.thread(thread_id)  # an unknown thread is 404, not a mistake in the form
    try:
        desk.workspace.ask(text.replace("\r\n", "\n"), thread_id=thread_id)
    except UserError as error:
        return _thread(desk, thread_id, status=409 if isinstance(error, Conflict) else 400, error=str(error), held=text)
    return RedirectResponse(thread_href(thread_id), status_code=303)


@router.post("/threads/{thread_id}/resume")
def resume(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Go on with a run that was cut off, or release what was decided."""
    desk.workspace.thread(thread_id)
    try:
        desk.workspace.resume(thread_id)
    except UserError as error:
        return _thread(desk, thread_id, status=409 if isinstance(error, Conflict) else 400, error=str(error))
    return RedirectResponse(thread_href(thread_id), status_code=303)


def answer_segments(draft: Draft) -> list[Segment]:
    """An answer in which every [n] opens its passage."""
    places = {c["n"]: citation_href(c) for c in draft["citations"]}
    pieces = re.split(r"(\[\d{1,3}\])", draft["text"])
    return [Segment(p, href=places.get(int(p[1:-1]), "") if i % 2 else "") for i, p in enumerate(pieces) if p]
