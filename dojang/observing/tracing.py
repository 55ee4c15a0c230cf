"""Spans over OTLP, by OpenTelemetry's own SDK and its own ``OTEL_*`` variables. Needs the extra ``otel``.

The provider is ours, not the process's: what other libraries trace stays their business, and ours goes where we say.
A span never has the text of an exception: it may repeat what somebody said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dojang.observing import where
from state import UserError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

NAME: Final = "dojang"
_W3C: Final = TraceContextTextMapPropagator()
Value = str | int | list[str]


class Tracing:
    """Begins spans and sends them; close it to send the last ones."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self.provider = provider
        self.tracer: Tracer = provider.get_tracer(NAME, version)

    @classmethod
    def start(cls, version: str, exporter: SpanExporter | None = None) -> Tracing:
        """With the exporter that ``OTEL_EXPORTER_OTLP_*`` describe, unless one is given.

        Raises:
            UserError: the extra is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise UserError("DOJANG_TRACES needs OpenTelemetry's SDK: pip install 'dojang[otel]'") from None
        resource = Resource.create({SERVICE_VERSION: version})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # neither variable names it
            resource = resource.merge(Resource({SERVICE_NAME: NAME}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        return cls(provider, version)

    def close(self) -> None:
        """Send what is left."""
        self.provider.shutdown()

    @contextmanager
    def span(self, name: str, kind: SpanKind = SpanKind.INTERNAL, **about: Value) -> Iterator[Span]:
        """A span around what is within it, under whatever span is current here."""
        span = self.begin(name, about, kind)
        token = context.attach(trace.set_span_in_context(span))
        try:
            yield span
        except BaseException as error:
            failed(span, error)
            raise
        finally:
            context.detach(token)
            span.end()

    def begin(self, name: str, about: Mapping[str, Value], kind: SpanKind = SpanKind.INTERNAL) -> Span:
        """A span with the ids that are known here; whoever begins it ends it."""
        ids = {f"{NAME}.{key}": value for key, value in where.ids().items() if key != "trace_id"}
        return self.tracer.start_span(name, kind=kind, attributes={**ids, **about})


@contextmanager
def under(traceparent: str) -> Iterator[None]:
    """Spans within have this W3C ``traceparent`` as their parent; with "", or one that is none, they begin a trace."""
    token = context.attach(_W3C.extract({"traceparent": traceparent}, context.Context()))
    try:
        yield
    finally:
        context.detach(token)


def traceparent() -> str:
    """The current span as W3C has it; "" where there is none."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent", "")


def failed(span: Span, error: BaseException) -> None:
    """Note what kind of error ended a span."""
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))
