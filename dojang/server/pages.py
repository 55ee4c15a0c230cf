"""The pages. Handlers are plain functions: the framework runs them on worker threads, never on the event loop."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.access.owning import only_of
from dojang.server.deciding import review_page, take_back, take_claim, take_decision
from dojang.server.desk import AtDesk, Form
from dojang.server.views import (
    answer_segments,
    citation_href,
    passage_href,
    place_of,
    row_of,
    signs_of,
    spans,
    thread_href,
)
from dojang.workspace import UnknownReview
from state import Conflict, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/")
def inbox(desk: AtDesk, kind: str = "", offset: Offset = 0) -> Response:
    """Open reviews, soonest due first."""
    return desk.page("inbox.html", section="inbox", **desk.inbox(kind, offset))


@router.get("/reviews/{review_id}")
def review(desk: AtDesk, review_id: str) -> Response:
    """One review, open or decided."""
    return review_page(desk, desk.workspace.show(review_id))


@router.post("/reviews/{review_id}/decision")
def decide(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Take a decision from the bar."""
    return take_decision(desk, review_id, form)


@router.post("/reviews/{review_id}/undo")
def undo(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Take back one's decision or vote."""
    return take_back(desk, review_id)


@router.post("/reviews/{review_id}/claim")
def claim(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Reserve a review for ten minutes, or give it back."""
    return take_claim(desk, review_id, form)


@router.get("/threads")
def threads(desk: AtDesk, offset: Offset = 0) -> Response:
    """Threads, newest first, and a box to start one."""
    return _threads(desk, offset=offset)


def _threads(desk: AtDesk, *, offset: int = 0, status: int = 200, error: str = "", held: str = "") -> HTMLResponse:
    found = desk.workspace.threads(limit=51, offset=offset, owner=only_of(desk.request))
    rows = [{"row": row, "href": thread_href(row["thread_id"])} for row in found[:50]]
    more = f"offset={offset + 50}" if len(found) > 50 else ""
    context = {"rows": rows, "more": more, "error": desk.say.told(error), "held": held, "section": "threads"}
    return desk.page("threads.html", status=status, **context)


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
    context = {
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
    return desk.page("thread.html", status=status, **context)


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


@router.get("/documents")
def documents(desk: AtDesk, q: Annotated[str, Query(max_length=1000)] = "") -> Response:
    """What has been ingested; with ``q``, the passages that match."""
    found = desk.workspace.search(q, k=10) if q.strip() else []
    hits = [(p, passage_href(p["id"], 0, 0), place_of(p, desk.say)) for p in found]
    rows = desk.workspace.documents()
    return desk.page("documents.html", rows=rows, q=q, hits=hits, section="documents")


@router.get("/passages/{passage_id}")
def passage(desk: AtDesk, passage_id: str, start: int = 0, end: int = 0) -> Response:
    """One passage; [start, end) counts in the document and is marked."""
    gone = desk.say(
        "There is no passage %(id)s any more; its document was changed or taken out.", id=passage_id
    ).unescape()
    found = desk.workspace.passages([passage_id])
    if not found:
        raise UnknownPassage(gone)
    p = found[0]
    segments = spans(p["text"], start - p["start"], end - p["start"])
    place, signs = place_of(p, desk.say), signs_of(p, desk.say)
    return desk.page("passage.html", passage=p, segments=segments, place=place, signs=signs, section="documents")


class UnknownPassage(UnknownReview):
    """There is no passage with this id (any more)."""
