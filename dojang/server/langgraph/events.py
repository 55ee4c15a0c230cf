"""The events of a thread, the newer form of LangGraph's clients: one stream for all of its runs, by channel.

A number (``seq``) is the run's number and the event's within it, so any process can go on after any of them. The stream
stays open from run to run, until its reader goes.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from langgraph_sdk.stream.subscription import matches_subscription
from pydantic import BaseModel, ConfigDict, Field

from dojang.server.langgraph.answers import Answer
from dojang.server.langgraph.document import EVENTS, REFUSALS
from dojang.server.langgraph.inputs import NotTaken
from dojang.server.langgraph.sse import BEAT_S, Following
from dojang.server.langgraph.threads import AtThreads
from dojang.server.programs import ProgramRoute
from dojang.server.work import Order, Row, Work
from dojang.server.work.events import Ending
from dojang.server.work.plain import GRAPH, dumps, interrupt_form
from dojang.server.work.protocol import PREFIX, params
from dojang.workspace import Workspace
from state import DojangError

router = APIRouter(tags=["langgraph runs"], route_class=ProgramRoute, responses=REFUSALS, default_response_class=Answer)

_BITS: Final = 22
_LAST: Final = (1 << _BITS) - 1
"""The number of a run's end; pauses come just before it."""
_MOST_PAUSES: Final = 1_000
WAIT_S: Final = 2.0
"""How often a stream in which nothing runs looks for runs that another process has accepted."""


class EventStreamIn(BaseModel):
    """Which events are wanted. ``since``: only those after this number."""

    model_config = ConfigDict(extra="ignore")

    channels: list[str] = Field(max_length=100)
    namespaces: list[list[str]] | None = Field(None, max_length=1000)
    depth: int | None = Field(None, ge=0, le=1000)
    since: Annotated[int, Field(ge=0, le=2**53)] | None = None

    def wants(self, event: dict[str, Any]) -> bool:
        """Whether an event is among them, by the rule that the clients use as well."""
        asked: Any = self.model_dump(exclude_none=True)
        found: Any = event
        return matches_subscription(found, asked)


def before_run(number: int) -> int:
    """The ``seq`` just before everything of a run."""
    return number << _BITS


@router.post("/threads/{thread_id}/stream/events", response_class=StreamingResponse, responses=EVENTS)
async def events(threads: AtThreads, thread_id: str, asked: EventStreamIn) -> Response:
    """Follow a thread from run to run: its runs that are under way, those to come, and what waits for a person."""
    await run_in_threadpool(threads.check, thread_id)
    if asked.since is not None and asked.since >> _BITS > await run_in_threadpool(threads.work.rows.newest):
        raise NotTaken(f"since {asked.since} is no number of an event of this server; read the thread's state instead")
    told = ThreadEvents(threads.workspace, threads.work, thread_id, asked)
    return Following(told.all(), {"cache-control": "no-store"})


class ThreadEvents:
    """One reader's stream."""

    def __init__(self, workspace: Workspace, work: Work, thread_id: str, asked: EventStreamIn) -> None:
        self.workspace, self.work, self.thread_id, self.asked = workspace, work, thread_id, asked
        self._spoken = time.monotonic()

    async def all(self) -> AsyncIterator[bytes]:
        """The events as bytes, with a word now and then where there are none; Ending where the server ends."""
        yield b": here\n\n"
        number, after = await run_in_threadpool(self._begin)
        while not self.work.draining:
            rung = self.work.bell.rung
            found = await run_in_threadpool(self.work.rows.next_of, self.thread_id, number)
            if found is None:
                await self.work.bell.after(rung, WAIT_S)
                if beat := self._beat():
                    yield beat
                continue
            row, at = found
            async for told in self._run(row, at, after if at == number else 0):
                yield told
            after, number = 0, at + 1
        raise Ending

    def _begin(self) -> tuple[int, int]:
        """The number of the run to begin with, and the event of it after which to go on."""
        if self.asked.since is not None:
            return self.asked.since >> _BITS, self.asked.since & _LAST
        rows = self.work.rows.of(self.thread_id, limit=100)
        active = [row for row in rows if not row.over]
        if active:
            return self.work.rows.number(active[-1].run_id), 0
        if rows and self._is_news(rows[0]):
            return self.work.rows.number(rows[0].run_id), 0
        return (self.work.rows.number(rows[0].run_id) + 1 if rows else 0), 0

    def _is_news(self, row: Row) -> bool:
        """Whether the newest run, which is over, has something for a reader who does not say what they have seen.

        What waits for a person is always news; the end of a run that a command started, until somebody was told of it.
        """
        if row.status == "interrupted" and self._waiting():
            return True
        return Order.from_json(row.body).protocol and not self.work.is_end_told(row.run_id)

    async def _run(self, row: Row, number: int, after: int) -> AsyncIterator[bytes]:
        base = before_run(number)
        begun = {"event": "running", "graph_name": GRAPH}
        if after == 0 and (told := self._written("lifecycle", params(begun), base + 1, row)):
            yield told
        order = Order.from_json(row.body)
        seen = max(after - 1, 0) if order.protocol else None
        if after < _LAST - _MOST_PAUSES:
            async for event in self.work.follow(row, seen):
                if event is None:
                    told = self._beat()
                elif event.event.startswith(PREFIX):
                    method = event.event.removeprefix(PREFIX)
                    told = self._written(method, orjson.loads(event.data), base + event.n + 1, row)
                else:
                    continue
                if told:
                    yield told
        if after < _LAST:
            for told in await run_in_threadpool(lambda: list(self._end(row.run_id, base, after))):
                yield told

    def _end(self, run_id: str, base: int, after: int) -> Iterator[bytes]:
        """What is told at the end of a run: the pauses that wait for a person, and how it ended."""
        row = self.work.rows.get(run_id)
        newest = self.work.rows.next_of(self.thread_id, (base >> _BITS) + 1) is None
        waiting = self._waiting() if row.status == "interrupted" and newest else []
        for n, pause in enumerate(waiting[:_MOST_PAUSES]):
            seq = _LAST - _MOST_PAUSES + n
            asks = {"interrupt_id": pause["id"], "value": pause["value"], "payload": pause["value"]}
            told = self._written("input.requested", params(asks), base + seq, row)
            if seq > after and told:
                yield told
        error = (row.error or {}).get("message") or ("the run took too long" if row.status == "timeout" else "")
        if row.status == "success":
            how: dict[str, Any] = {"event": "completed"}
        elif row.status == "interrupted" and not row.stop:
            how = {"event": "interrupted"}
        else:
            how = {"event": "failed", "error": error or "the run was cancelled"}
        if told := self._written("lifecycle", params(how | {"graph_name": GRAPH}), base + _LAST, row):
            self.work.note_end_told(run_id)
            yield told

    def _waiting(self) -> list[dict[str, Any]]:
        try:
            snapshot = self.workspace.look(self.thread_id)
        except DojangError:
            return []
        return [interrupt_form(interrupt) for task in snapshot.tasks for interrupt in task.interrupts]

    def _written(self, method: str, about: dict[str, Any], seq: int, row: Row) -> bytes:
        event = {"type": "event", "event_id": f"{row.run_id}:{seq}", "seq": seq, "method": method, "params": about}
        if not self.asked.wants(event):
            return b""
        self._spoken = time.monotonic()
        return b"id: %d\nevent: message\ndata: %s\n\n" % (seq, dumps(event))

    def _beat(self) -> bytes:
        if time.monotonic() < self._spoken + BEAT_S:
            return b""
        self._spoken = time.monotonic()
        return b": still there\n\n"
