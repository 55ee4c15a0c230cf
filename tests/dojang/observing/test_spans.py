"""Spans, as a collector gets them over OTLP: who is whose child, across threads and the worker; what they may say."""

from __future__ import annotations

from fastapi.testclient import TestClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from dojang.server import create_app
from tests.dojang.observing.conftest import PLANTED, House
from tests.dojang.observing.receivers import facts
from tests.dojang.server.conftest import BASE
from tests.dojang.workspaces import STAY

TRACE = "4bf92f3577b34da6a3ce929d0e0e47{:02x}"


def traceparent(n: int) -> str:
    return f"00-{TRACE.format(n)}-00f067aa0ba902b7-01"


def tree(spans: list[Span]) -> dict[str, set[str]]:
    """The names of the spans under each name."""
    names = {span.span_id: span.name for span in spans}
    found: dict[str, set[str]] = {}
    for span in spans:
        found.setdefault(names.get(span.parent_span_id, "outside"), set()).add(span.name)
    return found


def test_a_run_is_a_child_of_its_request_down_to_the_statements(house: House) -> None:
    thread_id = house.thread()
    answer = house.run(thread_id, "please book a room", traceparent=traceparent(1))
    assert "__interrupt__" in answer.json()
    spans = house.spans(TRACE.format(1))
    under = tree(spans)
    assert under["outside"] == {"POST /threads/{thread_id}/runs/wait"}
    assert "run" in under["POST /threads/{thread_id}/runs/wait"]
    assert {"node intake", "node retrieve", "node generate", "node comply", "node review"} <= under["run"]
    assert [name for name in under["node retrieve"] if name.startswith("sql ")]
    request = next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert facts(request)["http.response.status_code"] == 200

    [review] = house.workspace.waiting(thread_id)
    run = next(span for span in spans if span.name == "run")
    told = facts(run)
    assert told["dojang.thread_id"] == thread_id
    assert told["dojang.run_id"] in {row.run_id for row in house.client.app.state.work.rows.of(thread_id)}  # type: ignore[attr-defined]
    paused = next(span for span in spans if span.name == "node review")
    assert facts(paused)["dojang.outcome"] == "paused"
    assert paused.status.code == Status.STATUS_CODE_UNSET
    comply = next(span for span in spans if span.name == "node comply")
    assert "dojang.review_ids" not in told
    assert facts(comply)["dojang.review_ids"] == [review[1]["id"]]


def test_what_was_approved_is_a_span_of_its_tool(house: House) -> None:
    thread_id = house.thread()
    house.run(thread_id, "please book a room")
    [(_, review)] = house.workspace.waiting(thread_id)
    body = {"assistant_id": "dojang", "command": {"resume": {"type": "approve", "digest": review["digest"]}}}
    sent = {"traceparent": traceparent(2)}
    answer = house.client.post(f"/threads/{thread_id}/runs/wait", json=body, headers=sent)
    assert answer.status_code == 200, answer.text
    spans = house.spans(TRACE.format(2))
    under = tree(spans)
    assert "tool book_room" in under["node act"]
    assert {"sql select", "sql insert"} <= under["tool book_room"] | under["node act"]
    act = next(facts(span) for span in spans if span.name == "node act")
    assert (act["dojang.tools"], act["dojang.tool_outcomes"]) == (["book_room"], ["done"])
    released = next(facts(span) for span in spans if span.name == "node review")
    assert released["dojang.review_ids"] == [review["id"]]


def test_no_span_has_a_text_an_argument_or_a_secret(house: House) -> None:
    thread_id = house.thread()
    house.model.fails = RuntimeError(f"GIRAFFES ate it: {PLANTED['model key']}")
    house.run(thread_id, "please book a room for CROCODILE", traceparent=traceparent(3))
    spans = house.spans(TRACE.format(3))
    failed = next(span for span in spans if span.name == "node generate")
    assert facts(failed)["error.type"] == "RuntimeError"
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "POST /threads/{thread_id}/runs/wait" in {span.name for span in spans}
    sent = b"".join(body for _, _, body in house.collector.requests)
    words = ["CROCODILE", "GIRAFFES", "please book", str(STAY["guest"]), str(STAY["check_in"]), *PLANTED.values()]
    assert [word for word in words if word.encode() in sent] == []


def test_the_collector_is_told_who_sends_as_its_own_variables_say(house: House) -> None:
    house.client.get("/ok", headers={"traceparent": traceparent(4)})
    assert house.spans(TRACE.format(4))
    assert house.collector.resource()["service.name"] == "dojang"
    assert house.collector.requests[0][1]["x-key"] == PLANTED["collector header"]


def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(house: House) -> None:
    for given in ("", "nonsense", "00-0-0-01", traceparent(5) + "\x00"):
        house.client.get("/ok", headers={"traceparent": given})
    assert house.spans(TRACE.format(5)) == []
    assert "GET /ok" in {span.name for span in house.collector.spans()}


def test_a_run_that_another_server_takes_up_belongs_to_its_request(house: House) -> None:
    thread_id = house.thread()
    body = {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": "hello"}]}}
    elsewhere = TestClient(create_app(house.workspace), base_url=BASE)  # it has no workers: it only takes runs in
    run = elsewhere.post(f"/threads/{thread_id}/runs", json=body, headers={"traceparent": traceparent(6)}).json()
    assert house.client.get(f"/threads/{thread_id}/runs/{run['run_id']}/join").status_code == 200
    spans = house.spans(TRACE.format(6))
    assert tree(spans)["outside"] == {"POST /threads/{thread_id}/runs"}
    assert "run" in tree(spans)["POST /threads/{thread_id}/runs"]
    assert run["run_id"] in {facts(span).get("dojang.run_id") for span in spans}
