"""LangSmith: LangGraph sends runs there when its own variables say so, contents with them; else nothing goes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from langchain_core.tracers.langchain import wait_for_all_tracers
from langsmith import run_trees, utils

from tests.dojang.observing.conftest import House
from tests.dojang.observing.receivers import Received, receiver


def forget() -> None:
    """LangSmith's client keeps what it has read of the environment."""
    cast(Any, utils.get_env_var).cache_clear()


@pytest.fixture
def langsmith(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """A server that LangSmith's client is pointed to."""
    with receiver() as received:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", received.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_for-a-test")
        monkeypatch.setattr(run_trees, "_CLIENT", None)  # the client of the process, made when it is first needed
        forget()
        yield received
        if run_trees._CLIENT is not None:
            run_trees._CLIENT.cleanup()
        monkeypatch.undo()
        forget()


def test_nothing_goes_out_unless_it_is_asked_for(house: House, langsmith: Received) -> None:
    house.run(house.thread(), "hello")
    wait_for_all_tracers()
    assert langsmith.requests == []


def test_its_own_variable_sends_runs_with_what_was_said(
    house: House, langsmith: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    forget()
    house.run(house.thread(), "please tell me of FLAMINGOS")
    wait_for_all_tracers()
    sent = b"".join(body for _, _, body in langsmith.requests)
    assert {path for path, _, _ in langsmith.requests} <= {"/runs/batch", "/runs/multipart", "/runs"}
    assert b"FLAMINGOS" in sent  # why the docs warn: contents leave the house
    assert b"generate" in sent


def test_contents_are_kept_back_where_its_variables_say_so(
    house: House, langsmith: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGSMITH_TRACING", "LANGSMITH_HIDE_INPUTS", "LANGSMITH_HIDE_OUTPUTS"):
        monkeypatch.setenv(name, "true")
    forget()
    house.run(house.thread(), "please tell me of FLAMINGOS")
    wait_for_all_tracers()
    sent = b"".join(body for _, _, body in langsmith.requests)
    assert b"generate" in sent
    assert b"FLAMINGOS" not in sent
