"""A real HTTP server on the loopback that speaks OpenAI's chat completions, well or badly, as a test tells it.

With ``Script.vllm`` it is as vLLM is: it knows its model and the adapters that it was given, reads those from its own
folders, and forgets them all when it is started anew. Routes, codes and bodies are those of vLLM 0.11 and later
(``serve/lora``, ``openai/models/serving.py``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Vllm:
    """What a vLLM server was started with, and what it was given since."""

    model: str = "toy"
    mounted: dict[str, Path] = field(default_factory=dict)  # a folder as it calls it, and where that is
    updating: bool = True  # VLLM_ALLOW_RUNTIME_LORA_UPDATING
    enable_lora: bool = True
    max_lora_rank: int = 16
    api_key: str = ""
    fails: str = ""  # what the engine says of every adapter
    loaded: dict[str, str] = field(default_factory=dict)  # name to path
    asked: list[tuple[str, str]] = field(default_factory=list)  # (route, name), in order

    def restarted(self) -> None:
        self.loaded.clear()

    def load(self, name: str, path: str) -> tuple[int, bytes]:
        self.asked.append(("load", name))
        if name in self.loaded:
            return _error(400, "InvalidUserInput", f"The lora adapter '{name}' has already been loaded. If you want …")
        if not self.enable_lora:
            return _error(500, "InternalServerError", "LoRA is not enabled. Use --enable-lora to enable LoRA.")
        root, _, last = path.rpartition("/")
        folder = self.mounted.get(root, Path(root)) / last
        if not (folder / "adapter_config.json").is_file():
            return _error(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for {path}")
        rank = json.loads((folder / "adapter_config.json").read_bytes()).get("r", 8)
        if rank > self.max_lora_rank:
            said = f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}."
            return _error(500, "InternalServerError", said)
        if self.fails:
            return _error(500, "InternalServerError", self.fails)
        self.loaded[name] = path
        return 200, f"Success: LoRA adapter '{name}' added successfully.".encode()

    def unload(self, name: str) -> tuple[int, bytes]:
        self.asked.append(("unload", name))
        if self.loaded.pop(name, None) is None:
            return _error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        return 200, f"Success: LoRA adapter '{name}' removed successfully.".encode()

    def models(self) -> bytes:
        cards: list[dict[str, Any]] = [{"id": self.model, "object": "model", "root": self.model, "parent": None}]
        cards += [{"id": n, "object": "model", "root": p, "parent": self.model} for n, p in self.loaded.items()]
        return json.dumps({"object": "list", "data": cards}).encode()


def _error(status: int, kind: str, said: str) -> tuple[int, bytes]:
    body = {"error": {"message": said, "type": kind, "param": None, "code": status}}
    return status, json.dumps(body).encode()


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
    location: str = ""  # where an answer of 3xx points
    ends: str = ""  # the finish reason, where it is another one
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10})
    repeats: bool = False  # a stream tells its usage with every piece, and its end twice
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    vllm: Vllm | None = None

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
        if self.script.vllm is not None and (answer := self._of_vllm(self.script.vllm, body)) is not None:
            self._send(answer[0], "application/json", answer[1])
            return
        if self.script.hold is not None:
            self.script.hold.wait(30)
        try:
            self._answer(body)
        except OSError:
            pass  # the client did not wait

    def do_GET(self) -> None:
        vllm = self.script.vllm
        if vllm is None or self.path != "/v1/models":
            self._send(404, "application/json", b'{"detail": "Not Found"}')
            return
        self._send(*((200, "application/json", vllm.models()) if self._known(vllm) else _UNAUTHORIZED))

    def _known(self, vllm: Vllm) -> bool:
        return not vllm.api_key or self.headers.get("Authorization") == f"Bearer {vllm.api_key}"

    def _of_vllm(self, vllm: Vllm, body: dict[str, Any]) -> tuple[int, bytes] | None:
        """What is answered before a model speaks; None: one of the loaded speaks."""
        route = self.path.removeprefix("/v1/")
        if not self._known(vllm):
            return _UNAUTHORIZED[0], _UNAUTHORIZED[2]
        if route in ("load_lora_adapter", "unload_lora_adapter"):
            self.script.requests.pop()  # those are of conversations
            if not vllm.updating:
                return 404, b'{"detail":"Not Found"}'
            name = body["lora_name"]
            return vllm.load(name, body["lora_path"]) if route.startswith("load") else vllm.unload(name)
        vllm.asked.append(("chat", body["model"]))
        if body["model"] in (vllm.model, *vllm.loaded):
            return None
        return _error(404, "NotFoundError", f"The model `{body['model']}` does not exist.")

    def _answer(self, body: dict[str, Any]) -> None:
        if self.script.raw is not None:
            self._send(self.script.status, "application/json", self.script.raw)
        elif self.script.status != 200:
            self._send(self.script.status, "application/json", b'{"error": {"message": "sk-secret no", "type": "x"}}')
        elif body.get("stream"):
            self._send(200, "text/event-stream", b"".join(_events(self.script)))
        else:
            speaks = "toy-1" if self.script.vllm is None else body["model"]
            self._send(200, "application/json", json.dumps(_completion(self.script, speaks)).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        breaks_after, drips = self.script.breaks_after, self.script.drips
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if kind != "text/event-stream":  # a stream ends with its connection, as it does behind many proxies
            self.send_header("Content-Length", str(len(data)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        if self.script.location:
            self.send_header("Location", self.script.location)
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


_UNAUTHORIZED = (401, "application/json", b'{"error": "Unauthorized"}')


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


def _reason(script: Script) -> str:
    return script.ends or ("tool_calls" if script.message.get("tool_calls") else "stop")


def _completion(script: Script, speaks: str) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": speaks,
        "choices": [{"index": 0, "message": script.message, "finish_reason": _reason(script)}],
        "usage": script.usage,
    }


def _events(script: Script) -> Iterator[bytes]:
    message, each = script.message, script.usage if script.repeats else None
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in (message.get("content") or "")]
    deltas += [{"tool_calls": [{"index": i, **call}]} for i, call in enumerate(message.get("tool_calls") or [])]
    events: list[tuple[list[dict[str, Any]], Any]] = [
        ([{"index": 0, "delta": delta, "finish_reason": None}], each) for delta in deltas
    ]
    end = ([{"index": 0, "delta": {}, "finish_reason": _reason(script)}], each)
    events += [end, end] if script.repeats else [end]
    events.append(([], script.usage))
    for choices, usage in events:
        event = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "toy-1", "choices": choices}
        yield f"data: {json.dumps({**event, 'usage': usage})}\n\n".encode()
    yield b"data: [DONE]\n\n"
