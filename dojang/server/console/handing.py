"""The part of the shift page where somebody hands over to a colleague, and says that they have taken over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.handover import Handover, claimed, hand_over, handovers, take_over
from dojang.server.access.roles import DECIDE
from dojang.server.console.addresses import review_href
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.opening import tokens_of
from state import Conflict, UserError, person_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
PLACE = "/shift#handover"


@dataclass(frozen=True)
class Shown:
    """A handover. ``waits``: for whoever looks to say that they have taken over."""

    record: Handover
    reviews: list[tuple[str, str]]  # id, and where its page is
    waits: bool


@dataclass(frozen=True)
class Handing:
    """``mine``: how many reviews whoever looks has claimed. ``people``: to whom; [] where nobody is known here."""

    found: list[Shown]
    mine: int
    people: list[str]


def handing(desk: Desk, since: datetime, *, everybody: bool) -> Handing:
    """What was handed over since then, by or to whoever looks, or by anybody."""
    workspace, me = desk.workspace, desk.workspace.user
    found = [
        Shown(one, [(r, review_href(r)) for r in one.reviews], not one.taken_at and person_of(one.to) == person_of(me))
        for one in handovers(workspace, since=since, of=None if everybody else me)
    ]
    return Handing(found, len(claimed(workspace)), [one for one in _known(desk) if person_of(one) != person_of(me)])


@router.post("/shift/handover")
def give(desk: AtDesk, form: Form) -> Response:
    """Hand over: 303 to the shift page; 400 where it is to nobody who decides here."""
    to = form.get("to", "").strip()
    try:
        known = _known(desk)
        if known and person_of(to) not in map(person_of, known):
            raise UserError(f"nobody who decides here is called {to[:40]!r}; nothing was handed over")
        hand_over(desk.workspace, to, form.get("note", ""))
    except UserError as error:
        return _refused(desk, error)
    return RedirectResponse(PLACE, status_code=303)


@router.post("/shift/handover/{handover_id}/taken")
def take(desk: AtDesk, handover_id: str) -> Response:
    """Say that one has taken over: 303 to the shift page."""
    try:
        take_over(desk.workspace, handover_id)
    except UserError as error:
        return _refused(desk, error)
    return RedirectResponse(PLACE, status_code=303)


def _known(desk: Desk) -> list[str]:
    parts = desk.workspace.parts
    return tokens_of(parts.settings, parts.sessions, parts.audit).people(DECIDE)


def _refused(desk: Desk, error: UserError) -> Response:
    status = 409 if isinstance(error, Conflict) else 400
    return desk.page("frame/error.html", status=status, code=status, text=desk.say.told(str(error)))
