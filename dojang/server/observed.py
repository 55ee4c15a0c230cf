"""The outermost layer of a request: its id, its span, its count. Looks at no body, no query and no cookie.

Routes are counted by their template; a request that no route was found for, or that was refused before, has ``none``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dojang.observing import where
from dojang.observing.labels import METHODS, one_of
from dojang.observing.observer import Observer
from dojang.observing.tracing import under

NO_ROUTE: Final = "none"
STREAM: Final = "text/event-stream"


class Observed:
    """The ASGI middleware. ``observer``: gives the one that observes now."""

    def __init__(self, app: ASGIApp, *, observer: Callable[[], Observer]) -> None:
        self.app = app
        self.observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; note what came of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, observer = Headers(scope=scope), self.observer()
        request_id = where.request_id(headers.get("x-request-id"))
        method = one_of(scope["method"], METHODS)
        answer = Answer(observer, request_id, send)
        began = time.monotonic()
        traced: AbstractContextManager[Span | None] = nullcontext()
        if observer.tracing is not None:
            traced = observer.tracing.span(f"{method}", SpanKind.SERVER, **{"http.request.method": method})
        with where.at(request_id=request_id), under(headers.get("traceparent", "")), traced as span:
            try:
                await self.app(scope, receive, answer)
            finally:
                route = template(scope)
                answer.ended()
                if span is not None:
                    _describe(span, method, route, answer.status)
                if observer.metrics is not None:
                    observer.metrics.requests.labels(method, route, str(answer.status)).inc()
                    if not answer.streams:
                        observer.metrics.request_seconds.labels(method, route).observe(time.monotonic() - began)


class Answer:
    """``send`` that puts the request's id on the answer and sees its status."""

    def __init__(self, observer: Observer, request_id: str, send: Send) -> None:
        self.observer, self.request_id, self.send = observer, request_id, send
        self.status = 500  # of one that broke off before it was answered
        self.streams = False

    async def __call__(self, message: Message) -> None:
        """Pass on."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            self.status = message["status"]
            self.streams = headers.get("content-type", "").startswith(STREAM)
            if self.streams and self.observer.metrics is not None:
                self.observer.metrics.sse.inc()
        await self.send(message)

    def ended(self) -> None:
        """Nothing more is sent."""
        if self.streams and self.observer.metrics is not None:
            self.observer.metrics.sse.dec()


def template(scope: Scope) -> str:
    """The route of a request that was answered, as its author wrote it."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if path:
        return str(path)
    return "/static" if str(scope.get("root_path", "")).endswith("/static") else NO_ROUTE


def _describe(span: Span, method: str, route: str, status: int) -> None:
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
