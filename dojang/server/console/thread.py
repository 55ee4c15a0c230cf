"""The page of one thread: the conversation, what is under way, and the card of what it waits for, in place."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from langgraph.types import StateSnapshot

from dojang.results import RunResult
from dojang.runs import thread_id_of
from dojang.server.access.roles import ASK
from dojang.server.console.addresses import thread_href
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.item import Around, item_of
from dojang.server.console.reviews import said_before
from dojang.server.console.rows import row_of
from dojang.server.console.spoken import Line, line_of, lines_of, title_of
from dojang.server.langgraph.caller import work_of
from dojang.server.wording import NODES, label
from dojang.server.work import Order, Row
from nodes.gate import spec_of
from state import Review, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
IN_THREAD = "thread"
STEPS = 16
"""Checkpoints that are looked at for the steps of a turn that is under way."""


@dataclass(frozen=True)
class Unsaid:
    """What was typed and not taken, and why."""

    text: str = ""
    error: str = ""


@dataclass(frozen=True)
class Running:
    """A run that is not over."""

    run_id: str
    waiting: bool  # it has not begun
    stopping: bool
    resumes: bool  # no new message: it goes on after a decision
    unmanned: bool  # it has not begun, and nobody is there who would begin it
    steps: list[str]  # of its turn so far, in words


@dataclass(frozen=True)
class Ended:
    """How the newest run ended, where that was not well."""

    status: str  # error, timeout, interrupted
    error: str


@router.get("/threads/{thread_id}")
def thread(desk: AtDesk, thread_id: str) -> Response:
    """The conversation, its answers with citations, and what it waits for."""
    return thread_page(desk, thread_id)


def thread_page(desk: Desk, thread_id: str, *, status: int = 200, unsaid: Unsaid | None = None) -> HTMLResponse:
    """The page; with ``unsaid``, holding what was typed."""
    workspace = desk.workspace
    workspace.parts.index.refresh(thread_id)
    rows: list[Row] = work_of(desk.request).rows.of(thread_id, limit=20)
    snapshot = workspace.look(thread_id)
    begun = snapshot.created_at is not None
    active = [row for row in rows if not row.over]
    if not begun and not active and not rows:
        workspace.thread(thread_id)  # raises: there is none
    run = workspace.thread(thread_id, seen=snapshot) if begun else None
    untold = active if begun or active else rows[:1]
    lines = lines_of(snapshot.values.get("messages") or []) + _about_to(untold, snapshot)
    unsaid = unsaid or Unsaid()
    reviews = run.reviews if run else []
    context: dict[str, Any] = {
        "run": run,
        "thread_id": thread_id,
        "title": title_of(lines, desk.say),
        "href": thread_href(thread_id),
        "lines": lines,
        "running": running_of(desk, active, thread_id, snapshot) if active else None,
        "ended": _ended(rows, run, snapshot.created_at or ""),
        "card": _card(desk, reviews[0]) if reviews and not active else "",
        "others": [row_of(desk.read(r), desk.say, desk.now) for r in reviews[1:]],
        "waits_for": [row_of(desk.read(r), desk.say, desk.now) for r in reviews],
        "said": said_before(desk, desk.request.query_params.get("said", ""), "") if not unsaid.error else None,
        "ready": _ready(desk, snapshot, active),
        "note": desk.say.told(run.note) if run else "",
        "error": desk.say.told(unsaid.error),
        "held": unsaid.text,
        "once": secrets.token_urlsafe(16),
    }
    return desk.page("threads/thread.html", section="threads", status=status, **context)


def running_of(desk: Desk, active: list[Row], thread_id: str, snapshot: StateSnapshot) -> Running:
    """The run that is under way, or the next one."""
    row = active[-1]  # they come newest first
    order = Order.from_json(row.body)
    return Running(
        run_id=row.run_id,
        waiting=row.status == "pending",
        stopping=bool(row.stop),
        resumes=order.message is None,
        unmanned=row.status == "pending" and bool(work_of(desk.request).ailing()),
        steps=_steps(desk, thread_id) if snapshot.created_at is not None and row.status == "running" else [],
    )


def _steps(desk: Desk, thread_id: str) -> list[str]:
    """The steps since the input of the newest turn, the one that is under way last."""
    way: list[str] = []
    for step in sorted(desk.workspace.history(thread_id, limit=STEPS), key=lambda s: s.number):
        if step.source == "input":
            way = []
        names = [name for name in dict.fromkeys(step.next) if not name.startswith("__")]
        way += [label(desk.say, NODES, name) for name in names]
    return way


def _about_to(active: list[Row], snapshot: StateSnapshot) -> list[Line]:
    """Messages that were taken in and are in no checkpoint yet: of these runs, oldest last.

    The first message of a thread whose run broke off before it was written is one, too: it is shown, not lost.
    """
    known = {message.id for message in snapshot.values.get("messages") or []}
    said = [Order.from_json(row.body).human(row.requester) for row in reversed(active)]
    return [line_of(message) for message in said if message is not None and message.id not in known]


def _ended(rows: list[Row], run: RunResult | None, changed_at: str) -> Ended | None:
    """Why nothing came of the newest run; None where something did, or it is not over."""
    if not rows or not rows[0].over or rows[0].status == "success":
        return None
    row = rows[0]
    if changed_at > row.updated_at:  # it went on since: by a command, or by itself
        return None
    if row.status == "interrupted" and (row.stop == "" or (run is not None and run.status == "done")):
        return None  # it pauses for a person, which the page shows as it is
    return Ended(row.status, (row.error or {}).get("message", ""))


def _ready(desk: Desk, snapshot: StateSnapshot, active: list[Row]) -> bool:
    """Whether a new message would be taken now."""
    if active or desk.caller is None or not desk.caller.may(ASK):
        return False
    if snapshot.created_at is None:
        return True
    try:
        desk.workspace.check_ready(thread_id_of(snapshot), snapshot=snapshot)
    except UserError:
        return False
    return True


def _card(desk: Desk, review: Review) -> Any:
    """The card of a review with its bar, as on its own page, without what the thread shows around it anyway."""
    workspace = desk.workspace
    card = workspace.show(review["id"])
    card = replace(card, review=desk.read(card.review))
    tool = review["action"]["tool"]
    spec = spec_of(workspace.toolbox_of(review), tool) if tool else None
    item = item_of(
        card, Around(spec=spec, roles_above=workspace.roles_above(), user=workspace.user), desk.say, desk.now
    )
    item = replace(item, conversation=[], older=0, path=[], graph=None)
    return desk.part(
        "item/review.html",
        item=item,
        inline=True,
        said=None,
        next_id=IN_THREAD,
        next="",
        here=thread_href(review["thread_id"]),
        fields=item.fields,
        held={"type": "", "chip": "", "note": "", "message": "", "reason": ""},
        error="",
        run=None,
        answer=[],
        check=None,
        checked=[],
        makes_check=False,
    )
