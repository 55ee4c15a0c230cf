"""Log lines: one JSON object each, with the ids of the request, thread, run and trace that they are about."""

from __future__ import annotations

import io
import json
import logging
import threading

import httpx
import pytest

from dojang.observing import where
from dojang.observing.logs import Format, logging_as
from dojang.observing.scrubbing import Scrubber
from dojang.server.serving import bind, server_for, url_of
from tests.dojang.observing.conftest import House
from tests.dojang.observing.test_spans import TRACE, traceparent


def test_what_a_run_logs_bears_its_ids(house: House) -> None:
    thread_id = house.thread()
    house.model.fails = RuntimeError("out of luck")
    asked = "0123456789abcdef"
    answer = house.run(thread_id, "hello", **{"traceparent": traceparent(9), "x-request-id": asked})
    assert answer.headers["x-request-id"] == asked
    [line] = [line for line in house.lines() if line.get("thread_id") == thread_id and line["level"] == "error"]
    [row] = house.client.app.state.work.rows.of(thread_id)  # type: ignore[attr-defined]
    assert (line["logger"], line["run_id"], line["trace_id"]) == (
        "dojang.server.work.worker",
        row.run_id,
        TRACE.format(9),
    )
    assert "out of luck" in line["exception"]
    assert set(line) == {"time", "level", "logger", "message", "thread_id", "run_id", "trace_id", "exception"}


def test_a_request_says_nothing_of_itself_that_is_no_id(house: House) -> None:
    for given in ("hana\nkim", "a name", "x" * 32, ""):
        assert where.request_id(given) != given
    assert where.request_id("0123-4567-89AB") == "0123-4567-89AB"


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_access_log_is_among_the_lines_without_the_query(form: Format) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        with where.at(request_id="0123456789abcdef"):
            await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    written, listener = io.StringIO(), bind("127.0.0.1", 0)
    with logging_as(form, "info", Scrubber(), written):
        server = server_for(app, log_level="info")
        server.config.lifespan = "off"
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            httpx.get(f"{url_of(listener)}rooms?guest=hana")
        finally:
            server.should_exit = True
            thread.join(20)
            listener.close()
    [line] = [line for line in written.getvalue().splitlines() if "/rooms" in line]
    assert "hana" not in written.getvalue()
    if form == "json":
        told = json.loads(line)
        assert (told["logger"], told["level"]) == ("uvicorn.access", "info")
        assert told["message"].endswith('"GET /rooms HTTP/1.1" 204')
        assert told["request_id"] == "0123456789abcdef"
    else:
        assert line.endswith('"GET /rooms HTTP/1.1" 204 [request_id=0123456789abcdef]')


def test_afterwards_logging_is_as_it_was() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    with logging_as("json", "error", Scrubber(), io.StringIO()):
        assert (list(root.handlers), root.level) != before
    assert (list(root.handlers), root.level) == before
