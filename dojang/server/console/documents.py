"""Documents: what was read in, what is found in it, and one passage."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from dojang.server.console.addresses import passage_href
from dojang.server.console.desk import AtDesk
from dojang.server.console.evidence import place_of, signs_of
from dojang.server.console.marked import spans
from dojang.workspace import UnknownReview

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/documents")
def documents(desk: AtDesk, q: Annotated[str, Query(max_length=1000)] = "") -> Response:
    """What has been ingested; with ``q``, the passages that match."""
    found = desk.workspace.search(q, k=10) if q.strip() else []
    hits = [(p, passage_href(p["id"], 0, 0), place_of(p, desk.say)) for p in found]
    rows = desk.workspace.documents()
    return desk.page("documents/documents.html", rows=rows, q=q, hits=hits, section="documents")


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
    return desk.page(
        "documents/passage.html", passage=p, segments=segments, place=place, signs=signs, section="documents"
    )


class UnknownPassage(UnknownReview):
    """There is no passage with this id (any more)."""
