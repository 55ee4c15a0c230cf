"""The whole application under generated requests: one that begins from its own OpenAPI document, with ids that exist.

Requests go through ASGI to the real application, guards and workers included; only the model follows rules. What would
wait for long is bounded: a stream without an end is left after its first bytes, and a run never waits for its time.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import hypothesis
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation, BaseSchema
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dojang.server import create_app
from dojang.workspace import Workspace
from tests.dojang.server.conftest import BASE

CONFIG: Final = {
    "request-timeout": 300.0,  # of ten seconds otherwise, in which a busy machine does not import what rules look with
    "checks": {
        # What a body means is judged behind its schema: 400 says that, 409 that somebody was first, 429 to wait.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 400, 401, 403, 404, 409, 413, 429]},
        "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429]},
    },
}
Operation = APIOperation[Any, Any, Any, Any]
WITHOUT_END: Final = "/stream/events"
MODES: Final = {"valid": GenerationMode.POSITIVE, "invalid": GenerationMode.NEGATIVE}


class Bounded:
    """Leaves a stream that has no end after its first bytes, as a reader does that goes away."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; end what does not."""
        if scope["type"] != "http" or not scope["path"].endswith(WITHOUT_END):
            await self.app(scope, receive, send)
            return
        begun, streams = asyncio.Event(), False

        async def first(message: Message) -> None:
            nonlocal streams
            if message["type"] == "http.response.start":
                streams = any(value.startswith(b"text/event-stream") for _, value in message["headers"])
            await send(message)
            if streams and message["type"] == "http.response.body":
                begun.set()

        running = asyncio.ensure_future(self.app(scope, receive, first))
        left = asyncio.ensure_future(begun.wait())
        await asyncio.wait({running, left}, return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        if begun.is_set():
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await running


@dataclass
class Surface:
    """The application, its document, and ids that are there: by the name of the parameter of a path."""

    app: FastAPI
    schema: BaseSchema
    http: TestClient
    ids: dict[str, list[str]] = field(default_factory=dict)

    def operations(self) -> list[Operation]:
        """Every operation of the document."""
        found = list(self.schema.get_all_operations())
        return [one.ok() for one in found if isinstance(one, Ok)]

    def fuzz(self, operation: Operation, mode: str, *, examples: int, seed: int) -> int:
        """Send generated requests to one operation, hold every answer against the document; how many were sent."""
        cases = operation.as_strategy(generation_mode=MODES[mode])
        sent = 0

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # to make a failure smaller takes up to five minutes, of each of them
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, real=st.integers(0, 99))
        def send(case: Any, real: int) -> None:
            nonlocal sent
            sent += 1
            self.led_to_what_is_there(case, real)
            case.call_and_validate(headers={"origin": BASE, "accept": "application/json"}, base_url=BASE)

        try:
            with redirect_stdout(io.StringIO()):  # how to try it again, said of what cannot be generated, too
                send()
        except hypothesis.errors.Unsatisfiable:
            return 0  # there is nothing to be wrong in a request without parameters
        return sent

    def led_to_what_is_there(self, case: Any, real: int) -> None:
        """Most requests name something that exists; and no run is asked for a year from now."""
        if real < 80:
            for name in case.path_parameters or {}:
                if known := self.ids.get(name):
                    case.path_parameters[name] = known[real % len(known)]
        bodies = case.body if isinstance(case.body, list) else [case.body]
        for body in bodies:
            if isinstance(body, dict) and isinstance(body.get("after_seconds"), int | float):
                body["after_seconds"] = min(body["after_seconds"], 0)


def surface_of(workspace: Workspace) -> Surface:
    """The application over a workspace; ``ids`` are the caller's to fill. Use its ``app.state.work`` around it."""
    app = create_app(workspace)
    app.add_middleware(Bounded)
    http = TestClient(app, base_url=BASE, headers={"origin": BASE}, raise_server_exceptions=False)
    document = http.get("/openapi.json").json()
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = app
    load_all_checks()
    return Surface(app, schema, http)


@contextmanager
def opened(workspace: Workspace) -> Iterator[Surface]:
    """The application with its workers, over threads, runs and reviews in every state that they have."""
    surface = surface_of(workspace)
    with surface.app.state.work:
        surface.ids = _made(surface.http)
        yield surface


def _made(http: TestClient) -> dict[str, list[str]]:
    """What a request can name: an empty thread, one that answered, one that waits, one that was decided."""
    threads, runs = [], []
    for text in ("", "When is check-out?", "please book a room", "please book a room"):
        thread = http.post("/threads", json={}).json()["thread_id"]
        threads.append(thread)
        if text:
            said = {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": text}]}}
            answer = http.post(f"/threads/{thread}/runs/wait", json=said)
            assert answer.status_code == 200, answer.text
            runs += [run["run_id"] for run in http.get(f"/threads/{thread}/runs").json()]
    decided = {"assistant_id": "dojang", "command": {"resume": {"decisions": [{"type": "approve"}]}}}
    assert http.post(f"/threads/{threads[-1]}/runs/wait", json=decided).status_code == 200
    reviews = [review["id"] for review in http.get("/reviews").json()["items"]]
    states = [http.get(f"/threads/{thread}/state").json()["checkpoint"]["checkpoint_id"] for thread in threads[1:]]
    assert reviews
    assert len(CHECKS.get_all_names()) > 10
    return {
        "thread_id": threads,
        "run_id": runs,
        "review_id": reviews,
        "checkpoint_id": states,
        "assistant_id": ["dojang"],
    }
