"""One run, carried out: a row becomes calls of the workspace, and what came of it becomes the row's status."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langgraph.types import StateSnapshot

from checkpoints.errors import EffectRunning, SessionsAway, ThreadBusy
from checkpoints.records.leases import beating
from dojang.pausing import Halted
from dojang.results import RunResult
from dojang.server.work.base import LOST, Rows
from dojang.server.work.ending import final_values, last_words
from dojang.server.work.events import Channel
from dojang.server.work.order import Order
from dojang.server.work.plain import dumps
from dojang.server.work.protocol import ProtocolEvents
from dojang.server.work.row import Row, RunStatus
from dojang.server.work.streaming import Streamed
from dojang.watching import Stopped, Watch
from dojang.workspace import Workspace
from nodes.gate import pending_proposals
from state import AgentState, DojangError
from store.database import DatabaseAway
from tools.errors import ToolsAway

log = logging.getLogger(__name__)

BUSY_S: Final = 0.25
"""How long a run waits for a thread that somebody else holds before it is tried again."""
RUNNING_S: Final = 2.0
"""The same, for an effect that another machine is carrying out, or was when nothing more was heard of it."""
AWAY_MOST: Final = 30
"""Attempts after which a run that meets a database that is away ends as an error: it is not the database, then."""
BeforeEnd = Callable[[Row, RunStatus, dict[str, str] | None, StateSnapshot | None], None]
RUN_ID: Final = "run_id"
"""Member of a checkpoint's metadata: which run wrote it."""


class Worker:
    """Carries out rows. Holds no thread of its own."""

    def __init__(
        self,
        workspace: Workspace,
        rows: Rows,
        *,
        timeout_s: float | None,
        draining: Callable[[], bool],
        left: Callable[[], bool] = lambda: False,
        before_end: BeforeEnd = lambda row, status, error, snapshot: None,
    ):
        """``before_end`` is called before a run's status says that it is over. ``left``: nobody waits any more."""
        self.before_end = before_end
        self.left = left
        self.workspace = workspace
        self.rows = rows
        self.timeout_s = timeout_s
        self.draining = draining
        self._calling: dict[str, bool] = {}  # runs, and whether a call of theirs may be on its way

    def calling(self) -> bool:
        """Whether a call of any run may be on its way, as far as the last step of each says."""
        return any(self._calling.copy().values())

    def run(self, row: Row, channel: Channel) -> None:
        """Carry out a row that this process has taken; what came of it is on the disk before its readers are told."""
        channel.taken(again=row.attempt > 1)
        if channel.silent or (row.attempt > 1 and not channel.resumable):
            gap = {"gap": True} if channel.gap else {}
            channel.put("metadata", dumps({"run_id": row.run_id, "attempt": row.attempt, **gap}))
        try:
            self._run(row, channel)
        except Abandoned:
            log.info("run %s is left to the next start", row.run_id)
        finally:
            self._calling.pop(row.run_id, None)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _run(self, row: Row, channel: Channel) -> None:
        why: list[str] = []
        ends: list[StateSnapshot] = []
        try:
            with beating(lambda: self.rows.beat(row), self.rows.beat_s):
                result = self._go(row, channel, why, ends)
            status: RunStatus = "success" if result.status == "done" else "interrupted"
            repeatable = not Order.from_json(row.body).temporary
            self._end(row, channel, status, repeatable=repeatable, ends=ends)
        except Stopped:
            self._stopped(row, channel, why[-1] if why else "interrupt")
        except (ThreadBusy, Halted):  # as it is after a restart: it is taken up again, when it may be
            self.rows.give_back(row, after_s=BUSY_S)
        except (SessionsAway, DatabaseAway, ToolsAway) as away:  # whoever reaches it first goes on with it
            if not self.rows.shared or row.attempt >= AWAY_MOST:
                self._failed(row, channel, away)
                return
            log.warning("run %s waits for the database: %s", row.run_id, away)
            self.rows.give_back(row, after_s=away.retry_after_s)
        except DojangError as error:
            if isinstance(error, EffectRunning) and self.rows.shared:  # where the holder is gone, until its lease is
                log.warning("run %s waits: %s", row.run_id, error)
                self.rows.give_back(row, after_s=RUNNING_S)
                return
            self._failed(row, channel, error)
        except Exception as error:
            log.exception("run %s on thread %s failed", row.run_id, row.thread_id)
            text = "something went wrong inside; recorded decisions are kept"
            self._end(row, channel, "error", {"error": type(error).__name__, "message": text})

    def _failed(self, row: Row, channel: Channel, error: DojangError) -> None:
        message = self.workspace.parts.observer.scrub(str(error))
        self._end(row, channel, "error", {"error": type(error).__name__, "message": message})

    def _go(self, row: Row, channel: Channel, why: list[str], ends: list[StateSnapshot]) -> RunResult:
        order = Order.from_json(row.body)
        message = order.human(row.requester)
        acting = self.workspace.acting(row.requester, (), decides=False)  # what it decides was recorded when it came
        resumes = message is None or (row.attempt > 1 and self._given(row, message.id or ""))
        self._calling[row.run_id] = resumes  # of a new message there can be no call yet
        watch = self._watch(row, channel, why, ends)
        if resumes:
            return acting.resume(row.thread_id, on_node=watch)
        return acting.send(row.thread_id, cast(HumanMessage, message), filters=order.filters, on_node=watch)

    def _given(self, row: Row, message_id: str, snapshot: StateSnapshot | None = None) -> bool:
        """Whether the thread (its state) has the input already: a run that a stop cut off gives it once."""
        snapshot = snapshot or self.workspace.look(row.thread_id)
        if (snapshot.metadata or {}).get(RUN_ID) == row.run_id:
            return True
        return any(message.id == message_id for message in snapshot.values.get("messages") or [])

    def _watch(self, row: Row, channel: Channel, why: list[str], ends: list[StateSnapshot]) -> Watch:
        """``why`` gets why it was stopped, ``ends`` the states with which it ended.

        A process that was stopped, or cut off, between the taking of a row and the lock of its thread may find that
        another one has had both meanwhile. So it looks again when it has the lock; and between two steps, so as to
        leave the thread to whoever has the row by then.
        """
        order = Order.from_json(row.body)
        streamed = (
            ProtocolEvents(channel.put)
            if order.protocol
            else Streamed(order.modes, channel.put, subgraphs=order.subgraphs)
        )
        until = time.monotonic() + self.timeout_s if self.timeout_s else None

        def stop(values: Mapping[str, Any]) -> bool:
            self._calling[row.run_id] = bool(pending_proposals(cast(AgentState, values)))
            wish = "drain" if self.draining() else self.rows.wish(row.run_id, row.attempt)
            if not wish and until is not None and time.monotonic() > until:
                wish = "timeout"
            # A newer message may not come between a call and its result: where one is on its way, it ends first.
            if not wish or (wish.endswith("-superseded") and self._calling[row.run_id]):
                return False
            why.append(wish)
            return True

        gives = order.message is not None and row.attempt > 1 and not self._calling[row.run_id]

        def before(snapshot: StateSnapshot) -> None:
            nonlocal gives
            late = gives and order.message is not None and self._given(row, order.message["id"], snapshot)
            gives = False  # after that it is
            if late:
                why.append(LOST)
                raise Stopped("somebody else has gone on with this run")
            if stop(snapshot.values):
                raise Stopped("the run is not to go on, or somebody else has gone on with it")

        return Watch(
            modes=streamed.graph_modes(),
            on_event=streamed.take,
            stop=stop,
            metadata={RUN_ID: row.run_id},
            callbacks=[*streamed.callbacks(), Silencer(self.draining, why)],
            interrupt_before=order.interrupt_before,
            interrupt_after=order.interrupt_after,
            subgraphs=order.subgraphs or order.protocol,
            on_end=ends.append,
            queued=True,
            before=before,
            again=row.attempt > 1,
        )

    def _stopped(self, row: Row, channel: Channel, why: str) -> None:
        if why in ("drain", LOST):
            self.rows.give_back(row)  # which is nothing where somebody else has it
            return
        if why.startswith("rollback"):
            self._roll_back(row)
        self._end(row, channel, "timeout" if why == "timeout" else "interrupted")

    def _roll_back(self, row: Row) -> None:
        """Take the run's checkpoints out, unless something of it has to stay: an effect, a review, a decision."""
        parts = self.workspace.parts
        with parts.run_lock(row.thread_id, owner=f"{row.requester}, rolling back"):
            values = self.workspace.look(row.thread_id).values
            message = (Order.from_json(row.body).message or {}).get("id")
            begun = values.get("turn") == message
            if begun and any(values.get(key) for key in ("outcomes", "reviews", "decisions")):
                log.info("run %s is not rolled back: it has effects or reviews", row.run_id)
                return
            if message is not None:
                parts.saver.delete_runs_of(row.thread_id, [row.run_id])

    def _end(
        self,
        row: Row,
        channel: Channel,
        status: RunStatus,
        error: dict[str, str] | None = None,
        *,
        repeatable: bool = False,
        ends: Sequence[StateSnapshot] = (),
    ) -> None:
        """``repeatable``: the thread's files say the same; whoever takes the run once more ends it as it is.

        ``ends``: its states at the end, the last one last, where they are known.
        """
        if self.left():  # files may have been closed under it: what it came to says nothing
            raise Abandoned
        snapshot: StateSnapshot | None = None
        try:
            snapshot = ends[-1] if ends else self.workspace.look(row.thread_id)
            channel.values = dumps(final_values(snapshot))
        except DojangError as unreadable:
            log.warning("the end of run %s cannot be read: %s", row.run_id, unreadable)
        self.before_end(row, status, error, snapshot)
        channel.error = error
        channel.over(
            *last_words(row.run_id, status, error),
            lambda last: self.rows.finish(row, status, error, durable=not repeatable, values=channel.values, last=last),
        )
        if Order.from_json(row.body).temporary and status == "success" and snapshot is not None:
            self._tidy(row.thread_id, snapshot)

    def _tidy(self, thread_id: str, snapshot: StateSnapshot) -> None:
        """A thread that was made for one run goes with it, unless something of it has to stay."""
        if any(snapshot.values.get(key) for key in ("outcomes", "reviews", "decisions")):
            return
        try:
            self.workspace.delete_thread(thread_id)
        except DojangError as error:
            log.warning("the temporary thread %s stays: %s", thread_id, error)


class Abandoned(Exception):
    """The server has ended without this run; its row stays as it is, and whoever starts next takes it from there."""


class Silencer(BaseCallbackHandler):
    """Stops a model that speaks, or is about to, when the server ends: its step has written nothing and begins anew."""

    raise_error = True
    run_inline = True

    def __init__(self, draining: Callable[[], bool], why: list[str]) -> None:
        self.draining, self.why = draining, why

    @property
    def ignore_chain(self) -> bool:
        """Steps begin and end without it."""
        return True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """The model is asked."""
        self._look()

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        """It has said a word."""
        self._look()

    def _look(self) -> None:
        if self.draining():
            self.why.append("drain")
            raise Stopped("the server ends; the model is asked again when it starts")
