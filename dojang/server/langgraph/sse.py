"""Server-sent events of a run: numbered, so that a reader that was cut off goes on with ``Last-Event-ID``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Final

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from dojang.server.work import Row, Work
from dojang.server.work.events import Event

BEAT_S: Final = 15.0
"""How often a stream in which nothing happens says that it is there."""
FIRST_AND_LAST: Final = ("metadata", "end", "error")


def written(event: Event) -> bytes:
    """One event. Its data are one line: JSON has no line breaks."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.n, event.event.encode(), event.data)


def after_of(last_event_id: str | None) -> int:
    """The number that a reader has seen last; 0 where it says none, or none of ours."""
    return int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 16 else 0


async def told(work: Work, row: Row, after: int, modes: Collection[str] = ()) -> AsyncIterator[bytes]:
    """The events of a run as bytes, of these modes (all of the run's, where none is named)."""
    spoken = time.monotonic()
    async for event in work.follow(row, after):
        if event is not None:
            kind = event.event.partition("|")[0].partition("/")[0]
            if not modes or kind in modes or kind in FIRST_AND_LAST:
                yield written(event)
                spoken = time.monotonic()
        elif time.monotonic() > spoken + BEAT_S:
            yield b": still there\n\n"
            spoken = time.monotonic()


class Following(StreamingResponse):
    """A stream of events. ``on_leave`` is called where the reader goes before the end."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        headers: dict[str, str],
        on_leave: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(self._all(chunks), headers=headers, media_type="text/event-stream")
        self._on_leave = on_leave
        self._whole = False

    async def _all(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
        self._whole = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; then see whether the reader had all of it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._whole and self._on_leave is not None:
                await self._on_leave()
