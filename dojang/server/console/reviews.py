"""The page of one review, open or decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from dojang.results import ReviewCard
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.forms import with_posted
from dojang.server.console.inbox import listed
from dojang.server.console.item import item_of
from dojang.server.console.rows import row_of
from nodes.gate import spec_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/reviews/{review_id}")
def review(desk: AtDesk, review_id: str) -> Response:
    """One review, open or decided."""
    return review_page(desk, desk.workspace.show(review_id))


def review_page(
    desk: Desk, card: ReviewCard, *, status: int = 200, error: str = "", form: Mapping[str, str] | None = None
) -> HTMLResponse:
    """The page of a review; with ``form``, holding what was typed."""
    workspace = desk.workspace
    card = replace(card, review=desk.read(card.review))
    review = card.review
    spec = spec_of(workspace.toolbox_of(review), review["action"]["tool"]) if review["action"]["tool"] else None
    steps = workspace.history(review["thread_id"], limit=60)
    item = item_of(card, spec, steps, desk.say, workspace.parts.clock.now())
    held = form or {}
    run = workspace.thread(review["thread_id"]) if card.decision else None
    inbox = listed(desk)
    waiting = [row_of(desk.read(r), desk.say, workspace.parts.clock.now()) for r in run.reviews] if run else []
    following = [*waiting, *inbox["rows"]]
    context: dict[str, Any] = {
        "item": item,
        "next": following[0].href if following else "",
        "fields": with_posted(item.fields, held) if held.get("type") == "edit" else item.fields,
        "held": {"type": "", "chip": "", "note": "", "message": "", **held},
        "error": desk.say.told(error),
        "run": run,
        "section": "inbox",
    }
    return desk.page("item/review.html", status=status, **inbox, **context)
