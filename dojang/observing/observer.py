"""The observer of one home: numbers, spans, or neither. Whoever does something asks it for what goes along.

Off, it has no callbacks, changes nothing of psycopg, and costs a run a few microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.callbacks import BaseCallbackHandler

from dojang.observing import where
from dojang.observing.measuring import Measuring
from dojang.observing.scrubbing import Scrubber
from dojang.observing.spans import Spans
from dojang.observing.tracing import Tracing, under
from state import DojangError

if TYPE_CHECKING:
    from dojang.observing.metrics import Metrics


class Accepted(Protocol):
    """A run that a server took, as ``dojang.server.work`` keeps it."""

    @property
    def run_id(self) -> str:
        """Its id."""
        ...

    @property
    def thread_id(self) -> str:
        """Its thread."""
        ...

    @property
    def status(self) -> str:
        """How far it has got."""
        ...

    @property
    def created_at(self) -> str:
        """When it was accepted; ISO 8601, UTC."""
        ...

    @property
    def attempt(self) -> int:
        """The how-manieth time it is taken."""
        ...

    @property
    def body(self) -> Mapping[str, Any]:
        """What was asked; ``trace``: the traceparent of the request."""
        ...


class Observer:
    """What is observed in one home.

    Args:
        secrets: what must not be in any line, span or answer.
        metrics: numbers, or None.
        tracing: spans, or None.
        tools: the names of the tools that there are.
    """

    def __init__(
        self,
        secrets: Collection[str] = (),
        *,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        tools: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.scrub = Scrubber(secrets)
        self.metrics = metrics
        self.tracing = tracing
        handlers: list[BaseCallbackHandler] = [Spans(tracing, tools)] if tracing is not None else []
        self.callbacks = tuple(handlers if metrics is None else [*handlers, Measuring(metrics)])
        self._undo = ExitStack()

    def start(self) -> None:
        """Hear what is said to PostgreSQL from here on."""
        if self.metrics is not None or self.tracing is not None:
            from dojang.observing.statements import put_in

            self._undo.callback(put_in(self.metrics, self.tracing))

    def stop(self) -> None:
        """Hear nothing more of it."""
        self._undo.close()

    def close(self) -> None:
        """Stop, and send what is left to send."""
        self.stop()
        if self.tracing is not None:
            self.tracing.close()

    def on(self, thread_id: str) -> AbstractContextManager[None]:
        """What is within is done on this thread."""
        return where.at(thread_id=thread_id)

    @contextmanager
    def running(self, row: Accepted, look: Callable[[str], Accepted]) -> Iterator[None]:
        """Carry out an accepted run within it: under the trace of the request that asked for it, counted at its end."""
        if self.metrics is not None and row.attempt == 1:
            waited = datetime.now(UTC) - datetime.fromisoformat(row.created_at)
            self.metrics.wait_seconds.observe(max(0.0, waited.total_seconds()))
        with where.at(thread_id=row.thread_id, run_id=row.run_id), under(str(row.body.get("trace") or "")):
            try:
                yield
            finally:
                self._ended(row, look)

    def _ended(self, row: Accepted, look: Callable[[str], Accepted]) -> None:
        if self.metrics is None:
            return
        try:
            status = look(row.run_id).status
        except DojangError:  # forgotten already
            status = "deleted"
        if status != "pending":  # given back: it goes on later
            self.metrics.accepted.labels(status).inc()
