"""The page of one review, open or decided, with the list that it was opened from beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from checkpoints.wanted import Wanted
from dojang.checks import how
from dojang.results import ReviewCard
from dojang.server.console.addresses import review_href
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.forms import with_posted
from dojang.server.console.inbox import listed
from dojang.server.console.item import Around, held_until, item_of
from dojang.server.console.rows import Row, row_of
from dojang.server.console.similar import LOOKED_AT
from dojang.server.console.spoken import answer_of, cut
from dojang.server.console.stamp import Stamp, stamp_of
from dojang.server.console.told import Told, told_of
from nodes.gate import spec_of
from state import TOP_TIER

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@dataclass(frozen=True)
class Said:
    """What this person said of the review before this one: it can be taken back for a moment."""

    id: str
    href: str
    summary: str
    stamp: Stamp | None
    votes: str
    undo_until: str


@router.get("/reviews/{review_id}")
def review(desk: AtDesk, review_id: str) -> Response:
    """One review, open or decided. ``said``: the one that was decided just before."""
    return review_page(desk, desk.workspace.show(review_id))


def review_page(
    desk: Desk, card: ReviewCard, *, status: int = 200, error: str = "", form: Mapping[str, str] | None = None
) -> HTMLResponse:
    """The page of a review; with ``form``, holding what was typed."""
    workspace, chosen = desk.workspace, desk.chosen
    card = replace(card, review=desk.read(card.review))
    item = item_of(card, around(desk, card, chosen.query), desk.say, desk.now)
    held = form or {}
    run = workspace.thread(card.review["thread_id"]) if card.decision else None
    beside = listed(desk, chosen)
    waiting = [row_of(desk.read(r), desk.say, desk.now, query=chosen.query) for r in run.reviews] if run else []
    following = next_of(item.row.id, waiting, beside["rows"])
    context: dict[str, Any] = {
        "item": item,
        "next": following.href if following else "",
        "next_id": following.id if following else "",
        "said": said_before(desk, desk.request.query_params.get("said", ""), item.row.id),
        "fields": with_posted(item.fields, held) if held.get("type") == "edit" else item.fields,
        "held": {"type": "", "chip": "", "note": "", "message": "", "reason": "", **held},
        "error": desk.say.told(error),
        "run": run,
        "check": told_check(desk, card),
        "makes_check": desk.may["may_oversee"] and may_be_a_check(card),
        "answer": answer_of(cut(said["text"])[0], said["citations"]) if run and (said := run.answer) else [],
    }
    return desk.page("item/review.html", section="inbox", status=status, **beside, **context)


def told_check(desk: Desk, card: ReviewCard) -> Told | None:
    """That a review was a seeded check, once it is decided and nobody can take that back; None for any other."""
    thread_id = card.review["thread_id"]
    seeded = desk.workspace.parts.checks.of(thread_id) if card.progress["released"] else None
    return told_of(how(seeded, card.review, card.progress), desk.say) if seeded is not None else None


def may_be_a_check(card: ReviewCard) -> bool:
    """Whether a decided review could be put in again as one with a known answer."""
    review = card.review
    return review["kind"] in ("tool", "compliance") and bool(review["action"]["tool"]) and review["tier"] < TOP_TIER


def around(desk: Desk, card: ReviewCard, query: str) -> Around:
    """What a card shows beside the review itself."""
    workspace, review = desk.workspace, card.review
    tool = review["action"]["tool"]
    graph = workspace.parts.reader.get_graph()
    before = Wanted(tool=tool, status="decided", sort="newest")
    found = workspace.parts.index.find(before, limit=LOOKED_AT) if tool else []
    checks = workspace.parts.checks.among(one["review"]["thread_id"] for one in found)  # nothing to go by
    return Around(
        spec=spec_of(workspace.toolbox_of(review), tool) if tool else None,
        steps=workspace.history(review["thread_id"], limit=60),
        nodes=list(graph.nodes),
        edges=[(edge.source, edge.target) for edge in graph.edges],
        before=[one for one in found if one["review"]["thread_id"] not in checks],
        roles_above=workspace.roles_above(),
        query=query,
        user=workspace.user,
    )


def next_of(review_id: str, waiting: Sequence[Row], rows: Sequence[Row]) -> Row | None:
    """What comes after a review: what its own thread asks now, else the next of the list, else its first."""
    ids = [row.id for row in rows]
    after = rows[ids.index(review_id) + 1 :] if review_id in ids else rows
    return next((row for row in (*waiting, *after, *rows) if row.id != review_id), None)


def said_before(desk: Desk, review_id: str, here: str) -> Said | None:
    """The strip above the next item; None where nothing was said of that review."""
    wanted = Wanted(only=(review_id,), status="any")
    found = desk.workspace.parts.index.find(wanted, limit=1) if review_id and review_id != here else []
    if not found:
        return None
    review, progress = desk.read(found[0]["review"]), found[0]["progress"]
    decision = progress["decision"]
    if decision is None and not progress["votes"]:
        return None
    return Said(
        id=review["id"],
        href=review_href(review["id"], desk.chosen.query),
        summary=review["question"] or review["summary"],
        stamp=stamp_of(decision, desk.say) if decision else None,
        votes=f"{len(progress['votes'])}/{review['votes_needed']}" if review["votes_needed"] > 1 else "",
        undo_until=held_until(decision, progress, desk.say, desk.now),
    )
