"""Whose turn it is: a review reserved for oneself, handed up to a role, or put off for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.console.addresses import review_href
from dojang.server.console.deciding import onward
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.reviews import review_page
from dojang.server.wording import PUT_OFF
from state import Conflict, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MORNING: Final = 9
"""The hour at which something put off to tomorrow is back, on this machine's clock."""
SPANS_S: Final = {"half": 1800.0, "two": 7200.0}


@router.post("/reviews/{review_id}/claim")
def claim(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Reserve a review for ten minutes, or give it back."""
    try:
        if form.get("give_back") == "yes":
            desk.workspace.give_back(review_id)
        else:
            desk.workspace.claim(review_id)
    except Conflict as error:
        return _refused(desk, review_id, error)
    return RedirectResponse(review_href(review_id, desk.chosen.query), status_code=303)


@router.post("/reviews/{review_id}/handup")
def hand_up(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Hand a review up to a role."""
    try:
        desk.workspace.hand_up(review_id, form.get("role", ""))
    except UserError as error:
        return _refused(desk, review_id, error)
    return RedirectResponse(onward(desk, review_id, form), status_code=303)


@router.post("/reviews/{review_id}/later")
def put_off(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Leave a review out of one's lists for a while, or show it again."""
    until = form.get("until", "")
    try:
        if until == "now":
            desk.workspace.put_back(review_id)
        elif until in PUT_OFF:
            desk.workspace.put_off(review_id, seconds_until(until, desk.now))
        else:
            raise UserError("choose until when to put it off")
    except UserError as error:
        return _refused(desk, review_id, error)
    return RedirectResponse(onward(desk, review_id, form), status_code=303)


def seconds_until(until: str, now: datetime) -> float:
    """How long that is from now; ``morning`` is the next day's."""
    if until in SPANS_S:
        return SPANS_S[until]
    here = now.astimezone()
    morning = (here + timedelta(days=1)).replace(hour=MORNING, minute=0, second=0, microsecond=0)
    return (morning - here).total_seconds()


def _refused(desk: Desk, review_id: str, error: UserError) -> Response:
    status = 409 if isinstance(error, Conflict) else 400
    return review_page(desk, desk.workspace.show(review_id), status=status, error=str(error))
