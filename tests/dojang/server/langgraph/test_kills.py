"""A server that is killed, or ends, under its runs: what was accepted is carried out, and no effect happens twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.dojang.server.langgraph.conftest import says
from tests.dojang.workspaces import TODAY

ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
Started = tuple[subprocess.Popen[str], SyncLangGraphClient]
Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path, postgres_dsn: str) -> Start:
    """Starts a server over one home; gives the process and a client."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}
    environment |= {
        "DOJANG_HOME": str(tmp_path / "home"),
        "DOJANG_DATABASE_URL": postgres_dsn,
        "DOJANG_EMBEDDING": "none",
        "DOJANG_TODAY": TODAY.isoformat(),
        "DOJANG_USER": "kim",
        "DOJANG_TEST_SILENT": str(tmp_path / "silent"),
        "PYTHONPATH": str(ROOT),
    }

    @contextmanager
    def started(**more: str) -> Iterator[Started]:
        command = [sys.executable, "-m", "tests.dojang.server.langgraph.server_child"]
        with subprocess.Popen(
            command, cwd=tmp_path, env={**environment, **more}, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                with get_sync_client(url=process.stdout.readline().strip(), api_key=None) as client:
                    yield process, client
            finally:
                process.kill()

    return started


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_accepted_runs_go_on_after_a_stop(start: Start, tmp_path: Path, end: signal.Signals) -> None:
    silent = tmp_path / "silent"
    silent.touch()
    with start() as (process, client):
        one, two = (client.threads.create()["thread_id"] for _ in range(2))
        runs = [
            (thread, client.runs.create(thread, "dojang", input=says(text), stream_resumable=True)["run_id"])
            for thread, text in [(one, "When is check-out?"), (one, "Is there parking?"), (two, "please book a room")]
        ]
        until(lambda: silent.with_suffix(".asked").exists())
        process.send_signal(end)
        if end == signal.SIGTERM:  # a step that is under way ends; then the server does
            until(lambda: not silent.unlink(missing_ok=True))
        process.wait(60)
        silent.unlink(missing_ok=True)
    with start() as (_, client):
        for thread, run in runs:
            client.runs.join(thread, run)
        said: Any = [client.runs.get(thread, run)["status"] for thread, run in runs]
        assert said == ["success", "success", "interrupted"]
        values: Any = client.threads.get_state(one)["values"]
        people = [message["content"] for message in values["messages"] if message["type"] == "human"]
        assert people == ["When is check-out?", "Is there parking?"]
        numbers = [int(str(part.id)) for part in client.runs.join_stream(*runs[0])]
        assert numbers == list(range(1, len(numbers) + 1))


def test_an_effect_under_a_kill_happens_once(start: Start, bookings: Callable[[], list[Any]]) -> None:
    with start(DOJANG_TEST_DIE="ran") as (process, client):
        thread = client.threads.create()["thread_id"]
        client.runs.wait(thread, "dojang", input=says("please book a room"))
        run = client.runs.create(thread, "dojang", command={"resume": {"decisions": [{"type": "approve"}]}})["run_id"]
        assert process.wait(60) == -signal.SIGKILL
    assert len(bookings()) == 1
    with start() as (_, client):
        values: Any = client.runs.join(thread, run)
        assert [outcome["status"] for outcome in values["outcomes"].values()] == ["done"]
        assert client.runs.get(thread, run)["status"] == "success"
    assert len(bookings()) == 1
