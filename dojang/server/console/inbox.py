"""The list of open reviews, and the page that is only that."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.rows import Row, row_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
ROWS: Final = 200  # reviews on one page
COUNTED: Final = 1_000  # reviews that one page looks through


@router.get("/")
def inbox(desk: AtDesk, kind: str = "", offset: Offset = 0) -> Response:
    """Open reviews, soonest due first."""
    return desk.page("inbox/inbox.html", section="inbox", **listed(desk, kind, offset))


def listed(desk: Desk, kind: str = "", offset: int = 0) -> dict[str, Any]:
    """The context of the list: its rows, where it goes on, and what it was narrowed to."""
    every = desk.workspace.inbox(limit=COUNTED)
    now = desk.workspace.parts.clock.now()
    chosen = [r for r in every if not kind or r["kind"] == kind]
    page = chosen[offset : offset + ROWS]
    progress = desk.workspace.progress(page)
    rows: list[Row] = [row_of(desk.read(r), desk.say, now, progress[r["id"]]) for r in page]
    more = urlencode({"kind": kind, "offset": offset + ROWS}) if len(chosen) > offset + ROWS else ""
    return {"rows": rows, "kind": kind, "more": more}
