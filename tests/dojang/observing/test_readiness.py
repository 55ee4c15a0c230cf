"""``/readyz``: what is wrong is named, by part, without addresses; and it never hangs with what hangs."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from dojang.parts import Parts
from dojang.server import create_app, readiness
from dojang.server.readiness import Readiness
from dojang.server.work import Work
from dojang.server.work.order import Order
from dojang.settings import Settings
from tests.dojang.observing.conftest import House
from tests.dojang.server.conftest import BASE
from tests.dojang.server.langgraph.conftest import until
from tests.dojang.workspaces import settings_for, workspace_for

NOWHERE = "postgresql://secretary:swordfish@127.0.0.1:1/none"


def test_a_server_that_can_work_is_ready(house: House) -> None:
    until(lambda: house.client.app.state.work.ailing() == "")  # type: ignore[attr-defined]
    answer = house.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "problems": {}, "warnings": {}})


@pytest.mark.about_files("with them a server serves while its database is away")
def test_what_is_wrong_is_named_without_an_address(tmp_path: Path) -> None:
    with workspace_for(
        tmp_path / "home", NOWHERE, queue=1, model="openai:x", model_base_url="http://127.0.0.1:1/v1"
    ) as w:
        app = create_app(w)
        app.state.work.accept("t1", "kim", Order(None))
        answer = TestClient(app, base_url=BASE).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {
        "database": "does not answer (DatabaseAway)",
        "queue": "full: 1 runs wait",
    }
    assert answer.json()["warnings"] == {
        "workers": "0 of 4 workers are alive",
        "model": "does not answer (ConnectionRefusedError)",
    }
    assert [word for word in ("127.0.0.1", "secretary", "swordfish", "none") if word in answer.text] == []


def test_files_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    assert readiness.files(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "home").write_text("a file where a folder should be")
    assert readiness.files(tmp_path / "home") == "cannot be written (Not a directory)"


def test_a_server_that_is_told_to_stop_is_not_ready(house: House) -> None:
    work = Work(house.workspace)
    with work:
        until(lambda: work.ailing() == "")
    assert readiness.of_server(house.workspace.parts, work).looks["server"]() == work.ailing() == "draining"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_endpoint_is_reached_and_asked_nothing(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v1"
        given: Settings = settings_for(tmp_path, NOWHERE, model="openai:x", model_base_url=url)
        assert readiness.model(Parts(given)) == ""
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b""


def test_what_hangs_is_not_ready_and_is_not_asked_again_while_it_hangs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LIMIT_S", 0.05)
    asked, free = [], threading.Event()

    def hangs() -> str:
        asked.append(1)
        free.wait(30)
        return ""

    found = Readiness({"database": hangs, "queue": lambda: ""})
    assert found.found() == {"database": "no answer within 0 s"}
    assert found.found() == {"database": "no answer within 0 s"}  # kept
    monkeypatch.setattr(readiness, "KEPT_S", 0.0)
    assert set(found.found()) == {"database"}
    assert len(asked) == 1
    free.set()
    found._running["database"][1].result(30)
    found.looks["database"] = lambda: ""
    assert found.found() == {}
