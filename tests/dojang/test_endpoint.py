"""`DOJANG_MODEL=openai:…`: the whole loop over a server that speaks the OpenAI protocol on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dojang.settings import SAMPLE
from dojang.workspace import Workspace
from state import DojangError
from tests.adapters.openai_server import Script, serve
from tests.dojang.workspaces import STAY, settings_for

KEY = "sk-never-shown"


@pytest.fixture
def server() -> Iterator[Script]:
    with serve() as script:
        yield script


@pytest.fixture
def workspace(server: Script, tmp_path: Path, postgres_dsn: str) -> Iterator[Workspace]:
    settings = settings_for(
        tmp_path, postgres_dsn, model="openai:test-model", model_base_url=server.url, model_api_key=KEY
    )
    with Workspace(settings) as open_workspace:
        yield open_workspace


def test_a_call_of_the_endpoint_waits_runs_once_and_is_told(server: Script, workspace: Workspace) -> None:
    server.calls("book_room", json.dumps(STAY))
    run = workspace.ask("Book a deluxe room at Namsan Stay for Emma Lee, 3 to 5 December, 2 guests.")
    assert run.status == "paused"
    [review] = run.reviews
    assert review["action"]["args"] == STAY
    server.says("Your room is booked.")
    done = workspace.decide(review["id"], "approve", by="kim").run
    assert done.status == "done"
    [outcome] = done.outcomes
    assert outcome["status"] == "done"
    assert done.answer is not None
    assert done.answer["speaker"].startswith("toy-1")  # the name that the server says it is
    assert server.requests[0]["model"] == "test-model"
    offered = {tool["function"]["name"] for tool in server.requests[0]["tools"]}
    assert {"book_room", "issue_refund"} <= offered
    told = [m for m in server.requests[-1]["messages"] if m["role"] == "tool"]
    assert "BK-" in told[-1]["content"]


def test_an_answer_of_the_endpoint_cites_the_passage(server: Script, workspace: Workspace) -> None:
    workspace.ingest([SAMPLE / "documents" / "ko"])
    server.says("평일 조식은 오전 6시 30분부터 제공됩니다. [1]")
    run = workspace.ask("조식은 몇 시에 시작하나요?")
    assert run.answer is not None
    [citation] = run.answer["citations"]
    assert citation["document"] == "breakfast.txt"
    assert workspace.source(citation["document"], citation["start"], citation["end"]) == citation["quote"]
    system = str(server.requests[0]["messages"])
    assert "조식" in system


def test_an_endpoint_that_is_gone_leaves_the_thread_to_go_on(
    server: Script, workspace: Workspace, tmp_path: Path
) -> None:
    server.status = 500
    started: list[str] = []
    with pytest.raises(DojangError, match=r"127\.0\.0\.1") as caught:
        workspace.ask("When is breakfast?", on_start=started.append)
    assert KEY not in str(caught.value)
    server.status = 200
    server.says("From 6:30.")
    run = workspace.resume(started[0])
    assert run.answer is not None or run.reviews
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_tokens_and_cost_of_a_thread_are_in_its_list_and_history(
    server: Script, tmp_path: Path, postgres_dsn: str
) -> None:
    settings = settings_for(
        tmp_path, postgres_dsn, model="openai:m", model_base_url=server.url, model_prices=(2.0, 10.0)
    )
    with Workspace(settings) as workspace:
        server.says("From 6:30.")
        run = workspace.ask("When is breakfast?")
        wanted = {"speaker": "toy-1", "calls": 1, "input_tokens": 7, "output_tokens": 3, "cost": 44e-6}
        assert run.as_json()["spent"] == [wanted]
        [row] = workspace.threads()
        assert row["spent"] == [wanted]
        history = [step.as_json()["spent"] for step in workspace.history(run.thread_id)]
        assert history[0] == [wanted]
        assert history[-1] == []


def test_settings_of_the_model_reach_the_endpoint(server: Script, tmp_path: Path, postgres_dsn: str) -> None:
    settings = settings_for(
        tmp_path, postgres_dsn, model="openai:m", model_base_url=server.url, adapter="night-shift", model_strict=False
    )
    with Workspace(settings) as workspace:
        server.says("From 6:30.")
        workspace.ask("When is breakfast?")
    assert server.requests[0]["model"] == "night-shift"
    assert not any("strict" in tool["function"] for tool in server.requests[0]["tools"])
