"""A small HTTP server with Qdrant's routes over a collection in memory: what the client sends is real.

It stands for a server in so far as routes and bodies are Qdrant's own models. Indexes, consistency and load are not
tested.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

POINTS: TypeAdapter[Any] = TypeAdapter(list[models.PointStruct])
QUERIES: TypeAdapter[Any] = TypeAdapter(list[models.QueryRequest])
DENSE: TypeAdapter[Any] = TypeAdapter(dict[str, models.VectorParams])
SPARSE: TypeAdapter[Any] = TypeAdapter(dict[str, models.SparseVectorParams])
PAYLOAD: TypeAdapter[Any] = TypeAdapter(bool | models.PayloadSelectorExclude)


@dataclass
class FakeServer:
    """``fail``: the status of every answer from now on; ``indexed``: the payload keys that were indexed."""

    engine: QdrantClient = field(default_factory=lambda: QdrantClient(":memory:"))
    fail: int = 0
    indexed: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, body: Any) -> Any:
        """The result of one request."""
        match = re.fullmatch(r"/collections/(\w+)(?:/(.*))?", path.split("?")[0])
        assert match is not None, path
        what = (match[2] or "").replace("/", "_")
        return getattr(self, f"_{method.lower()}_{what}")(match[1], body)

    def _get_exists(self, name: str, body: Any) -> Any:
        return {"exists": self.engine.collection_exists(name)}

    def _put_(self, name: str, body: Any) -> Any:
        sparse = SPARSE.validate_python(body.get("sparse_vectors") or {})
        dense = DENSE.validate_python(body.get("vectors") or {})
        return self.engine.create_collection(name, vectors_config=dense, sparse_vectors_config=sparse)

    def _delete_(self, name: str, body: Any) -> Any:
        return self.engine.delete_collection(name)

    def _put_index(self, name: str, body: Any) -> Any:
        self.indexed.append(body["field_name"])
        return {"operation_id": 0, "status": "completed"}

    def _put_points(self, name: str, body: Any) -> Any:
        return self.engine.upsert(name, POINTS.validate_python(body["points"]))

    def _post_points(self, name: str, body: Any) -> Any:
        return self.engine.retrieve(name, body["ids"], with_payload=True)

    def _post_points_scroll(self, name: str, body: Any) -> Any:
        chosen = PAYLOAD.validate_python(body.get("with_payload", True))
        points, offset = self.engine.scroll(name, limit=body["limit"], offset=body.get("offset"), with_payload=chosen)
        return {"points": points, "next_page_offset": offset}

    def _post_points_query_batch(self, name: str, body: Any) -> Any:
        return self.engine.query_batch_points(name, QUERIES.validate_python(body["searches"]))

    def _post_points_count(self, name: str, body: Any) -> Any:
        return self.engine.count(name)

    def _post_points_delete(self, name: str, body: Any) -> Any:
        chosen = body["points"] if "points" in body else models.Filter.model_validate(body["filter"])
        return self.engine.delete(name, chosen)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


@contextmanager
def serving() -> Iterator[FakeServer]:
    """The server on a free port of the loopback."""
    fake = FakeServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            fake.keys.add(self.headers.get("api-key") or "")
            with fake.lock:
                result = None if fake.fail else _plain(fake.answer(self.command, self.path, body))
            raw = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
            self.send_response(fake.fail or 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_PUT = do_POST = do_DELETE = _reply

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        fake.engine.close()
