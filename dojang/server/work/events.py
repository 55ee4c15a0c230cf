"""The events of a run, numbered from 1, for any number of readers. A slow reader holds nobody: it reads from a buffer.

The buffer is bounded; who falls behind by more than it holds goes on with the oldest event that is left, unless the run
is resumable: then what has left the buffer is read from the database.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final, NamedTuple

from dojang.server.work.base import Rows
from state import PassingFault

KEEP_EVENTS: Final = 4_096
KEEP_BYTES: Final = 4 * 1024 * 1024
TURN: Final = 4
"""Events that a reader who is behind is given before others have their turn."""
KEEP_RUNS: Final = 256
KEEP_ALL_BYTES: Final = 64 * 1024 * 1024
"""Runs that are over whose events stay in memory: the last ones, that many and that much."""


LIFE: Final = 1 << 20
"""Events of a run that are not in the database are numbered by process: one that has nothing of a run begins so many
further on for each time that the run was taken, so no number is given twice, and none is below what a reader knows."""


class Ending(PassingFault):
    """The server ends before the run does. The run goes on at the next start, and who follows it can then, too."""

    def __init__(self) -> None:
        super().__init__("the server ends; its runs go on when it starts again")


class Event(NamedTuple):
    """One event: its number, its name, JSON."""

    n: int
    event: str
    data: bytes


class Last(NamedTuple):
    """The last event of a run that is told with its end, as the database keeps it."""

    run_id: str
    n: int
    event: str
    data: bytes


class Channel:
    """The events of one run. ``put`` and ``close`` from the worker, the rest from anywhere."""

    def __init__(
        self,
        run_id: str,
        rows: Rows,
        *,
        resumable: bool,
        begins: int = 0,
        on_close: Callable[[Channel], None] = lambda channel: None,
    ) -> None:
        """``begins``: the number after which events are numbered where none of them is in the database.

        ``on_close`` is told when no more will come.
        """
        self.run_id, self.rows, self.resumable, self._on_close = run_id, rows, resumable, on_close
        kept = self.known() if resumable else 0
        self.last = kept or begins
        self.gap = not kept and begins > 0
        """Whether a former process may have told events that nobody has any more; until something is put."""
        self.closed = False
        self.left = False  # by this server, which ends
        self.values: bytes | None = None  # the state's values at the end of the run, as JSON
        self.error: dict[str, str] | None = None  # how it went wrong, once it is closed
        self._kept: deque[Event] = deque()
        self._bytes = 0
        self._putting = threading.Lock()
        self._lock = threading.Lock()
        self._readers: dict[asyncio.Event, tuple[asyncio.AbstractEventLoop, bool]] = {}
        """Who follows: where they are to be woken, and whether for each event, or for the end alone."""

    def known(self) -> int:
        """The number of the newest event that is in the database when this channel begins."""
        return self.rows.last_event(self.run_id)

    def taken(self, *, again: bool) -> None:
        """A worker of this process is about to put events; ``again``: the run was taken before."""

    @property
    def silent(self) -> bool:
        """Whether whoever follows has to be told first which run this is."""
        return self.last == 0

    def put(self, event: str, data: bytes) -> None:
        """Add an event; what comes after the end is dropped."""
        with self._putting:
            if self.closed:
                return
            if self.resumable:
                self.rows.keep_event(self.run_id, self.last + 1, event, data)
            with self._lock:
                self.last += 1
                self.gap = False
                self._keep(Event(self.last, event, data))
        self._wake()

    def _keep(self, event: Event) -> None:
        self._kept.append(event)
        self._bytes += len(event.data)
        while len(self._kept) > KEEP_EVENTS or (self._bytes > KEEP_BYTES and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().data)

    def over(self, event: str, data: bytes, finish: Callable[[Last | None], None]) -> None:
        """The run is over when ``finish`` has returned: tell it, as its last event."""
        finish(None)
        self.put(event, data)
        self.close()

    def close(self) -> None:
        """No more will come."""
        with self._lock:
            self.closed = True
        self._on_close(self)
        self._wake()

    def leave(self) -> None:
        """What comes of the run comes from another process: readers are sent away when they have what there is."""
        with self._lock:
            self.left = True
        self._wake()

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self._bytes + len(self.values or b"")

    def after(self, n: int) -> tuple[list[Event], bool]:
        """Events with a number above ``n`` that can be had, in order, and whether there will be no others."""
        with self._lock:
            kept = [event for event in self._kept if event.n > n]
            closed = self.closed
        if self.resumable and n < self.last and (not kept or kept[0].n > n + 1):
            if older := [Event(*found) for found in self.rows.events(self.run_id, n)]:
                return older, False  # else they are kept no more
        return kept, closed

    async def follow(self, n: int | None, wait_s: float) -> AsyncIterator[Event | None]:
        """Events above ``n`` as they come, until the channel is closed; None each time nothing came for ``wait_s``.

        Without a number it gives no events and waits for the end. Raises Ending where the server is the first to end.
        """
        woken = asyncio.Event()
        with self._lock:
            self._readers[woken] = asyncio.get_running_loop(), n is not None
        try:
            while True:
                woken.clear()
                left = self.left  # looked at first: what was put before is found
                found, closed = self.after(n) if n is not None else ([], self.closed)
                for event in found:
                    yield event
                    n = event.n
                    if n % TURN == 0:  # let the others have theirs, and hear it if this reader has gone
                        await asyncio.sleep(0)
                if found:
                    continue
                if closed:
                    return
                if left:
                    raise Ending
                try:
                    await asyncio.wait_for(woken.wait(), wait_s)
                except TimeoutError:
                    yield None
        finally:
            with self._lock:
                self._readers.pop(woken, None)

    def _wake(self) -> None:
        """After what there is to see was put where readers look. Who waits for the end is left alone until then."""
        with self._lock:
            over = self.closed or self.left
            readers = [(woken, loop) for woken, (loop, each) in self._readers.items() if each or over]
        for woken, loop in readers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)


class Bell:
    """Wakes readers on event loops from any thread. Who has seen ``rung`` misses nothing that comes after."""

    def __init__(self) -> None:
        self.rung = 0
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def ring(self) -> None:
        """Wake everybody."""
        with self._lock:
            self.rung += 1
            waiting = list(self._waiting.items())
        for woken, loop in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

    async def after(self, rung: int, wait_s: float) -> None:
        """Wait until it rings again after that, or for so long."""
        woken = asyncio.Event()
        with self._lock:
            if self.rung != rung:
                return
            self._waiting[woken] = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(woken.wait(), wait_s)
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.pop(woken, None)


class Channels:
    """The channels of the runs that this process knows."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._lock = threading.Lock()
        self._open: dict[str, Channel] = {}
        self._over: OrderedDict[str, int] = OrderedDict()  # of them, those that are closed, and the bytes of each
        self._held = 0

    def of(self, run_id: str, *, resumable: bool, begins: int = 0) -> Channel:
        """The channel of a run, made where there is none; ``begins`` as :class:`Channel` takes it."""
        with self._lock:
            found = self._open.get(run_id)
            if found is None:
                found = self._open[run_id] = self._made(run_id, resumable=resumable, begins=begins)
            elif run_id in self._over:
                self._over.move_to_end(run_id)
            return found

    def _made(self, run_id: str, *, resumable: bool, begins: int) -> Channel:
        return Channel(run_id, self.rows, resumable=resumable, begins=begins, on_close=self._closed)

    def known(self, run_id: str) -> Channel | None:
        """The channel of a run where there is one; waits for nothing."""
        return self._open.get(run_id)

    def _closed(self, channel: Channel) -> None:
        """Nothing more comes of it: let go of the runs that are over longest. Who reads one of them has it in hand."""
        with self._lock:
            if self._open.get(channel.run_id) is not channel:
                return
            size = channel.size
            self._held += size - self._over.pop(channel.run_id, 0)
            self._over[channel.run_id] = size
            while len(self._over) > KEEP_RUNS or self._held - size > KEEP_ALL_BYTES:  # the newest one always stays
                run_id, size = self._over.popitem(last=False)
                self._held -= size
                del self._open[run_id]

    def leave(self, but: Collection[str] = ()) -> None:
        """This server ends: send the readers of all runs away, ``but`` those of runs that come to their next step."""
        with self._lock:
            found = [channel for run_id, channel in self._open.items() if run_id not in but]
        for channel in found:
            channel.leave()

    def forget(self, run_id: str) -> None:
        """The run is deleted."""
        with self._lock:
            channel = self._open.pop(run_id, None)
            self._held -= self._over.pop(run_id, 0)
        if channel is not None:
            channel.close()
