"""A real HTTP server on the loopback that speaks OpenAI's chat completions, well or badly, as a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Script:
    """What the server answers next. ``requests`` are the bodies it was sent, ``headers`` beside them."""

    message: dict[str, Any] = field(default_factory=lambda: {"role": "assistant", "content": "ok"})
    status: int = 200
    raw: bytes | None = None  # sent instead of a completion
    hold: threading.Event | None = None  # the answer waits for it
    then: list[tuple[str, Any]] = field(default_factory=list)  # (attribute, value) to set after each answer, in turn
    breaks_after: int | None = None  # bytes of an answer after which the connection is closed
    drips: threading.Event | None = None  # the answer comes byte by byte until it is set
    retry_after: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def says(self, text: str) -> None:
        self.message = {"role": "assistant", "content": text}

    def calls(self, name: str, arguments: str) -> None:
        call = {"id": "x", "type": "function", "function": {"name": name, "arguments": arguments}}
        self.message = {"role": "assistant", "content": None, "tool_calls": [call]}


class _Handler(BaseHTTPRequestHandler):
    script: Script

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.script.requests.append(body)
        self.script.headers.append(dict(self.headers))
        if self.script.hold is not None:
            self.script.hold.wait(30)
        try:
            self._answer(body)
        except OSError:
            pass  # the client did not wait

    def _answer(self, body: dict[str, Any]) -> None:
        if self.script.raw is not None:
            self._send(self.script.status, "application/json", self.script.raw)
        elif self.script.status != 200:
            self._send(self.script.status, "application/json", b'{"error": {"message": "sk-secret no", "type": "x"}}')
        elif body.get("stream"):
            self._send(200, "text/event-stream", b"".join(_events(self.script.message)))
        else:
            self._send(200, "application/json", json.dumps(_completion(self.script.message)).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        breaks_after, drips = self.script.breaks_after, self.script.drips
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if kind != "text/event-stream":  # a stream ends with its connection, as it does behind many proxies
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if self.script.retry_after:
            self.send_header("Retry-After", self.script.retry_after)
        self.end_headers()
        if self.script.then:
            setattr(self.script, *self.script.then.pop(0))
        if breaks_after is not None:
            self.wfile.write(data[:breaks_after])
            self.close_connection = True
            return
        if drips is not None:
            while not drips.wait(0.02):
                self.wfile.write(b" ")
        self.wfile.write(data)


@contextmanager
def serve() -> Iterator[Script]:
    script = Script()
    handler = type("Handler", (_Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield script
    finally:
        for event in (script.hold, script.drips):
            if event is not None:
                event.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(message: dict[str, Any]) -> dict[str, Any]:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "toy-1",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def _events(message: dict[str, Any]) -> Iterator[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in (message.get("content") or "")]
    deltas += [{"tool_calls": [{"index": i, **call}]} for i, call in enumerate(message.get("tool_calls") or [])]
    events: list[tuple[list[dict[str, Any]], dict[str, int] | None]] = [
        ([{"index": 0, "delta": delta, "finish_reason": None}], None) for delta in deltas
    ]
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    events.append(([{"index": 0, "delta": {}, "finish_reason": reason}], None))
    events.append(([], {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}))
    for choices, usage in events:
        event = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "toy-1", "choices": choices}
        yield f"data: {json.dumps({**event, 'usage': usage})}\n\n".encode()
    yield b"data: [DONE]\n\n"
