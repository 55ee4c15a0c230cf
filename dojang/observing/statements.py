"""Statements to PostgreSQL: how long they take, by their verb. Their text and values are looked at no further.

A subclass of psycopg's cursor, put where the store and the tools take the class of theirs from; connections that are
open already keep the one that they have. ``BEGIN`` and ``COMMIT`` of psycopg's transactions pass no cursor.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
from opentelemetry.trace import SpanKind
from psycopg import sql

import store.database
import tools.once
from dojang.observing.labels import VERBS, one_of
from dojang.observing.metrics import Metrics
from dojang.observing.tracing import Tracing

_LOCK = threading.Lock()
_VERB = re.compile(rb"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*\(?\s*([a-zA-Z]+)", re.DOTALL)


@dataclass(frozen=True)
class Listener:
    """Who is told of every statement."""

    metrics: Metrics | None
    tracing: Tracing | None

    @contextmanager
    def around(self, verb: str) -> Iterator[None]:
        """Within it the statement is carried out."""
        about: dict[str, str] = {"db.system.name": "postgresql", "db.operation.name": verb}
        began = time.monotonic()
        try:
            with self.tracing.span(f"sql {verb}", SpanKind.CLIENT, **about) if self.tracing else nullcontext():
                yield
        finally:
            if self.metrics is not None:
                self.metrics.sql_seconds.labels(verb).observe(time.monotonic() - began)


class Heard(psycopg.Cursor[Any]):
    """A cursor that tells its listeners how long each statement took."""

    listeners: ClassVar[tuple[Listener, ...]] = ()

    def execute(self, query: Any, *args: Any, **how: Any) -> Any:
        """As psycopg has it."""
        with self._heard(query):
            return super().execute(query, *args, **how)

    def executemany(self, query: Any, *args: Any, **how: Any) -> None:
        """As psycopg has it; one statement, however many rows."""
        with self._heard(query):
            super().executemany(query, *args, **how)

    @contextmanager
    def copy(self, statement: Any, *args: Any, **how: Any) -> Iterator[psycopg.Copy]:
        """As psycopg has it: to the end of the COPY, the time of whoever feeds it included."""
        with self._heard(statement), super().copy(statement, *args, **how) as copy:
            yield copy

    @contextmanager
    def _heard(self, query: Any) -> Iterator[None]:
        verb = verb_of(query, self.connection)
        with ExitStack() as around:
            if verb:  # not the empty statement, by which the store sees whether a connection lives
                for listener in self.listeners:
                    around.enter_context(listener.around(verb))
            yield


def put_in(metrics: Metrics | None, tracing: Tracing | None) -> Callable[[], None]:
    """Tell these of the statements of this process from here on; returns what ends that."""
    listener = Listener(metrics, tracing)
    with _LOCK:
        Heard.listeners = (*Heard.listeners, listener)
        store.database.CURSOR = tools.once.CURSOR = Heard

    def take_out() -> None:
        with _LOCK:
            Heard.listeners = tuple(other for other in Heard.listeners if other is not listener)
            if not Heard.listeners:
                store.database.CURSOR = tools.once.CURSOR = psycopg.Cursor

    return take_out


def verb_of(query: Any, connection: psycopg.Connection[Any]) -> str:
    """The first word of a statement, of those that are known; "" of an empty one."""
    if isinstance(query, sql.Composable):
        query = query.as_bytes(connection)
    text = query if isinstance(query, bytes) else str(query).encode("utf-8", "replace")
    if not text.strip():
        return ""
    found = _VERB.match(text)
    return one_of(found[1].decode().lower() if found else "", VERBS)
