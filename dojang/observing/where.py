"""Where in the work this code is: request, thread, run. Log lines and spans take their ids from here.

Context variables: LangGraph and Starlette copy the context into the threads that they start.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from opentelemetry import trace

_GIVEN: Final = re.compile(r"[0-9a-fA-F-]{8,64}")
_IDS: Final[ContextVar[dict[str, str]]] = ContextVar("dojang_where", default={})  # noqa: B039  # never changed in place


@contextmanager
def at(**ids: str) -> Iterator[None]:
    """Everything within is done for these ids: ``request_id``, ``thread_id``, ``run_id``."""
    token = _IDS.set({**_IDS.get(), **ids})
    try:
        yield
    finally:
        _IDS.reset(token)


def ids() -> dict[str, str]:
    """The ids that are known here, by name; with ``trace_id`` within a span."""
    found = _IDS.get()
    span = trace.get_current_span().get_span_context()
    return {**found, "trace_id": f"{span.trace_id:032x}"} if span.is_valid else dict(found)


def request_id(given: str | None) -> str:
    """The id of a request: what the client says, where that is hexadecimal digits and dashes; else a new one."""
    return given if given and _GIVEN.fullmatch(given) else secrets.token_hex(16)
