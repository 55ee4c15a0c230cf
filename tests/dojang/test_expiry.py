"""A deadline that is over denies by default, over the real parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dojang.workspace import Workspace
from nodes.door import Expired
from tests.dojang.workspaces import RehearsedParts, settings_for


@dataclass
class Turned:
    """A clock that a test turns."""

    at: datetime = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def workspace(tmp_path: Path, postgres_dsn: str, clock: Turned) -> Iterator[Workspace]:
    settings = settings_for(tmp_path, postgres_dsn)
    with Workspace(settings, parts=RehearsedParts(settings, clock=clock)) as opened:
        yield opened


def test_due_reviews_are_ended_and_the_guest_is_told(workspace: Workspace, clock: Turned) -> None:
    waiting = workspace.ask("Please book a room").reviews[0]
    later = workspace.ask("refund BK-2031").reviews[0]  # due in four hours, the booking in a day
    clock.at += timedelta(hours=5)
    [ended] = workspace.do_due().runs
    assert ended.thread_id == later["thread_id"]
    assert ended.outcomes[0]["status"] == "refused"
    assert [r["id"] for r in workspace.inbox()] == [waiting["id"]]
    assert workspace.parts.decisions.of(later["thread_id"])[later["id"]]["by"] == ""
    assert workspace.do_due().runs == []


def test_an_approval_that_comes_too_late_runs_nothing(workspace: Workspace, clock: Turned) -> None:
    run = workspace.ask("Please book a room")
    clock.at += timedelta(days=2)
    with pytest.raises(Expired, match="expired at"):
        workspace.decide(run.reviews[0]["id"], "approve")
    ended = workspace.resume(run.thread_id)
    assert ended.status == "done"
    assert [o["status"] for o in ended.outcomes] == ["refused"]
