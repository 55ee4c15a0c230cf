"""Server-sent events of a run: numbered, so that a reader that was cut off goes on with ``Last-Event-ID``.

A server that ends before the run does, or loses the database of its sessions, breaks its streams off: without the last
part of the answer, as a lost connection would. Clients take a whole answer for the end of the stream, and come again
after a broken one.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Final

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from dojang.server.work import Row, Work
from dojang.server.work.events import Ending, Event
from state import PassingFault

BEAT_S: Final = 15.0
"""How often a stream in which nothing happens says that it is there."""
FIRST_AND_LAST: Final = ("metadata", "end", "error")
BYE: Final = b": the server ends before the run does; come again with Last-Event-ID\n"
_ID: Final = re.compile(r"(?:([0-9]{1,15})-)?([0-9]{1,15})")


def written(event: Event, number: int | None = None) -> bytes:
    """One event; with the run's ``number`` in its id, where a stream goes over several runs.

    Its data are one line: JSON has no line breaks.
    """
    place = b"%d" % event.n if number is None else b"%d-%d" % (number, event.n)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (place, event.event.encode(), event.data)


def place_of(last_event_id: str | None) -> tuple[int | None, int]:
    """What a reader has seen last: the number of the run (None: it does not say) and of the event (0: none of ours)."""
    found = _ID.fullmatch(last_event_id or "")
    if found is None:
        return None, 0
    return (int(found[1]) if found[1] else None), int(found[2])


def after_of(last_event_id: str | None) -> int:
    """The number of the event that a reader of one run has seen last; 0 where it says none, or none of ours."""
    return place_of(last_event_id)[1]


async def told(
    work: Work, row: Row, after: int, modes: Collection[str] = (), number: int | None = None, *, new: bool = False
) -> AsyncIterator[bytes]:
    """The events of a run as bytes, of these modes (all of the run's, where none is named)."""
    spoken = time.monotonic()
    async for event in work.follow(row, after, new=new):
        if event is not None:
            kind = event.event.partition("|")[0].partition("/")[0]
            if not modes or kind in modes or kind in FIRST_AND_LAST:
                yield written(event, number)
                spoken = time.monotonic()
        elif time.monotonic() > spoken + BEAT_S:
            yield b": still there\n\n"
            spoken = time.monotonic()


class Following(StreamingResponse):
    """A stream of events.

    ``on_leave`` is called where the reader goes before the end; ``bye`` is the last word where the server does.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        headers: dict[str, str],
        on_leave: Callable[[], Awaitable[None]] | None = None,
        *,
        media_type: str = "text/event-stream",
        bye: bytes = BYE,
    ) -> None:
        super().__init__(self._all(chunks), headers=headers, media_type=media_type)
        self._on_leave = on_leave
        self._bye = bye
        self._whole = False

    async def _all(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except PassingFault as fault:  # the server ends, or the database of the sessions is away
            self._whole = True  # it is not the reader who goes
            if self._bye and isinstance(fault, Ending):
                yield self._bye
            raise
        self._whole = True

    async def stream_response(self, send: Send) -> None:
        """Send what there is; where it breaks off, without the last part: so the reader sees that it was cut off."""
        with contextlib.suppress(PassingFault):
            await super().stream_response(send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; then see whether the reader had all of it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._whole and self._on_leave is not None:
                await self._on_leave()
