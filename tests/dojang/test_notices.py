"""Whoever is to be told is told: at least once, under one id, whatever dies in between."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from checkpoints.records.notices import NoticeLog
from dojang.workspace import Workspace
from tests.chaos.instants import Plan
from tests.dojang import notice_child
from tests.dojang.test_expiry import Turned
from tests.dojang.workspaces import RehearsedParts, settings_for
from tests.processes import FORKS

Open = Callable[..., Workspace]
EVERY = int(os.environ.get("DOJANG_TEST_NOTICE_KILLS_EVERY", "5"))
"""Kills at every so-manieth instant; 1 for each."""
POLICY = '[[rule]]\nid = "b"\ntext = "Bookings are told."\non = "call"\ntool = "book_room"\noutcome = "notify"\n'


class Cut(Exception):
    """The process is gone."""


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """What the hook has got; a hook whose caller died before it said anything got nothing."""
    file = tmp_path / "told.jsonl"
    return lambda: [json.loads(x) for x in file.read_text(encoding="utf-8").splitlines() if x] if file.exists() else []


@pytest.fixture
def others(tmp_path: Path) -> dict[str, Any]:
    """Settings with a hook that appends what it is told to a file, as long as the file ``deaf`` is not there."""
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    deaf, file = shlex.quote(str(tmp_path / "deaf")), shlex.quote(str(tmp_path / "told.jsonl"))
    script = f"test -e {deaf} && exit 1; cat >> {file}; echo >> {file}"
    return {"policy": tmp_path / "policy.toml", "notify": f"sh -c {shlex.quote(script)}"}


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def opened(tmp_path: Path, postgres_dsn: str, clock: Turned, others: dict[str, Any]) -> Iterator[Open]:
    """Workspaces over one home, each like a process of its own."""
    made: list[Workspace] = []

    def open_one(**more: Any) -> Workspace:
        settings = settings_for(tmp_path / "home", postgres_dsn, **{**others, **more})
        made.append(Workspace(settings, parts=RehearsedParts(settings, clock=clock)))
        return made[-1]

    yield open_one
    for workspace in made:
        workspace.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_at_any_instant_from_the_notice_on_it_is_told(
    tmp_path: Path, postgres_dsn: str, others: dict[str, Any], told: Callable[[], list[dict[str, Any]]]
) -> None:
    """Killed before it is sent it is sent by the next process; killed after that it may be sent again, as the same."""

    def life(home: Path, plan: Plan) -> dict[str, Any]:
        hears, tells = FORKS.Pipe(duplex=False)
        child = FORKS.Process(target=notice_child.live, args=(home, postgres_dsn, others, plan, tells))
        child.start()
        tells.close()
        heard: dict[str, Any] = {}
        with hears:
            child.join(120)
            while hears.poll():
                try:
                    what, value = hears.recv()
                except EOFError:
                    break
                heard[what] = value
        assert child.exitcode in (0, -signal.SIGKILL)
        return heard

    instants = life(tmp_path / "whole", Plan())["seen"]
    assert instants > 15
    assert [(n["event"], n["status"]) for n in told()] == [("call.passed", "done")]
    killed = again = 0
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("delete from bookings where guest = 'Emma Lee' and id > 'BK-2040'")
    for at in range(1, instants + 1, EVERY):
        (tmp_path / "told.jsonl").unlink(missing_ok=True)
        home = tmp_path / f"home{at}"
        heard = life(home, Plan(at, phase="telling"))
        thread, killed = heard["thread"], killed + ("died" in heard)  # a life may have fewer instants than the first
        settings = settings_for(home, postgres_dsn, **others)
        with Workspace(settings, parts=RehearsedParts(settings)) as workspace:
            assert workspace.resume(thread).status == "done"
            workspace.do_due()
            assert workspace.parts.notice.send() == []
        with psycopg.connect(postgres_dsn) as connection:
            booked = connection.execute("delete from bookings where guest = 'Emma Lee' and id > 'BK-2040'").rowcount
        assert booked == 1
        assert {(n["event"], n["thread_id"], n["status"]) for n in told()} == {("call.passed", thread, "done")}
        assert len({n["id"] for n in told()}) == 1, told()
        again += len(told()) > 1
    assert killed > 0.8 * instants / EVERY
    assert again < killed / 2, "it is sent twice where nobody died between sending and writing that down"


def test_a_hook_that_does_not_take_it_is_tried_again(
    opened: Open, told: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "deaf").touch()
    workspace = opened()
    thread = workspace.ask("please book a room").thread_id
    for _ in range(2):
        workspace.do_due()
    assert told() == []
    (tmp_path / "deaf").unlink()
    opened().do_due()
    [notice] = told()
    assert (notice["event"], notice["thread_id"], notice["tool"]) == ("call.passed", thread, "book_room")
    opened().do_due()
    opened().resume(thread)
    assert told() == [notice]


@pytest.mark.usefixtures("at_home")
def test_a_new_message_does_not_make_it_forgotten(
    opened: Open, told: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of a turn are cleared by the next one: what was to be told of it is in the outbox by then."""
    workspace = opened()
    with monkeypatch.context() as cut:
        cut.setattr("dojang.notice.Notice.send", _die)
        with pytest.raises(Cut):
            workspace.ask("please book a room")
    [row] = workspace.threads()
    opened().ask("when is breakfast?", thread_id=row["thread_id"])
    assert [notice["event"] for notice in told()] == ["call.passed"]


def test_an_escalation_is_told_although_its_process_died_right_after_recording_it(
    opened: Open, clock: Turned, told: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(policy=settings_for(Path(), "").policy)
    review = workspace.ask("please book a room").reviews[0]
    clock.at += timedelta(hours=12)
    with monkeypatch.context() as cut:
        cut.setattr(NoticeLog, "put", _die)
        with pytest.raises(Cut):
            workspace.inbox()
    assert workspace.progress([review])[review["id"]]["escalated_at"]
    assert told() == []
    later = opened(policy=workspace.settings.policy)
    assert later.do_due().escalated == []
    [notice] = told()
    assert (notice["event"], notice["review_id"], notice["id"]) == (
        "review.escalated",
        review["id"],
        f"{review['id']}:escalated",
    )
    later.inbox()
    later.do_due()
    assert told() == [notice]


def test_without_a_hook_nothing_is_kept(opened: Open, tmp_path: Path) -> None:
    opened(notify="").ask("please book a room")
    assert not (tmp_path / "home" / "notices").exists()


def _die(*args: Any, **kwargs: Any) -> Any:
    raise Cut
