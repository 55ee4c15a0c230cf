"""Many reviews decided at once: what was selected, the table of differences, what became of it, the way back.

``/bulk?id=…&id=…`` is a page like any other: selecting needs no script. What became of the reviews is read back from
the record, so that the page can be opened again and never says more than is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from checkpoints.index import Listed
from checkpoints.wanted import Wanted
from dojang.reviewing import BULK, MOST, Item, NotInBulk, decide_many
from dojang.server.console.deciding import ID, NotYet
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.item import held_until
from dojang.server.console.rows import Row, row_of
from dojang.server.console.stamp import Stamp, stamp_of
from dojang.server.console.together import LEFT, decided_together, parts_of, sort_of, together_of
from dojang.server.wording import CHIPS
from state import Conflict, UserError, person_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MARK: Final = "~"
"""Between a review's id and its digest, in the address of what became of it."""


@dataclass(frozen=True)
class Fate:
    """What became of one review. ``why``: why it was not decided as the others; "" where it was."""

    row: Row
    why: str


@router.get("/bulk")
def selected(desk: AtDesk) -> Response:
    """The reviews that were selected: a table where they are decided together, else what to do about it."""
    return _page(desk, _ids(desk.request.query_params.getlist("id")))


@router.post("/bulk")
def decide(desk: AtDesk, form: Form) -> Response:
    """Decide those whose box is ticked: 303 to what became of them."""
    items = [Item(key.removeprefix(LEFT), digest) for key, digest in form.items() if key.startswith(LEFT)]
    items = [item for item in items if ID.fullmatch(item.id)]
    try:
        said = _said(desk, form)
        _of_one_sort(_found(desk, [item.id for item in items]))
        made = decide_many(desk.workspace, items, said)
    except UserError as error:
        return _page(desk, [item.id for item in items], status=400, error=str(error), held=form)
    for decision, _ in made.decided:
        desk.request.app.state.keeper.remind(decision)
    if not made.decided:
        whys = "; ".join(dict.fromkeys(desk.say.told(why) for _, why in made.skipped))
        return _page(desk, [item.id for item in items], status=409, error=whys, held=form)
    return RedirectResponse(_done_href([f"{item.id}{MARK}{item.digest}" for item in items], desk), status_code=303)


@router.get("/bulk/done")
def done(desk: AtDesk) -> Response:
    """What became of reviews that were decided together."""
    named = desk.request.query_params.getlist("item")[:MOST]
    digests = dict(pair for one in named if ID.fullmatch((pair := _pair(one))[0]))
    found = _found(desk, list(digests))
    fates = [_fate(desk, one, digests[one["review"]["id"]]) for one in found]
    decided = [(one, fate) for one, fate in zip(found, fates, strict=True) if not fate.why]
    stamps = [stamp for one, _ in decided if (stamp := _stamp(desk, one)) is not None]
    held = [until for one, _ in decided if (until := _held(desk, one))]
    context: dict[str, Any] = {
        "stamp": stamps[0] if stamps else None,
        "decided": [fate.row for _, fate in decided],
        "skipped": [fate for fate in fates if fate.why],
        "undo_until": min(held, default=""),
        "named": named,
        "again": "/bulk?" + urlencode([("id", fate.row.id) for fate in fates if not fate.row.said]),
    }
    return desk.page("bulk/done.html", section="inbox", chosen=desk.chosen, here=desk.chosen.href(), **context)


@router.post("/bulk/undo")
def undo(desk: AtDesk, form: Form) -> Response:
    """Take back all of them that have not run: 303 to what is true then; 409 where it was too late for all."""
    named = [value for key, value in form.items() if key.startswith("item.")][:MOST]
    back, late = 0, ""
    for review_id, _ in map(_pair, named):
        own = desk.workspace.own_decision(review_id) if ID.fullmatch(review_id) else None
        if own is None or own["channel"] != BULK:
            continue
        try:
            desk.workspace.undo(review_id)
            back += 1
        except Conflict as error:
            late = str(error)
    if late and not back:
        raise Conflict(late)
    return RedirectResponse(_done_href(named, desk), status_code=303)


def _page(
    desk: Desk, ids: Sequence[str], *, status: int = 200, error: str = "", held: Mapping[str, str] | None = None
) -> HTMLResponse:
    found = _found(desk, ids)
    still = [one for one in found if one["progress"]["decision"] is None]
    sorts = {sort_of(one["review"]) for one in still}
    fits = len(sorts) == 1 and decided_together(still[0]["review"])
    query = desk.chosen.query
    gone = [row_of(desk.read(one["review"]), desk.say, desk.now, one["progress"], query=query) for one in found]
    context: dict[str, Any] = {
        "together": together_of(_read(desk, still), desk.say, desk.now, query) if fits else None,
        "parts": [] if fits else parts_of(_read(desk, still), desk.say, desk.now, query),
        "gone": [row for row in gone if row.said],
        "most": MOST,
        "error": desk.say.told(error),
        "held": {"chip": "", "note": "", "type": "", **(held or {})},
        "action": "/bulk" + (f"?{query}" if query else ""),
        "here": desk.chosen.href(),
    }
    return desk.page("bulk/bulk.html", section="inbox", status=status, chosen=desk.chosen, **context)


def _said(desk: Desk, form: Mapping[str, str]) -> dict[str, str]:
    kind = form.get("type", "")
    if kind == "approve":
        return {"type": "approve"}
    chip, note = form.get("chip", ""), form.get("note", "").replace("\r\n", "\n").strip()
    if kind != "reject" or (chip and chip not in CHIPS):
        raise NotYet(desk.say("choose one of the reasons").unescape())
    return {"type": "reject", "reason": ": ".join(part for part in (chip, note) if part), "message": note}


def _of_one_sort(found: Sequence[Listed]) -> None:
    """The core asks for one tool and one tier; a page asks for one kind as well, and for none in doubt."""
    if len({sort_of(one["review"]) for one in found}) > 1 or not all(decided_together(one["review"]) for one in found):
        raise NotInBulk("these reviews are not of one tool and one tier, or are decided one by one; select others")


def _fate(desk: Desk, one: Listed, digest: str) -> Fate:
    review, progress = desk.read(one["review"]), one["progress"]
    row = row_of(review, desk.say, desk.now, progress, query=desk.chosen.query)
    decision, me = progress["decision"], person_of(desk.workspace.user)
    own = [said for said in (*progress["votes"], decision) if said is not None and person_of(said["by"]) == me]
    if any(said["channel"] == BULK for said in own):
        return Fate(row, "")
    if decision is not None:
        return Fate(row, f"{row.said} · {decision['by']} · {desk.say.moment(decision['at'], seconds=True)}")
    if digest != review["digest"]:
        return Fate(row, desk.say("It is not what you looked at any more.").unescape())
    if row.claimed:
        return Fate(row, desk.say("claimed by %(who)s", who=row.claimed).unescape())
    return Fate(row, desk.say("It is open; nothing of yours is recorded.").unescape())


def _stamp(desk: Desk, one: Listed) -> Stamp | None:
    decision = one["progress"]["decision"]
    return stamp_of(decision, desk.say) if decision is not None else None


def _held(desk: Desk, one: Listed) -> str:
    return held_until(one["progress"]["decision"], one["progress"], desk.say, desk.now)


def _found(desk: Desk, ids: Sequence[str]) -> list[Listed]:
    """The reviews with these ids, soonest due first; that they were listed is noted."""
    return desk.workspace.found(Wanted(only=tuple(ids), status="any"), limit=MOST) if ids else []


def _read(desk: Desk, found: Sequence[Listed]) -> list[Listed]:
    return [{**one, "review": desk.read(one["review"])} for one in found]


def _ids(given: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(one for one in given if ID.fullmatch(one)))[:MOST]


def _pair(text: str) -> tuple[str, str]:
    review_id, _, digest = text.partition(MARK)
    return review_id, digest


def _done_href(named: Sequence[str], desk: Desk) -> str:
    query = urlencode([("item", one) for one in named])
    return "/bulk/done?" + "&".join(part for part in (desk.chosen.query, query) if part)
