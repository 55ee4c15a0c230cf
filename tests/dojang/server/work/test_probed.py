"""``dojang work --listen``: a worker says whether it lives and works, and counts what it does; and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from dojang.server.opening import tokens_of
from dojang.server.probed import bound, worker_app
from dojang.server.serving import CannotServe
from dojang.server.work import Work
from dojang.server.work.postgres import rows as rows_module
from dojang.workspace import Workspace
from state import UserError
from tests.dojang.server.conftest import BASE, open_workspace
from tests.dojang.server.langgraph.conftest import Held, says
from tests.dojang.server.work.conftest import House


def test_what_a_worker_did_is_in_its_numbers(house_of_workers: House) -> None:
    server = house_of_workers.server()
    worker = house_of_workers.worker("w1", 2, listen="127.0.0.1:0")
    url = worker.stdout.readline().strip()
    said: Any = server.runs.wait(None, "dojang", input=says("When is check-out?"))
    assert said["answer"]
    assert httpx.get(f"{url}healthz").json() == {"status": "ok"}
    assert httpx.get(f"{url}readyz").json()["status"] == "ready"
    here, there = (numbers(httpx.get(f"{base}metrics").text) for base in (url, str(server.http.client.base_url)))
    ran = ("dojang_accepted_runs_total", "success")
    assert (here[ran], there.get(ran)) == (1, None)
    assert here["dojang_node_seconds_count", "answer"] == 1
    assert "dojang_queue_runs" not in {name for name, _ in here}, "what stands is told once, by the server"
    assert [httpx.get(f"{url}{path}").status_code for path in ("", "threads", "docs", "openapi.json")] == [404] * 4
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def numbers(text: str) -> dict[tuple[str, str], float]:
    """Values by name and first label."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, next(iter(sample.labels.values()), "")): sample.value for sample in samples}


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    more: dict[str, Any] = {"sessions": "postgres", "generator": Held(), "language": "en"}
    with open_workspace(tmp_path_factory.mktemp("probed"), postgres_server, **more) as opened:
        opened.parts.observe(numbers=True)
        yield opened


def test_a_worker_that_takes_no_runs_is_not_ready(far: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(far, workers=1, follows=False, name="w1")
    asked = worker_app(far, work, here_only=True).state.readiness.looks["workers"]
    assert asked() == "the workers are not alive"
    with work:
        assert work.shared is not None
        assert work.shared.dispatch is not None
        assert work.shared.dispatch.listening.wait(20)
        assert asked() == ""
        with monkeypatch.context() as patched:
            patched.setattr(rows_module, "DEAD_S", 0)  # as if its last heartbeat were long ago
            assert "heartbeat" in asked()
    assert asked() == "draining"


def test_numbers_need_a_token_that_may_read_them_where_others_reach_them(far: Workspace) -> None:
    work = Work(far, workers=1, follows=False, name="w1")
    inside, outside = (TestClient(worker_app(far, work, here_only=here), base_url=BASE) for here in (True, False))
    assert inside.get("/metrics").status_code == 200
    assert inside.get("/metrics", headers={"Host": "evil.example"}).status_code == 401
    assert [outside.get(path).status_code for path in ("/healthz", "/metrics")] == [200, 401]
    tokens = tokens_of(far.settings, far.parts.sessions, far.parts.audit)
    answers = {}
    for role in ("monitor", "operator"):
        secret = tokens.make(role, [role], days=1, by="kim")[0]
        answers[role] = outside.get("/metrics", headers={"Authorization": f"Bearer {secret}"})
        assert secret not in answers[role].text
    assert {role: answer.status_code for role, answer in answers.items()} == {"monitor": 200, "operator": 403}
    assert inside.get("/metrics").status_code == 401, "somebody has a token: nobody comes in without one"


@pytest.mark.parametrize("listen", ["9100", ":9100", "localhost:x", "127.0.0.1:65536", "127.0.0.1:"])
def test_an_address_without_a_port_is_refused(listen: str) -> None:
    with pytest.raises(UserError, match=r"--listen=.*127\.0\.0\.1:9100"):
        bound(listen)


def test_an_address_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(CannotServe, match=r"--listen=desk\.example\.com"):
        bound("desk.example.com:9100")
    with bound("127.0.0.1:0") as taken, pytest.raises(CannotServe, match="choose another with --listen"):
        bound(f"127.0.0.1:{taken.getsockname()[1]}")
