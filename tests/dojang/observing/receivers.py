"""Real HTTP servers on the loopback that take what is sent to them: spans over OTLP, runs for LangSmith."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Received:
    """Requests, as (path, headers, body); bodies unpacked."""

    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """All spans that came, in the order in which they ended."""
        found: list[Span] = []
        for path, _, body in self.requests:
            assert path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return found

    def resource(self) -> dict[str, str]:
        """What the first of them say of their sender."""
        first = ExportTraceServiceRequest.FromString(self.requests[0][2]).resource_spans[0].resource
        return {pair.key: pair.value.string_value for pair in first.attributes}


def facts(span: Span) -> dict[str, object]:
    """A span's attributes."""
    told: dict[str, object] = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, str(kind))
        told[pair.key] = [each.string_value for each in value.values] if kind == "array_value" else value
    return told


@contextmanager
def receiver() -> Iterator[Received]:
    """Takes everything, and answers that all is well."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.requests.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PATCH = do_POST

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
