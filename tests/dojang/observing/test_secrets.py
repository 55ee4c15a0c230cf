"""Secrets are planted wherever one can be, and then looked for wherever something is told."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote

import pytest

from dojang.observing.scrubbing import Scrubber
from dojang.settings import secrets_of
from state import PassingFault
from tests.dojang.observing.conftest import House
from tests.dojang.workspaces import settings_for

SENT = {
    "bearer token": "dj_1a2b3c4d_" + "LlAmA" * 9,
    "key of another server": "lsv2_pt_KANGAROO0123456789abcdef",
    "cookie": "cookie-WOMBAT-456",
    "token in a query": "query-KOALA-789",
    "webhook secret": "hook-PLATYPUS-000",
}


def test_no_line_answer_record_span_or_number_has_a_secret(house: House) -> None:
    client, thread_id = house.client, house.thread()
    headers = {
        "authorization": f"Bearer {SENT['bearer token']}",
        "x-api-key": SENT["key of another server"],
        "cookie": f"dojang_session={SENT['cookie']}; other={SENT['cookie']}",
        "x-request-id": SENT["token in a query"],
        "tracestate": f"x={SENT['webhook secret']}",
        "baggage": f"token={SENT['token in a query']}",
    }
    query = {"token": SENT["token in a query"], "api_key": SENT["token in a query"]}
    answers = [client.get(path, headers=headers, params=query) for path in ("/ok", "/readyz", "/nowhere", "/threads")]
    hook = f"https://u:{SENT['webhook secret']}@hooks.example.com/?secret={SENT['webhook secret']}"
    ask = {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": "hello"}]}, "webhook": hook}
    answers.append(client.post(f"/threads/{thread_id}/runs/wait", json=ask, headers=headers, params=query))
    everything = " ".join([*house.planted.values(), SENT["bearer token"], SENT["key of another server"], hook])
    told = f"refused: {everything} {quote(house.planted['database password'])} postgresql://kim:{house.planted['passphrase']}@db/x"
    for fault in (PassingFault(told), RuntimeError(told)):
        house.model.fails = fault
        answers.append(house.run(thread_id, "hello"))
        client.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "dojang"})
    streamed = {"assistant_id": "dojang", "input": {"messages": [{"role": "user", "content": "hi"}]}}
    house.model.fails = PassingFault(told)
    answers.append(client.post(f"/threads/{house.thread()}/runs/stream", json=streamed))
    try:
        raise ValueError(told)
    except ValueError:
        shown = {name: headers[name] for name in ("authorization", "x-api-key", "cookie")}
        at = f"/threads?token={SENT['token in a query']}&cookie: a={SENT['cookie']}"
        logging.getLogger("somebody.else").exception("it broke: %s at %s with %r", shown, at, {"password": told})

    assert house.workspace.parts.observer.tracing is not None
    assert house.workspace.parts.observer.tracing.provider.force_flush()
    home: Path = house.workspace.settings.home
    places = {
        "logs": house.written.getvalue(),
        "answers": "".join(answer.text + str(answer.headers) for answer in answers),
        "audit": "".join(path.read_text(errors="replace") for path in home.rglob("audit*") if path.is_file()),
        "spans": "".join(body.decode("latin-1") for _, _, body in house.collector.requests),
        "numbers": client.get("/metrics").text,
    }
    assert {place for place, text in places.items() if len(text) < 200} == set()
    assert "somebody.else" in places["logs"]
    assert "Traceback" in places["logs"]
    assert "refused: ***" in places["answers"]
    assert house.planted["database password"] in house.workspace.parts.dsn
    found = [
        (place, name) for place, text in places.items() for name, secret in looked_for(house).items() if secret in text
    ]
    assert found == []


def looked_for(house: House) -> dict[str, str]:
    """Each secret, of a token the part that is secret."""
    return {**house.planted, **SENT, "bearer token": SENT["bearer token"][12:]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("{'authorization': 'Basic dXNlcjpwdw=='}", "{'authorization': ***}"),
        ("GET /x?token=abc&limit=5", "GET /x?token=***&limit=5"),
        ('{"api_key": "a b c", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("postgresql://kim:pa ss@db:5432/x", "postgresql://kim:pa ss@db:5432/x"),  # no URL
        ("postgresql://kim:pass@db:5432/x", "postgresql://kim:***@db:5432/x"),
        ("host=db password='p w' user=kim", "host=db password=*** user=kim"),
        ("Cookie: a=1; dojang_session=xyz", "Cookie: ***"),
        ("the tokens: 12 of 2000; secretary: Kim", "the tokens: 12 of 2000; secretary: Kim"),
        ("run 5f0c on thread th_1 failed", "run 5f0c on thread th_1 failed"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert Scrubber()(text) == shown


def test_the_secrets_of_a_process_are_known_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_API_KEY", "key-of-langsmith")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=first-header,b=second-header")
    dsn = "postgresql://kim:pass%2Fword@db/x"
    settings = settings_for(tmp_path, dsn, model_api_key="key-of-model", store="qdrant:http://u:in-a-url@q:6333")
    scrub = Scrubber(secrets_of(settings))
    said = f"{dsn} pass/word pass%2Fword key-of-model in-a-url key-of-langsmith first-header second-header"
    assert scrub(said) == " ".join(["***"] * 8)
