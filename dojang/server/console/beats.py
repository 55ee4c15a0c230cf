"""What every stream of the console does while nothing happens: say that it is there, and look whether it may be."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson
from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request

from dojang.server.access.callers import address_of, caller_of
from state import DojangError

BEAT_S: Final = 15.0
"""How often a stream in which nothing happens says that it is there, and whether a log-in is over is looked at."""


class Beats:
    """The heartbeat of one stream."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._spoke = self._looked = time.monotonic()

    def spoken(self) -> None:
        """Something was said."""
        self._spoke = time.monotonic()

    def due(self) -> bool:
        """Whether nothing was said for so long that it is time to."""
        return time.monotonic() >= self._spoke + BEAT_S

    def beat(self) -> bytes:
        """A comment, which no reader is told of."""
        self.spoken()
        return b": still there\n\n"

    async def good(self) -> bool:
        """Whether the caller is still the one who came, looked at now and then: a log-in may be over.

        To be asked before anything is said, however much there is to say.
        """
        if time.monotonic() < self._looked + BEAT_S:
            return True
        self._looked = time.monotonic()
        return await run_in_threadpool(self._same)

    def _same(self) -> bool:
        caller = caller_of(self.request)
        doorkeeper = self.request.app.state.doorkeeper
        try:
            now = doorkeeper.caller(self.request.headers, address_of(self.request))
        except DojangError:  # it opens nothing any more, or the provider does not say
            return False
        return now is not None and (now.name, now.roles) == (caller.name, caller.roles)


def sse(event: str, data: dict[str, Any], *, id: str = "") -> bytes:
    """One event. JSON has no line breaks, so its data are one line."""
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"
