"""What a person says in a thread: taken in as a run of the server's workers, so that no page has to wait for it.

A form has an id. What comes twice under it is one message, and one thread: a double click, a page that was sent again
after the connection broke, a browser that asks once more.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.attachments import Given
from dojang.server.console.addresses import thread_href
from dojang.server.console.desk import AtDesk, Desk, Form, FormWithFiles
from dojang.server.console.thread import Unsaid, thread_page
from dojang.server.console.threads import threads_page
from dojang.server.langgraph.caller import work_of
from dojang.server.work import Order, QueueFull, Row
from dojang.server.work.streaming import StreamMode
from state import Conflict, Decision, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
LONGEST: Final = 20_000  # characters of a message
MODES: Final[list[StreamMode]] = ["tasks", "messages-tuple"]
"""Which step begins and ends, and the words of the model as they come."""
_ONE_BY_ONE = threading.Lock()


@router.post("/threads")
def start(desk: AtDesk, form: FormWithFiles) -> Response:
    """Start a thread with a message."""
    key = _key(desk, form)
    thread_id = "th_" + key[:10]
    try:
        accept(desk, thread_id, written(form), key, files=form.files)
    except (UserError, QueueFull) as error:
        return threads_page(desk, status=_status(error), unsaid=Unsaid(text=form.get("text", ""), error=str(error)))
    return RedirectResponse(thread_href(thread_id) + "#now", status_code=303)


@router.post("/threads/{thread_id}/messages")
def go_on(desk: AtDesk, thread_id: str, form: FormWithFiles) -> Response:
    """Send a message on a thread; refused with what was typed while it waits for somebody, or is at work."""
    check_there(desk, thread_id)
    try:
        accept(desk, thread_id, written(form), _key(desk, form), old=True, files=form.files)
    except (UserError, QueueFull) as error:
        unsaid = Unsaid(text=form.get("text", ""), error=str(error))
        return thread_page(desk, thread_id, status=_status(error), unsaid=unsaid)
    return RedirectResponse(thread_href(thread_id) + "#now", status_code=303)


@router.post("/threads/{thread_id}/resume")
def resume(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Go on with a run that was cut off, or release what was decided."""
    check_there(desk, thread_id)
    try:
        release(desk, thread_id)
    except (UserError, QueueFull) as error:
        return thread_page(desk, thread_id, status=_status(error), unsaid=Unsaid(error=str(error)))
    return RedirectResponse(thread_href(thread_id) + "#now", status_code=303)


@router.post("/threads/{thread_id}/stop")
def stop(desk: AtDesk, thread_id: str, form: Form) -> Response:
    """Stop what is under way, between two steps."""
    check_there(desk, thread_id)
    work = work_of(desk.request)
    for row in work.rows.of(thread_id, limit=20):
        if not row.over:
            work.stop(row.run_id, "interrupt")
    return RedirectResponse(thread_href(thread_id) + "#now", status_code=303)


# -- what these have in common ----------------------------------------------------------------------------------------


def check_there(desk: Desk, thread_id: str) -> None:
    """Raise UnknownThread where nothing was ever asked under this id, and nothing is about to be."""
    if not work_of(desk.request).rows.of(thread_id, limit=1):
        desk.workspace.thread(thread_id)


def written(form: Mapping[str, str]) -> str:
    """The message of a form.

    Raises:
        UserError: it is empty, or too long.
    """
    text = form.get("text", "").replace("\r\n", "\n").strip()
    if len(text) > LONGEST:
        raise UserError(f"the message has {len(text):,} characters; at most {LONGEST:,} are taken")
    if not text:
        raise UserError("the message is empty; write a question or a request")
    return text


def accept(desk: Desk, thread_id: str, text: str, key: str, *, old: bool = False, files: Sequence[Given] = ()) -> None:
    """Take a message in, once for each key; ``old``: the thread is there already; ``files`` come with it.

    Raises:
        UserError: a file is not taken.
        Conflict: the thread waits for a decision, or works on something else.
        QueueFull: too many runs wait.
    """
    work, message_id = work_of(desk.request), f"human-{key[:16]}"
    with _ONE_BY_ONE:
        if any((row.body.get("message") or {}).get("id") == message_id for row in work.rows.of(thread_id, limit=100)):
            return
        snapshot = desk.workspace.look(thread_id)
        if any(message.id == message_id for message in snapshot.values.get("messages") or []):
            return
        if old and work.rows.busy(thread_id):
            raise Conflict(f"thread {thread_id} is at work on what was said before; wait for the answer, or stop it")
        if snapshot.created_at is not None:
            desk.workspace.check_ready(thread_id, snapshot=snapshot)
        kept = desk.workspace.attach(thread_id, files) if files else []
        message = {"id": message_id, "content": text} | ({"files": kept} if kept else {})
        order = Order(message=message, modes=MODES)
        work.accept(thread_id, desk.workspace.user, order, strategy="reject")


def release(desk: Desk, thread_id: str, *, after_s: float = 0) -> Row | None:
    """Let the workers go on with a thread; None where they are about to anyway."""
    work = work_of(desk.request)
    with _ONE_BY_ONE:
        if work.rows.busy(thread_id):
            return None
        return work.accept(thread_id, desk.workspace.user, Order(message=None, modes=MODES), after_s=after_s)


def rule(desk: Desk, review_id: str, said: dict[str, Any]) -> Decision:
    """Record a decision that was made on the page of its thread, and let the workers go on when it is final."""
    decision, waits_for = desk.workspace.record(review_id, said, channel="console")
    thread_id = desk.workspace.parts.index.locate(review_id)
    if not waits_for and thread_id is not None:
        until = decision.get("held_until")
        left = (datetime.fromisoformat(until) - desk.now).total_seconds() if until else 0.0
        release(desk, thread_id, after_s=max(0.0, left))
    return decision


def _key(desk: Desk, form: Mapping[str, str]) -> str:
    """What a form's id means for this person. A form without one is new each time."""
    once = form.get("once", "")[:100] or secrets.token_urlsafe(16)
    return hashlib.sha256(f"{desk.workspace.user}\n{once}".encode()).hexdigest()


def _status(error: Exception) -> int:
    if isinstance(error, QueueFull):
        return 429
    return 409 if isinstance(error, Conflict) else 400
