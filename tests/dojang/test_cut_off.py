"""A run that ends between any two writes of its session is gone on with, and nothing of it is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpoints import FileSaver
from checkpoints.postgres.saver import PgSaver
from dojang.results import RunResult
from dojang.workspace import UnknownThread, Workspace
from state import Conflict
from tests.databases import SESSIONS
from tests.dojang.workspaces import STAY, Rehearsed, told, workspace_for
from tests.graph.parts import calls

Real = Callable[..., Any]
SAVER: Any = PgSaver if SESSIONS == "postgres" else FileSaver


class Cut(Exception):
    """The process is gone."""


def cutting(real: Real, at: int) -> Real:
    """A method that fails at its n-th call, before it does anything, and from then on."""
    calls = count(1)

    def method(*args: Any, **kwargs: Any) -> Any:
        if next(calls) >= at:
            raise Cut
        return real(*args, **kwargs)

    return method


def finished(workspace: Workspace, thread: str | None) -> RunResult:
    """Bring a booking to its end, from wherever it stands, approving what waits."""
    try:
        result = workspace.resume(thread or "th_none")
    except UnknownThread:
        result = workspace.ask("please book it")
    while result.status != "done":
        for review in result.reviews:
            workspace.decide(review["id"], "approve")
        result = workspace.resume(result.thread_id)
    return result


@pytest.mark.parametrize("method", ["put", "put_writes"])
def test_a_run_that_is_cut_off_between_any_two_writes_goes_on(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real = getattr(SAVER, method)
    for at in count(1):
        begun: list[str] = []
        monkeypatch.setattr(SAVER, method, cutting(real, at))
        with workspace_for(tmp_path / "home", postgres_dsn) as workspace:
            try:
                waiting = workspace.ask("please book it", on_start=begun.append)
                workspace.decide(waiting.reviews[0]["id"], "approve")
                cut = False
            except Cut:
                cut = True
        monkeypatch.setattr(SAVER, method, real)
        with workspace_for(tmp_path / "home", postgres_dsn) as workspace:
            result = finished(workspace, begun[0])
        assert [outcome["status"] for outcome in result.outcomes] == ["done"]
        with psycopg.connect(postgres_dsn) as connection:
            row = connection.execute("delete from bookings where guest = 'Emma Lee' and id > 'BK-2040'").rowcount
        assert row == 1, f"cut off at {method} {at}: {row} bookings"
        if not cut:
            assert at > 8, "the run was cut off at hardly any place: this test would prove nothing"
            return


def test_a_run_that_is_cut_off_takes_no_new_message(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approved call that has not run yet would be lost with it."""
    with workspace_for(tmp_path / "home", postgres_dsn) as workspace:
        waiting = workspace.ask("please book it")
    with workspace_for(tmp_path / "home", postgres_dsn) as workspace, monkeypatch.context() as patch:
        patch.setattr(SAVER, "put", cutting(SAVER.put, 2))  # after the writes of comply
        with pytest.raises(Cut):
            workspace.decide(waiting.reviews[0]["id"], "approve")
    with workspace_for(tmp_path / "home", postgres_dsn) as workspace:
        assert workspace.thread(waiting.thread_id).status == "paused"
        with pytest.raises(Conflict, match="was cut off"):
            workspace.ask("never mind", thread_id=waiting.thread_id)
        assert [outcome["status"] for outcome in finished(workspace, waiting.thread_id).outcomes] == ["done"]


def test_a_retry_of_the_first_decision_does_not_decide_the_second_review(tmp_path: Path, postgres_dsn: str) -> None:
    class TwoSteps(Rehearsed):
        def reply(self, messages: Any, **given: Any) -> Any:
            results = sum(message.type == "tool" for message in messages)
            return calls(("book_room", {**STAY, "guests": results + 1})) if results < 2 else told("Both done.")

    with workspace_for(tmp_path / "home", postgres_dsn, generator=TwoSteps()) as workspace:
        first = workspace.ask("book both").reviews[0]
        second = workspace.decide(first["id"], "approve").run.reviews[0]
        for _ in range(3):
            again = workspace.decide(first["id"], "approve")
            assert [review["id"] for review in again.run.reviews] == [second["id"]]
        assert [outcome["status"] for outcome in workspace.thread(first["thread_id"]).outcomes] == ["done"]
