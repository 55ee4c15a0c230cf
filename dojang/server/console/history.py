"""How a thread went: its checkpoints with what each changed, the graph, and what can be done with the whole of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.going_back import UnknownCheckpoint, config_of, copy_at, go_back
from dojang.server.clean import pretty_json
from dojang.server.console.addresses import thread_href
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.drawing import drawing_of
from dojang.server.console.spoken import lines_of, title_of
from dojang.server.console.timeline import moments_of
from dojang.workspace import UnknownThread
from state import Conflict, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
ROWS: Final = 30  # checkpoints on one page
TURN: Final = 60
"""Checkpoints that are looked at for the way of the newest turn."""


@dataclass(frozen=True)
class Refused:
    """What could not be done with a thread, and why."""

    what: str
    error: str
    at: str = ""  # the checkpoint


@router.get("/threads/{thread_id}/history")
def history(desk: AtDesk, thread_id: str, before: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The time line, newest first."""
    return history_page(desk, thread_id, before=before)


def history_page(
    desk: Desk, thread_id: str, *, before: str = "", status: int = 200, refused: Refused | None = None
) -> HTMLResponse:
    """The page; with ``refused``, saying why something was not done."""
    workspace = desk.workspace
    parts, newest = workspace.parts, workspace.state(thread_id)
    run = workspace.thread(thread_id, seen=newest)
    start = config_of(thread_id, before) if before else None
    found = list(islice(parts.reader.get_state_history(config_of(thread_id), before=start), ROWS + 1))
    newest_id = str(newest.config["configurable"].get("checkpoint_id", ""))
    # A seeded check that somebody is still to decide looks like any other thread.
    secret = run.status == "paused" and parts.checks.knows(thread_id)
    moments = moments_of(found, newest_id, desk.say, hidden=("adapter", "spent") if secret else ())
    graph = parts.reader.get_graph()
    way = [name for step in _turn(desk, thread_id) for name in dict.fromkeys(step) if not name.startswith("__")]
    if run.status == "done":  # it stands at none of them
        way.append(desk.say("end").unescape())
    context: dict[str, Any] = {
        "run": run,
        "thread_id": thread_id,
        "href": thread_href(thread_id),
        "title": title_of(lines_of(newest.values.get("messages") or []), desk.say),
        "moments": moments[:ROWS],
        "older": f"{thread_href(thread_id)}/history?before={moments[ROWS - 1].id}" if len(moments) > ROWS else "",
        "adapter": "" if secret else run.adapter,
        "graph": drawing_of([(e.source, e.target) for e in graph.edges], list(graph.nodes), way, desk.say),
        "about": pretty_json(about) if (about := parts.about.of(thread_id)) else "",
        "kept_out": parts.prompts.read(thread_id).out,
        "owner": workspace.owner(thread_id),
        "refused": Refused(refused.what, desk.say.told(refused.error), refused.at) if refused else None,
    }
    return desk.page("threads/history.html", section="threads", status=status, **context)


def _turn(desk: Desk, thread_id: str) -> list[list[str]]:
    """What came next at each checkpoint of the newest turn, oldest first; at the end of it, what was last."""
    way: list[list[str]] = []
    for step in sorted(desk.workspace.history(thread_id, limit=TURN), key=lambda s: s.number):
        way = [step.next] if step.source == "input" else [*way, step.next]
    return way


@router.post("/threads/{thread_id}/fork")
def fork(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Go on from an older checkpoint: in this thread where nothing came of what is left out, or in a copy of it."""
    checkpoint_id, workspace = form.get("checkpoint", ""), desk.workspace
    workspace.thread(thread_id)
    target = thread_id
    try:
        if form.get("how") == "here":
            _check_idle(desk, thread_id)
            go_back(workspace.parts, thread_id, checkpoint_id, workspace.user)
        else:
            target = f"th_{secrets.token_hex(5)}"
            copy_at(workspace.parts, thread_id, checkpoint_id, target, workspace.user)
    except UserError as error:
        refused = Refused("fork", str(error), checkpoint_id)
        return history_page(desk, thread_id, status=_status(error), refused=refused)
    return RedirectResponse(thread_href(target) + "#now", status_code=303)


@router.post("/threads/{thread_id}/training")
def training(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Keep a thread out of training, or let it in again."""
    desk.workspace.keep_out(thread_id, out=form.get("out") == "yes")
    return RedirectResponse(thread_href(thread_id) + "/history#training", status_code=303)


@router.post("/threads/{thread_id}/delete")
def delete(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Delete a thread whose id was typed; 409 while something waits or is under way."""
    desk.workspace.thread(thread_id)
    try:
        if form.get("typed", "").strip() != thread_id:
            raise UserError(f"type the id of the thread to delete it: {thread_id}; nothing was deleted")
        _check_idle(desk, thread_id)
        desk.workspace.delete_thread(thread_id)
    except UserError as error:
        return history_page(desk, thread_id, status=_status(error), refused=Refused("delete", str(error)))
    work = desk.request.app.state.work
    for row in work.rows.of(thread_id, limit=1_000):
        work.forget(row.run_id)
    return RedirectResponse("/threads", status_code=303)


def _check_idle(desk: Desk, thread_id: str) -> None:
    if desk.request.app.state.work.rows.busy(thread_id):
        raise Conflict(f"thread {thread_id} has runs that are not over; cancel them first")


def _status(error: UserError) -> int:
    if isinstance(error, UnknownThread | UnknownCheckpoint):
        return 404
    return 409 if isinstance(error, Conflict) else 400
