"""``/live``: the counts of the left pane, reviews that changed, who else looks at this one. Server-sent events.

Everything is told as this caller may see it, in their language; texts are cleaned here and set as text by the page.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from dojang.server.access.owning import check_sees
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
    thread: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[int | None, Query(ge=0, le=1 << 50)] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Follow what changes; ``review``, ``thread``: what the page shows; ``after``: what it was told of last."""
    hub: Live = request.app.state.live
    if last_event_id and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16:
        after = int(last_event_id)
    if thread:
        await run_in_threadpool(check_sees, request, thread)
    newest = await run_in_threadpool(hub.catch_up)
    stream = _told(desk, hub, (review, thread), newest if after is None else after, Beats(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _told(desk: Desk, hub: Live, shows: tuple[str, str], after: int, beats: Beats) -> AsyncIterator[bytes]:
    """Everything after a change, to the end of the log-in."""
    page, counted = Page(desk, hub, *shows, after=after), 0.0
    with hub.listening(desk.workspace.user, shows[0]) as woken:
        yield sse("hello", {}, id=str(min(after, hub.last)))
        while not hub.ending:
            if not await beats.good():
                yield sse("bye", {})
                return
            woken.clear()
            for told in await run_in_threadpool(lambda: list(page.news())):
                yield told
            if (wait := counted + COUNT_S - time.monotonic()) <= 0:
                counted, wait = time.monotonic(), DUE_S
                if told := await run_in_threadpool(page.counts):
                    yield told
                    beats.spoken()
            try:
                await asyncio.wait_for(woken.wait(), wait)
            except TimeoutError:
                if beats.due():
                    yield beats.beat()


class Page:
    """What one open page was told, and what it is to be told next."""

    def __init__(self, desk: Desk, hub: Live, review_id: str, thread_id: str, *, after: int) -> None:
        self.desk, self.hub, self.review_id, self.thread_id = desk, hub, review_id, thread_id
        self.after, self.moved = after, hub.moved(thread_id)
        self.others: list[str] = []
        self.counted: dict[str, int] = {}

    def news(self) -> Iterator[bytes]:
        """Reviews that changed, the thread, who else is here."""
        changes, lost = self.hub.since(self.after)
        if lost or self.after > self.hub.last:  # more than is kept, or the server began anew
            self.after = self.hub.last
            yield sse("stale", {})
        for change in changes:
            self.after = change.n
            yield sse("review", _said(self.desk, change), id=str(change.n))
        if self.thread_id and (moved := self.hub.moved(self.thread_id)) != self.moved:
            self.moved = moved
            yield sse("thread", {})
        me = person_of(self.desk.workspace.user)
        others = [name for name in self.hub.here(self.review_id) if person_of(name) != me]
        if others != self.others:
            self.others = others
            yield sse("here", {"who": clean_tree(others)})

    def counts(self) -> bytes:
        """The counts of the left pane, where they are others than before; blocks."""
        whose = (self.desk.workspace.user, self.desk.workspace.roles)
        counts = self.hub.counts(whose, self.desk.counted)
        if counts == self.counted:
            return b""
        self.counted = counts
        return sse("counts", {"counts": counts})


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
