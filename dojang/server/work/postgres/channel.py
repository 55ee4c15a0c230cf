"""The events of a run that any process may carry out, told from the database, where who carries it out writes them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

from dojang.server.work.base import Kept
from dojang.server.work.events import Channel, Channels, Event, Last
from dojang.server.work.postgres.rows import PgRows

LAST: tuple[str, str] = ("end", "error")


class SharedChannel(Channel):
    """``put`` writes to the database; readers are told what comes out of it. A channel that nobody reads is cheap."""

    rows: PgRows

    def __init__(
        self, run_id: str, rows: PgRows, over: Callable[[], None], on_close: Callable[[Channel], None]
    ) -> None:
        super().__init__(run_id, rows, resumable=True, on_close=on_close)
        self._over = over
        self._given = 0  # the number of the last event that this process has put
        self._read = False
        self._pulling = threading.RLock()

    def known(self) -> int:
        """Nothing yet: see :meth:`begin`."""
        return 0

    @property
    def read(self) -> bool:
        """Whether anybody has asked for its events here."""
        return self._read

    @property
    def silent(self) -> bool:
        """Whether no event of the run was put, here or elsewhere."""
        return self._given == 0

    def taken(self, *, again: bool) -> None:
        """A worker of this process is about to put events, after those that others have put."""
        self._given = self.rows.last_event(self.run_id) if again else 0

    def begin(self) -> None:
        """Somebody wants to read: see how far it is. What comes from here on arrives."""
        with self._pulling:
            if not self._read:
                self.last, event = self.rows.last_word(self.run_id)
                self.closed = event in LAST
                self._read = True
                if self.closed:
                    self._on_close(self)

    def put(self, event: str, data: bytes) -> None:
        """Write an event; what comes after the end is dropped."""
        with self._putting:
            if not self.closed:
                self._given += 1
                self.rows.keep_event(self.run_id, self._given, event, data)

    def over(self, event: str, data: bytes, finish: Callable[[Last | None], None]) -> None:
        """The run is over: told in the transaction that says so."""
        with self._putting:
            self._given += 1
            finish(Last(self.run_id, self._given, event, data))

    def arrive(self, events: Sequence[Kept]) -> None:
        """Events of this process that are in the database."""
        with self._pulling:
            if not self._read:
                return
            if events[0].n <= self.last + 1:
                self._add([Event(kept.n, kept.event, kept.data) for kept in events])
            else:  # others have put some before
                self.pull()

    def pull(self) -> None:
        """See what has come."""
        with self._pulling:
            self.begin()
            while not self.closed and (found := self.rows.events(self.run_id, self.last)):
                self._add([Event(*event) for event in found])

    def end_here(self, event: str, data: bytes, *, gap: bytes) -> None:
        """The run is over, and nobody will say so: tell readers here, under the number that it would have had.

        ``gap``: what is told before, where no event is kept any more.
        """
        with self._pulling:
            self.pull()
            events = [(event, data)] if self.last else [("metadata", gap), (event, data)]
            self._add([Event(self.last + n, *told) for n, told in enumerate(events, 1)])

    def _add(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                if event.n > self.last and not self.closed:
                    self.last = event.n
                    self._keep(event)
                    self.closed = event.event in LAST
        self._wake()
        if self.closed:
            self._on_close(self)
            self._over()


class SharedChannels(Channels):
    """The channels of a process that shares its runs with others. ``over`` is called when one of them has ended."""

    rows: PgRows

    def __init__(self, rows: PgRows, over: Callable[[], None]) -> None:
        super().__init__(rows)
        self._ended = over
        rows.writer.written = self._written

    def _made(self, run_id: str, *, resumable: bool, begins: int) -> Channel:
        return SharedChannel(run_id, self.rows, self._ended, self._closed)

    def of(self, run_id: str, *, resumable: bool, begins: int = 0) -> Channel:
        """The channel of a run for somebody who reads."""
        found = self.to_fill(run_id)
        found.begin()
        return found

    def to_fill(self, run_id: str) -> SharedChannel:
        """The channel of a run for whoever carries it out."""
        found = super().of(run_id, resumable=True)
        assert isinstance(found, SharedChannel)
        return found

    def filled(self, run_id: str) -> None:
        """Nobody puts anything here any more: a channel that nobody reads goes."""
        with self._lock:
            found = self._open.get(run_id)
            if isinstance(found, SharedChannel) and not found.read:
                del self._open[run_id]
                self._held -= self._over.pop(run_id, 0)

    def pull(self, run_ids: Sequence[str]) -> None:
        """There are events of these runs in the database: get those that somebody reads here."""
        with self._lock:
            found = [self._open[run_id] for run_id in run_ids if run_id in self._open]
        for channel in found:
            if isinstance(channel, SharedChannel) and channel.read and not channel.closed:
                channel.pull()

    def followed(self) -> list[str]:
        """The runs whose end readers wait for here."""
        with self._lock:
            return [key for key, one in self._open.items() if isinstance(one, SharedChannel) and not one.closed]

    def _written(self, events: Sequence[Kept]) -> None:
        of: defaultdict[str, list[Kept]] = defaultdict(list)
        for event in events:
            of[event.run_id].append(event)
        with self._lock:
            found = [(self._open.get(run_id), kept) for run_id, kept in of.items()]
        for channel, kept in found:
            if isinstance(channel, SharedChannel):
                channel.arrive(kept)
