"""The list of reviews, and the page that is only that. Read from the index: no session is opened for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from checkpoints.index import Listed
from checkpoints.wanted import Wanted
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.filters import Chosen
from dojang.server.console.rows import row_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
ROWS: Final = 100  # reviews on one page


@router.get("/")
def inbox(desk: AtDesk) -> Response:
    """Open reviews, soonest due first, as the address narrows them."""
    return desk.page("inbox/inbox.html", section="inbox", **listed(desk, desk.chosen))


def listed(desk: Desk, chosen: Chosen) -> dict[str, Any]:
    """The context of the list: its rows, where it goes on, and what it is narrowed to."""
    workspace, now = desk.workspace, desk.now
    found = workspace.found(chosen.wanted(desk.person, now), limit=ROWS + 1, after=chosen.key())
    page, more = found[:ROWS], ""
    if len(found) > ROWS:
        more = replace(chosen, after="~".join(page[-1]["key"])).href()
    edited = edited_of(desk, page)
    checks = workspace.parts.checks.among(one["review"]["thread_id"] for one in page if one["progress"]["released"])
    rows = [
        row_of(
            desk.read(one["review"]), desk.say, now, one["progress"], query=chosen.query, edited=edited,
            check=one["review"]["thread_id"] in checks,
        )
        for one in page
    ]  # fmt: skip
    narrowed = [(text, without.href()) for text, without in chosen.chips()]
    return {"rows": rows, "more": more, "chosen": chosen, "narrowed": narrowed, "here": chosen.href()}


def edited_of(desk: Desk, page: list[Listed]) -> set[str]:
    """Ids of those reviews that are about a call which a person edited: few, so each is looked up."""
    again = [one["review"] for one in page if "#" in one["review"]["subject"]]
    return {review["id"] for review in again if _was_edited(desk, review["thread_id"], review["subject"])}


def _was_edited(desk: Desk, thread_id: str, subject: str) -> bool:
    base = subject.partition("#")[0]
    before = desk.workspace.parts.index.find(Wanted(thread_id=thread_id, status="decided"), limit=50)
    return any(
        (said := one["progress"]["decision"]) is not None
        and said["type"] == "edit"
        and one["review"]["subject"].partition("#")[0] == base
        for one in before
    )
