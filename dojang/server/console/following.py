"""What happens in a thread, as it happens: the steps in words and the words of the model, by server-sent events.

A page may be closed, or lose its connection: the run belongs to the server's workers. Who comes back with
``Last-Event-ID`` goes on after it; who cannot is given the steps again from the beginning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse

from dojang.server.clean import clean
from dojang.server.console.beats import Beats, sse
from dojang.server.console.desk import AtDesk
from dojang.server.wording import NODES, Say, label
from dojang.server.work import Row, Work
from dojang.server.work.events import Ending, Event

router = APIRouter(include_in_schema=False)
LastEventID = Annotated[str | None, Header(alias="Last-Event-ID")]
SPEAKS: Final = "generate"
"""The node whose words are a draft."""
NOTHING: Final = 204
"""Tells a browser's EventSource not to come again."""


@router.get("/threads/{thread_id}/follow")
async def follow(desk: AtDesk, request: Request, thread_id: str, last_event_id: LastEventID = None) -> Response:
    """The run of a thread that is under way; 204 where there is none."""
    work: Work = request.app.state.work
    active = [row for row in await run_in_threadpool(work.rows.of, thread_id, limit=20) if not row.over]
    if not active:
        return Response(status_code=NOTHING)
    row = active[-1]
    told = Told(row.run_id, desk.say)
    stream = told.all(work, row, after_of(last_event_id, row.run_id, work.channel(row).last), Beats(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def after_of(last_event_id: str | None, run_id: str, last: int) -> int:
    """What a reader has seen of this run; 0 where it has seen another one, or one that began anew."""
    known, _, n = (last_event_id or "").rpartition(":")
    seen = int(n) if known == run_id and n.isascii() and n.isdigit() and len(n) < 16 else 0
    return seen if seen <= last else 0


class Told:
    """From the events of one run to what its page shows."""

    def __init__(self, run_id: str, say: Say) -> None:
        self.run_id, self.say = run_id, say
        self.steps: list[str] = []

    async def all(self, work: Work, row: Row, after: int, beats: Beats) -> AsyncIterator[bytes]:
        """Everything after an event, to the end of the run or of the log-in. What came before is read, not told."""
        if after == 0:
            yield sse("begin", {}, id=f"{self.run_id}:0")
        try:
            async for event in work.follow(row, 0):
                if not await beats.good():
                    yield sse("bye", {})
                    return
                if event is not None:
                    name, data = self.take(event)
                    if name and event.n > after:
                        yield sse(name, data, id=f"{self.run_id}:{event.n}")
                        beats.spoken()
                elif beats.due():
                    yield beats.beat()
        except Ending:
            return  # a browser comes again by itself
        yield sse("over", {})

    def take(self, event: Event) -> tuple[str, dict[str, Any]]:
        """What is told of an event of the run; an empty name for nothing."""
        if event.event == "tasks":
            task = orjson.loads(event.data)
            if "result" in task or str(task.get("name", "")).startswith("__"):
                return "", {}
            self.steps.append(label(self.say, NODES, str(task["name"])))
            return "steps", {"steps": self.steps}
        if event.event == "messages":
            chunk, about = orjson.loads(event.data)
            text = words_of(chunk)
            if text and about.get("langgraph_node") == SPEAKS:
                return "words", {"text": clean(text)}
        return "", {}


def words_of(chunk: Any) -> str:
    """The text of a piece of a message of the model; "" for a call, or a whole message that a node has written."""
    if not isinstance(chunk, dict) or chunk.get("type") != "AIMessageChunk":
        return ""
    content = chunk.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
