"""``/metrics``, as Prometheus' own parser reads it."""

from __future__ import annotations

from typing import Any

import pytest

from dojang.observing.metrics import Metrics
from dojang.observing.observer import Observer
from dojang.server import create_app
from dojang.server.observed import Observed
from tests.databases import NOT_NEEDED
from tests.dojang.observing.conftest import House
from tests.dojang.server.access.people import People
from tests.dojang.workspaces import workspace_for


def gained(house: House, before: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return {name: value - before.get(name, 0) for name, value in house.numbers().items()}


def test_a_booking_is_counted_from_the_question_to_the_effect(house: House) -> None:
    before = house.numbers()
    thread_id = house.thread()
    house.run(thread_id, "please book a room")
    [(_, review)] = house.workspace.waiting(thread_id)
    decision = {"type": "approve", "digest": review["digest"], "dwell_ms": 4200}
    assert house.client.post(f"/reviews/{review['id']}/decision", json=decision).status_code == 200
    new = gained(house, before)
    tier = str(review["tier"])
    assert new["dojang_runs_total", "paused"] == 1
    assert new["dojang_runs_total", "done"] == 1
    assert new["dojang_accepted_runs_total", "interrupted"] == 1
    assert new["dojang_run_wait_seconds_count",] == 1
    assert new["dojang_reviews_opened_total", "tool", tier] == 1
    assert new["dojang_decisions_total", "http", "approve"] == 1
    assert new["dojang_decision_dwell_seconds_sum",] == pytest.approx(4.2)
    assert new["dojang_tool_calls_total", "done", "book_room"] == 1
    assert new["dojang_node_seconds_count", "review", "paused"] == 1
    assert new["dojang_node_seconds_count", "review", "done"] == 1
    assert new["dojang_run_seconds_count", "done"] == 1
    assert (new["dojang_tokens_total", "input"], new["dojang_tokens_total", "output"]) == (14, 6)
    assert new["dojang_sql_seconds_count", "insert"] > 0
    assert new["dojang_http_requests_total", "POST", "/threads/{thread_id}/runs/wait", "200"] == 1
    assert new["dojang_http_seconds_count", "POST", "/reviews/{review_id}/decision"] == 1


def test_open_reviews_and_the_queue_are_counted_where_they_lie(house: House) -> None:
    thread_id = house.thread()
    house.run(thread_id, "please book a room")
    [(_, review)] = house.workspace.waiting(thread_id)
    fresh = create_app(house.workspace)  # asks anew: what was found counts for some seconds
    standing = [*fresh.state.workspace.parts.observer.metrics.registry.collect()]
    samples = {(s.name, *s.labels.values()): s.value for family in standing for s in family.samples}
    assert samples["dojang_open_reviews", "tool", str(review["tier"])] >= 1
    assert samples["dojang_open_review_oldest_seconds", "tool", str(review["tier"])] >= 0
    assert samples["dojang_queue_runs", "pending"] == 0
    assert samples["dojang_queue_oldest_seconds",] == 0


async def test_a_reader_of_a_stream_is_counted_while_it_reads() -> None:
    observer = Observer(metrics=Metrics(tuple))
    assert observer.metrics is not None
    seen = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        seen.append(open_streams())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        seen.append(open_streams())
        raise ConnectionError("the reader has gone")

    def open_streams() -> float | None:
        assert observer.metrics is not None
        return observer.metrics.registry.get_sample_value("dojang_sse_connections")

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(ConnectionError):
        await Observed(stream, observer=lambda: observer)(scope, send, send)  # type: ignore[arg-type]
    assert [*seen, open_streams()] == [0, 1, 0]
    assert "dojang_http_seconds_count" not in observer.metrics.text().decode()


def test_labels_are_of_closed_sets_whatever_comes(house: House) -> None:
    for path in ("/nowhere/hana", "/threads/hana-kim/runs", "/reviews/hana", "/static/hana.css"):
        house.client.get(path)
    house.client.request("HANA", "/threads")
    names = " ".join(" ".join(name) for name in house.numbers())
    assert "hana" not in names.lower()
    assert ("dojang_http_requests_total", "GET", "none", "404") in house.numbers()
    metrics = house.workspace.parts.observer.metrics
    assert isinstance(metrics, Metrics)
    assert (metrics.tool("book_room"), metrics.tool("a name that a model made up")) == ("book_room", "other")


def test_prometheus_reads_with_a_token_that_opens_nothing_else(house: House, tmp_path: Any) -> None:
    with workspace_for(tmp_path / "home", NOT_NEEDED) as workspace:
        people = People(workspace)
        prometheus = people.client(people.token("prometheus", "monitor"))
        answer = prometheus.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert {prometheus.get(path).status_code for path in ("/reviews", "/threads", "/info", "/docs")} == {403}
        assert people.client().get("/metrics").status_code == 401
        assert people.client(people.token("hana", "manager", "operator")).get("/metrics").status_code == 403
        assert people.client().get("/healthz").json() == {"status": "ok"}


def test_without_numbers_there_are_none(tmp_path: Any) -> None:
    with workspace_for(tmp_path / "home", NOT_NEEDED, metrics=False) as workspace:
        people = People(workspace)
        assert workspace.parts.observer.callbacks == ()
        assert people.client(people.token("prometheus", "monitor")).get("/metrics").status_code == 404
