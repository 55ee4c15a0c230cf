"""Runs of a workspace that stands in the tests' process, carried out by four workers on hosts (``tests.hosts.shift``).

The tests of the promises call a workspace, or a command over one, and look at what it gives back. Here a run that they
begin or release is accepted as a server does it, and waited for; the workers of a shift over the test's database carry
it out while they fail. What a person decides is recorded where it was, in the caller's process. Workers have the
settings of the workspace and its time (a clock that a test turns is a file for them).

Sent away is what a worker could do by itself: not the runs of a model, a tool or a graph that a test has made for
itself, or changed, in its own process (``at_home``), and nothing while all runs are paused.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final, Self

from psycopg.conninfo import conninfo_to_dict

from dojang.parts import Parts
from dojang.results import RunResult
from dojang.runs import Runs
from dojang.server.work.order import Order
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.postgres.tables import setup
from dojang.server.work.row import Row
from dojang.watching import OnNode, Watch, watching
from nodes.ports import SystemClock
from state import DojangError
from tests import databases
from tests.dojang.workspaces import Rehearsed, RehearsedParts, environment_of
from tests.hosts.shift import Ground, Shift

NOT_THEIRS: Final = ("DOJANG_HOME", "DOJANG_USER", "DOJANG_ROLES", "DOJANG_UNDO_S", "DOJANG_DATABASE_URL")
"""Settings of whoever asks or decides, which who carries out does not need."""
WAIT_S: Final = 240.0
LOOK_S: Final = 0.03
_begin, _release = Runs.start, Runs.release
_home: list[None] = []


@contextmanager
def at_home() -> Iterator[None]:
    """Within the block nothing is sent away: what is changed in this process is to be seen."""
    _home.append(None)
    try:
        yield
    finally:
        _home.pop()


def sent_away(ground: Ground | None = None) -> AbstractContextManager[object]:
    """Runs are sent away within the block where ``DOJANG_TEST_WORKERS=hosts`` wants it."""
    return Sent(ground).installed() if os.environ.get("DOJANG_TEST_WORKERS") == "hosts" else nullcontext()


class Sent:
    """Sends runs away. ``ground``: whose hosts; None in a process that a test has begun, whose runs join others'."""

    def __init__(self, ground: Ground | None) -> None:
        self.ground = ground
        self.shift: Shift | None = None
        self._now: tuple[str, tuple[tuple[str, str], ...]] | None = None
        self._open = ExitStack()

    @contextmanager
    def installed(self) -> Iterator[Self]:
        """Within the block they are."""
        sent = self

        def start(self: Runs, thread_id: str, given: Any, on_node: OnNode | None, **how: Any) -> RunResult:
            if how.get("adapter") is None and (order := _order(given)) is not None and sent._takes(self, on_node):
                return sent._away(self, thread_id, order, on_node)
            return _begin(self, thread_id, given, on_node, **how)

        def release(self: Runs, thread_id: str, on_node: OnNode | None) -> RunResult:
            self.state(thread_id)
            if sent._takes(self, on_node):
                return sent._away(self, thread_id, Order(message=None, modes=["updates"]), on_node)
            return _release(self, thread_id, on_node)

        Runs.start, Runs.release = start, release  # type: ignore[method-assign]
        databases.leaving.append(self._left)
        try:
            yield self
        finally:
            Runs.start, Runs.release = _begin, _release  # type: ignore[method-assign]
            databases.leaving.remove(self._left)
            self._close()

    def _takes(self, runs: Runs, on_node: OnNode | None) -> bool:
        parts = runs.parts
        plain = type(parts) is RehearsedParts and type(parts._generator) is Rehearsed
        if _home or isinstance(on_node, Watch) or not plain or parts.sessions.database is None:
            return False
        if parts.switch.state() is not None:
            return False
        if self.ground is None:
            return bool(PgRows(parts.sessions.database).workers())
        return True

    def _away(self, runs: Runs, thread_id: str, order: Order, on_node: OnNode | None) -> RunResult:
        assert runs.parts.sessions.database is not None
        setup(runs.parts.sessions.database)
        if self.ground is not None:
            self._see_to_workers(self.ground, runs.parts)
        rows, now = PgRows(runs.parts.sessions.database), datetime.now(UTC).isoformat()
        row = Row(
            run_id=str(uuid.uuid4()), thread_id=thread_id, requester=runs.user, status="pending", strategy="enqueue",
            body=order.as_json(), metadata={}, created_at=now, updated_at=now, attempt=0, stop="", error=None,
        )  # fmt: skip
        rows.accept(row, capacity=1000)
        last, told = time.monotonic() + WAIT_S, 0
        while True:
            found = rows.get(row.run_id)
            for n, event, data in rows.events(row.run_id, told):
                told = n
                for node in json.loads(data) if event == "updates" else ():
                    watching(on_node)(node)
            if found.over:
                break
            assert time.monotonic() < last, f"run {row.run_id} is not over: {found}"
            time.sleep(LOOK_S)
        if found.error is not None:
            raise _error(found.error)
        return runs.result(runs.state(thread_id))

    def _see_to_workers(self, ground: Ground, parts: Parts) -> None:
        ground.figures.sent.add(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0])
        given = {name: value for name, value in environment_of(parts.settings).items() if name not in NOT_THEIRS}
        wanted = (parts.dsn, tuple(sorted(given.items())))
        clock, outbox = ground.folder / "clock", parts.settings.home / "outbox"
        now = "" if isinstance(parts.clock, SystemClock) else parts.clock.now().isoformat()
        clock.with_suffix(".new").write_text(now, encoding="utf-8")
        clock.with_suffix(".new").replace(clock)
        if wanted != self._now:
            self._close()
            outbox.mkdir(parents=True, exist_ok=True)
            given |= {
                "DOJANG_TEST_SILENT": str(ground.folder / "silent"),
                "DOJANG_TEST_CLOCK": str(clock),
                "DOJANG_TEST_OUTBOX": str(outbox),
            }
            self.shift = self._open.enter_context(ground.shift(given, parts.dsn))
            self._now = wanted

    def _left(self, dsn: str) -> None:
        if self._now is not None and _name(self._now[0]) == _name(dsn):
            self._close()

    def _close(self) -> None:
        self._now = self.shift = None
        self._open.close()


def _name(dsn: str) -> Any:
    return conninfo_to_dict(dsn)["dbname"]


def _order(given: Any) -> Order | None:
    """What a new message asks for; None where there is more to it."""
    [message], more = given["messages"], set(given) - {"messages", "filters"}
    if more or not isinstance(message.content, str) or message.additional_kwargs:
        return None
    said = {"id": message.id, "content": message.content}
    return Order(message=said, filters=given.get("filters"), modes=["updates"])


def _error(told: dict[str, str]) -> Exception:
    """What the run has raised, as far as the row says."""
    kinds: list[type[DojangError]] = [DojangError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for kind in kinds:
        if kind.__name__ == told["error"]:
            error = kind.__new__(kind)
            error.args = (told["message"],)
            return error
    return RuntimeError(told)
