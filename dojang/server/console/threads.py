"""The list of threads, narrowed by its address, and the box in which a new one begins. Read from the index."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from checkpoints.index import Status as ThreadStatus
from checkpoints.wanted import Wanted
from dojang.server.access.owning import only_of
from dojang.server.console.addresses import thread_href
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.rows import Row, row_of
from dojang.server.console.thread import Unsaid
from dojang.server.wording import NODES, ago, label
from dojang.vocabulary import N_

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
ROWS: Final = 50
Status = Literal["", "waits", "done", "broken"]
STATUSES: Final[dict[Status, tuple[str, ThreadStatus | None]]] = {
    "": (N_("All"), None),
    "waits": (N_("Waits or stopped"), "interrupted"),
    "done": (N_("At rest"), "idle"),
    "broken": (N_("Cannot be read"), "error"),
}
"""What the chips say, and what the index calls it."""


@dataclass(frozen=True)
class Narrowed:
    """To what the list is narrowed, as its address says it."""

    status: Status = ""
    q: str = ""
    offset: int = 0

    def href(self) -> str:
        """The page of the list."""
        parts = {"status": self.status, "q": self.q, "offset": self.offset or ""}
        query = urlencode({name: value for name, value in parts.items() if value})
        return "/threads" + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Listed:
    """One thread in the list."""

    href: str
    title: str
    state: str  # busy, waits, stopped, idle, error
    waits: list[Row]  # what it waits for, the soonest due first
    next: str  # the step that comes next, in words
    error: str
    owner: str
    age: str
    updated_at: str


@router.get("/threads")
def threads(
    desk: AtDesk,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    status: str = "",
    q: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Threads, last changed first, and a box to start one."""
    known: Status = next((one for one in get_args(Status) if one == status), "")
    return threads_page(desk, Narrowed(known, q.strip()[:200], offset))


def threads_page(
    desk: Desk, narrowed: Narrowed | None = None, *, status: int = 200, unsaid: Unsaid | None = None
) -> HTMLResponse:
    """The page; with ``unsaid``, holding what was typed."""
    narrowed, unsaid = narrowed or Narrowed(), unsaid or Unsaid()
    found = desk.workspace.threads(
        limit=ROWS + 1,
        offset=narrowed.offset,
        owner=only_of(desk.request),
        status=STATUSES[narrowed.status][1],
        text=narrowed.q,
    )
    busy = {row.thread_id for row in desk.request.app.state.work.rows.active()}
    context: dict[str, Any] = {
        "rows": [_listed(desk, row, busy) for row in found[:ROWS]],
        "narrowed": narrowed,
        "statuses": [
            (desk.say(told).unescape(), replace(narrowed, status=one, offset=0).href(), one == narrowed.status)
            for one, (told, _) in STATUSES.items()
        ],
        "more": replace(narrowed, offset=narrowed.offset + ROWS).href() if len(found) > ROWS else "",
        "before": replace(narrowed, offset=max(0, narrowed.offset - ROWS)).href() if narrowed.offset else "",
        "error": desk.say.told(unsaid.error),
        "held": unsaid.text,
        "once": secrets.token_urlsafe(16),
    }
    return desk.page("threads/threads.html", section="threads", status=status, **context)


def _listed(desk: Desk, row: Any, busy: set[str]) -> Listed:
    waits: list[Row] = []
    if row["open_reviews"]:
        found = desk.workspace.parts.index.find(Wanted(thread_id=row["thread_id"]), limit=3)
        waits = [row_of(desk.read(one["review"]), desk.say, desk.now, one["progress"]) for one in found]
    state = "stopped" if row["status"] == "interrupted" and not waits else row["status"]
    state = "busy" if row["thread_id"] in busy else "waits" if state == "interrupted" else state
    return Listed(
        href=thread_href(row["thread_id"]),
        title=row["title"] or row["thread_id"],
        state=state,
        waits=waits,
        next=label(desk.say, NODES, "review") if waits else "",
        error=desk.say.told(row["error"]),
        owner=row["owner"],
        age=ago(desk.say, row["updated_at"], desk.now),
        updated_at=row["updated_at"],
    )
