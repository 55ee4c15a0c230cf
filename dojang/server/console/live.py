"""``/live``: the counts of the left pane, reviews that changed, who else looks at this one. Server-sent events.

Everything is told as this caller may see it, in their language; texts are cleaned here and set as text by the page.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from dojang.server.clean import clean_tree
from dojang.server.console.beats import Beats, sse
from dojang.server.console.desk import AtDesk, Desk
from dojang.server.console.rows import row_of
from dojang.server.live import COUNT_S, DUE_S, Change, Live
from dojang.server.wording import ago
from state import person_of

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live(
    desk: AtDesk,
    request: Request,
    review: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[int | None, Query(ge=0, le=1 << 50)] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Follow what changes; ``review``: the one that the page shows; ``after``: what it was told of last."""
    hub: Live = request.app.state.live
    if last_event_id and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16:
        after = int(last_event_id)
    newest = await run_in_threadpool(hub.catch_up)
    stream = _told(desk, hub, review, newest if after is None else after, Beats(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _told(desk: Desk, hub: Live, review_id: str, after: int, beats: Beats) -> AsyncIterator[bytes]:
    whose = (desk.workspace.user, desk.workspace.roles)
    counts: dict[str, int] = {}
    counted, here = 0.0, [desk.workspace.user]
    with hub.listening(desk.workspace.user, review_id) as woken:
        yield sse("hello", {}, id=str(min(after, hub.last)))
        if after > hub.last:  # the server began anew meanwhile
            after = hub.last
            yield sse("stale", {})
        while True:
            woken.clear()
            changes, lost = hub.since(after)
            if lost:
                yield sse("stale", {})
            for change in changes:
                after = change.n
                yield sse("review", _said(desk, change), id=str(change.n))
            if lost:
                after = max(after, hub.last)
            if (now := hub.here(review_id) if review_id else here) != here:
                here = now
                me = person_of(desk.workspace.user)
                yield sse("here", {"who": clean_tree([name for name in here if person_of(name) != me])})
            if (wait := counted + COUNT_S - time.monotonic()) <= 0:
                counted, wait = time.monotonic(), DUE_S
                if (fresh := await run_in_threadpool(hub.counts, whose, desk.counted)) != counts:
                    counts = fresh
                    yield sse("counts", {"counts": counts})
                    beats.spoken()
            try:
                await asyncio.wait_for(woken.wait(), wait)
            except TimeoutError:
                if not await beats.good():
                    yield sse("bye", {})
                    return
                if beats.due():
                    yield beats.beat()


def _said(desk: Desk, change: Change) -> dict[str, Any]:
    """A change as a page needs it: words, no markup."""
    row, decision = row_of(desk.read(change.review), desk.say, desk.now, change.progress), change.progress["decision"]
    told: dict[str, Any] = {
        "id": row.id,
        "new": change.new,
        "said": row.said,
        "by": row.said_by,
        "claimed": desk.say("claimed by %(who)s", who=row.claimed).unescape() if row.claimed else "",
        "votes": row.votes,
        "text": "",
    }
    if decision is not None:
        age = ago(desk.say, decision["at"], desk.now)
        told["text"] = desk.say("%(word)s by %(who)s, %(age)s ago", word=row.said, who=row.said_by, age=age).unescape()
    return clean_tree(told)  # type: ignore[no-any-return]
