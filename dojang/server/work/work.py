"""The runs that a server has accepted: taken in, worked on by threads, followed by readers, drained at the end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from dojang.observing.tracing import traceparent
from dojang.server.hooks.posting import TIMEOUT_S
from dojang.server.work.base import Rows
from dojang.server.work.ending import last_words
from dojang.server.work.events import LIFE, Bell, Channel, Channels, Event
from dojang.server.work.here import Here
from dojang.server.work.hooks import Hooks
from dojang.server.work.order import Order
from dojang.server.work.plain import dumps
from dojang.server.work.postgres.channel import SharedChannel
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.postgres.shared import Shared
from dojang.server.work.postgres.tables import setup
from dojang.server.work.postgres.tidying import PgTidier
from dojang.server.work.row import Row, Strategy, check_room
from dojang.server.work.rows import RunRows
from dojang.server.work.tidying import FileTidier, Keep, Tidier
from dojang.server.work.worker import Worker
from dojang.workspace import Workspace
from state import PassingFault, UserError

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""How often an idle worker looks for what it was not told of: rows of other processes, rows whose time has come."""
FOLLOW_S: Final = 2.0
"""How often a reader to whom nothing comes looks whether another process has ended the run, or it has gone itself."""
REAP_S: Final = 5.0
SURE_S: Final = 10.0
"""The same where the database tells of what happens elsewhere: only what it did not tell is looked for."""
ENDS: Final = 10_000
DRAIN_S: Final = 30.0
"""How long the end of a server waits for a call that is on its way: cut off, it may be a person's to look into."""
PATIENCE_S: Final = 1.0
"""How long it waits for any other step, and its readers for what that still says. The next start takes it again."""


class Work:
    """Use it as a context manager around serving: without that runs are accepted, and wait.

    Args:
        workspace: whose threads are run.
        workers: runs at a time in this process; as the settings say when None.
        follows: whether runs are accepted and followed here; a process that only carries them out does neither.
        name: of this process, in logs.
    """

    def __init__(
        self, workspace: Workspace, *, workers: int | None = None, follows: bool = True, name: str = "server"
    ) -> None:
        settings, parts = workspace.settings, workspace.parts
        self.workspace, self.follows = workspace, follows
        self.capacity = settings.queue
        self.bell = Bell()  # rings when a run is accepted or over
        self._changed = threading.Condition()
        self._draining = False
        self._left = False
        self._telling = threading.Lock()
        self._accepted = 0
        self._reaped = 0.0
        self._ends_told: OrderedDict[str, None] = OrderedDict()
        self._here = Here()  # runs that this process carries out
        workers = settings.workers if workers is None else workers
        keep = Keep(settings.events_keep_hours, settings.runs_keep_days, settings.runs_keep)
        self._last_words: threading.Timer | None = None
        self.shared: Shared | None = None
        self.rows: Rows
        self.tidier: Tidier
        if (database := parts.sessions.database) is not None:
            setup(database)
            rows = self.rows = PgRows(database)
            self.shared = Shared(
                rows, parts.dsn, carry=self._carry_named, here=self._here, paused=lambda: workspace.paused is not None,
                over=self.bell.ring, catch_up=self._told_over, workers=workers, name=name,
            )  # fmt: skip
            self.channels: Channels = self.shared.channels
            self.tidier = PgTidier(rows, keep, lambda: datetime.now(UTC), parts.backend.exists)
            self._threads = self.shared.threads
        else:
            if workers < 1:
                raise UserError(
                    "DOJANG_WORKERS=0: the sessions are files, whose runs nobody but their server can carry out; give "
                    "it at least 1, or put the sessions into PostgreSQL with DOJANG_SESSIONS=postgres"
                )
            files = self.rows = RunRows(settings.home / "runs.sqlite", keys=parts.session_keys)
            self.channels = Channels(self.rows)
            self.tidier = FileTidier(files.path, keep, lambda: datetime.now(UTC), parts.backend.exists)
            self._threads = [
                threading.Thread(target=self._serve, name=f"dojang-worker-{n}", daemon=True) for n in range(workers)
            ]
        self.hooks = Hooks(workspace, self.rows)
        self.worker = Worker(
            workspace,
            self.rows,
            timeout_s=settings.run_timeout_s,
            draining=lambda: self._draining,
            left=lambda: self._left,
            before_end=self.hooks.keep,
        )

    def __enter__(self) -> Self:
        if self.shared is not None:
            self.shared.start(follows=self.follows)
        else:
            for thread in self._threads:
                thread.start()
        self.hooks.teller.start()
        if self.follows:
            self.tidier.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drain()
        self._wait()
        self.hooks.end(TIMEOUT_S)
        if self.follows:
            self.tidier.__exit__(kind, error, trace)
        if self.shared is not None:
            self.shared.end()
        if not any(thread.is_alive() for thread in self._threads):
            self.rows.close()

    def drain(self) -> None:
        """The server is about to end: take no run, stop those under way between two steps, send their readers away.

        Does not wait for any of it, so that it can be called from an event loop.
        """
        with self._changed:
            if self._draining:
                return
            self._draining = True
            self._changed.notify_all()
        if self.shared is not None:
            self.shared.drain()
        self.bell.ring()
        self.channels.leave(but=set(self._here))
        self._last_words = threading.Timer(PATIENCE_S, self.channels.leave)
        self._last_words.daemon = True
        self._last_words.start()

    @property
    def left(self) -> bool:
        """Whether the end of the server was not waited for by a worker: nothing that it does counts any more."""
        return self._left

    def _wait(self) -> None:
        """Until the workers have stopped, or what they are at may be cut off."""
        last = time.monotonic() + DRAIN_S
        patient = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            while thread.is_alive():
                now = time.monotonic()
                if self.worker.calling():
                    patient = now + PATIENCE_S  # when it has come to its end, that is still to be written down
                if now > min(patient, last):
                    self._left = True  # whatever such a worker comes to: the row is the next start's
                    break
                thread.join(0.05)
        if self._last_words is not None:
            self._last_words.cancel()
        self.channels.leave()

    def ailing(self) -> str:
        """Why no run would be carried out here now; "" where it would."""
        if self._draining:
            return "draining"
        if self.shared is not None:
            return self.shared.ailing()
        alive = sum(thread.is_alive() for thread in self._threads)
        return "" if alive == len(self._threads) else f"{alive} of {len(self._threads)} workers are alive"

    # -- accepting ------------------------------------------------------------------------------------------------

    def accept(
        self,
        thread_id: str,
        requester: str,
        order: Order,
        *,
        strategy: Strategy = "enqueue",
        metadata: dict[str, Any] | None = None,
        after_s: float = 0,
        webhook: str | None = None,
    ) -> Row:
        """Take a run in; it is on the disk on return, and so is that ``webhook`` is to be told of its end.

        Raises:
            Conflict: the thread is busy, and the strategy is ``reject``.
            QueueFull: too many runs wait.
        """
        now = datetime.now(UTC).isoformat()
        row = Row(
            run_id=str(uuid.uuid4()), thread_id=thread_id, requester=requester, status="pending", strategy=strategy,
            body={**order.as_json(), "trace": traceparent()}, metadata=metadata or {}, created_at=now, updated_at=now,
            attempt=0, stop="", error=None,
        )  # fmt: skip
        if self.shared is None:
            self.channel(row)
        ended = self.rows.accept(row, capacity=self.capacity, after_s=after_s, webhook=webhook)
        for run_id in ended:
            self._told_over(run_id)
        self._notify()
        return row

    def check_room(self, thread_id: str, strategy: Strategy) -> None:
        """Raise what ``accept`` would raise now, for whoever has something to do before it."""
        check_room(thread_id, strategy, self.capacity, *self.rows.room(thread_id))

    def stop(self, run_id: str, how: str) -> None:
        """Cancel a run: now if it has not begun, else between two steps. ``how``: interrupt or rollback."""
        self.rows.stop(run_id, how)
        self.hooks.teller.wake()
        if self.rows.get(run_id).over:
            self._told_over(run_id)

    def forget(self, run_id: str) -> None:
        """Delete what is kept of a run that is over."""
        self.rows.delete([run_id])
        self.channels.forget(run_id)

    # -- following ------------------------------------------------------------------------------------------------

    def values(self, row: Row) -> bytes | None:
        """The values with which a run ended, as JSON; None where they are kept no more."""
        if self.shared is not None:
            return self.shared.rows.outcome(row.run_id)
        return self.channel(row).values

    def channel(self, row: Row) -> Channel:
        """The events of a run."""
        kept = Order.from_json(row.body).kept
        before = row.attempt - (row.status == "running")  # how often former processes may have had it
        if kept and not row.over:
            before = 0  # what they have told is in the database
        return self.channels.of(row.run_id, resumable=kept, begins=before * LIFE)

    async def follow(self, row: Row, after: int | None = 0, *, new: bool = False) -> AsyncIterator[Event | None]:
        """The events of a run with a number above ``after``, to its end; None now and then where nothing comes.

        With None for a number: no events, only the end. A number that this run has never had counts as 0. ``new``: the
        row is as :meth:`accept` has just returned it, so nobody has to look what has become of it.

        Raises:
            Ending: the server ends first.
        """
        here = new and self.shared is None and not self._draining
        channel = self.channels.known(row.run_id) if here else None
        if channel is None:  # the file may be locked: no other reader waits for it
            channel = await asyncio.to_thread(self._followed, row)
        if after is not None and after > channel.last:
            after = 0
        looked, every_s = time.monotonic(), 0.0 if self.shared is None else SURE_S
        async for event in channel.follow(after, FOLLOW_S):
            yield event
            if event is None and row.run_id not in self._here and time.monotonic() >= looked + every_s:
                await asyncio.to_thread(self._followed, row)  # another process may have finished it
                looked = time.monotonic()

    def outcome(self, run_id: str) -> Channel | None:
        """The channel of a run that ended in this process, where it has what came of it: its values, or its error."""
        if self.shared is not None:  # another process may have overtaken this one: the row says what counts
            return None
        channel = self.channels.known(run_id)
        whole = channel is not None and channel.closed and (channel.error or channel.values) is not None
        return channel if whole else None

    def _followed(self, row: Row) -> Channel:
        row = self.rows.get(row.run_id)
        if row.over:
            self._told_over(row.run_id)
        channel = self.channel(row)
        if self._draining and row.run_id not in self._here:
            channel.leave()
        return channel

    @property
    def draining(self) -> bool:
        """Whether the server is about to end."""
        return self._draining

    def note_end_told(self, run_id: str) -> None:
        """Somebody who follows the thread has been told how this run ended."""
        self._ends_told[run_id] = None
        while len(self._ends_told) > ENDS:
            self._ends_told.popitem(last=False)

    def is_end_told(self, run_id: str) -> bool:
        """Whether anybody has been told, as far as this process remembers."""
        return run_id in self._ends_told

    def _told_over(self, run_id: str) -> None:
        row = self.rows.get(run_id)
        channel = self.channel(row)
        with self._telling:
            if channel.closed or not row.over or run_id in self._here:  # whose worker tells it
                return
            if isinstance(channel, SharedChannel):
                gap = dumps({"run_id": run_id, "attempt": row.attempt, "gap": True})
                channel.end_here(*last_words(run_id, row.status, row.error), gap=gap)
                return
            if channel.resumable and any(e.event in ("end", "error") for e in channel.after(channel.last - 1)[0]):
                channel.close()
                return
            if channel.gap:
                channel.put("metadata", dumps({"run_id": run_id, "attempt": row.attempt, "gap": True}))
            channel.error = row.error
            channel.put(*last_words(run_id, row.status, row.error))
            channel.close()

    # -- working --------------------------------------------------------------------------------------------------

    def _notify(self) -> None:
        """A run was accepted: one worker has to look, and none that has just looked may miss it."""
        self.bell.ring()
        with self._changed:
            self._accepted += 1
            self._changed.notify()

    def _serve(self) -> None:
        while not self._draining:
            accepted = self._accepted
            try:
                row = self._next()
                if row is not None:
                    self._here.add(row.run_id)
                    try:
                        self._carry(row, self.channel(row))
                    finally:
                        self._here.discard(row.run_id)
                    continue  # the next run of this thread may begin
            except Exception:
                log.exception("a worker stumbled; it goes on")
            with self._changed:
                if not self._draining and self._accepted == accepted:
                    self._changed.wait(LOOK_S)

    def _carry(self, row: Row, channel: Channel) -> None:
        """Carry out a run that was taken."""
        try:
            with self.workspace.parts.observer.running(row, self.rows.get):
                self.worker.run(row, channel)
        finally:
            if self._draining:
                channel.leave()
        self.hooks.teller.wake()
        self.bell.ring()

    def _carry_named(self, run_id: str) -> None:
        """A job names a run: carry it out, where it is one that may begin.

        What goes wrong, the next look puts right: a run that this process holds and does not carry out is taken back.
        """
        assert self.shared is not None
        rows, channels = self.shared.rows, self.shared.channels
        self._here.add(run_id)
        try:
            if self._draining:
                rows.wake(run_id)  # the job ends with this look
            elif not self.workspace.paused and (row := rows.take(run_id)) is not None:
                self._carry(row, channels.to_fill(run_id))
        except PassingFault as away:
            log.warning("run %s waits for the database: %s", run_id, away)
        except Exception:
            log.exception("a worker stumbled; it goes on")
        finally:
            self._here.discard(run_id)
            channels.filled(run_id)

    def _next(self) -> Row | None:
        with self._changed:
            due = time.monotonic() > self._reaped + REAP_S or not self._reaped
            if due:
                self._reaped = time.monotonic()
        if due:
            self.rows.reap()
        return None if self.workspace.paused else self.rows.take()
