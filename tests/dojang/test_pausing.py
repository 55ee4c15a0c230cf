"""The switch that stops all runs: none begins, one under way stops between two steps, all go on as they were."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from dojang.pausing import Halted, switch_of
from dojang.server.work import Order
from dojang.workspace import Workspace
from state import Conflict, UserError
from tests.databases import NOT_NEEDED, SESSIONS
from tests.dojang.conftest import ROOT
from tests.dojang.server.access.people import People
from tests.dojang.server.conftest import browser_of, open_workspace
from tests.dojang.workspaces import workspace_for
from tests.sessions_in_postgres import backend_in


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("paused"), postgres_server) as opened:
        yield opened


@pytest.fixture(autouse=True)
def going(workspace: Workspace) -> Iterator[None]:
    yield
    if workspace.paused:
        workspace.go_on_all()


@pytest.fixture
def after_first_step(workspace: Workspace) -> Callable[[str], None]:
    """Somebody presses the switch when the first step of a run is done."""

    def on_node(node: str) -> None:
        if not workspace.paused:
            workspace.pause_all("look at the rules", by="lee")

    return on_node


def events(workspace: Workspace) -> list[str]:
    return [record["event"] for record in workspace.parts.audit.records(None)]


def test_no_run_begins_and_everybody_is_told_who_and_why(workspace: Workspace) -> None:
    before = len(workspace.threads())
    workspace.pause_all("a bad rule", by="lee")
    with pytest.raises(Halted, match=r"paused by lee since .*: a bad rule; `dojang runs go-on`"):
        workspace.ask("please book a room")
    assert len(workspace.threads()) == before
    with pytest.raises(Conflict, match="already, by lee"):
        workspace.pause_all("me too")
    workspace.go_on_all()
    assert workspace.ask("please book a room").status == "paused"
    assert [event for event in events(workspace) if event.startswith("runs.")][-2:] == ["runs.paused", "runs.resumed"]


def test_a_pause_needs_a_reason(workspace: Workspace) -> None:
    for odd in ("", " \n", "x" * 501):
        with pytest.raises(UserError):
            workspace.pause_all(odd)
    assert workspace.paused is None
    with pytest.raises(Conflict):
        workspace.go_on_all()


def test_a_run_stops_between_two_steps_and_goes_on_where_it_was(
    workspace: Workspace, after_first_step: Callable[[str], None]
) -> None:
    begun: list[str] = []
    with pytest.raises(Halted):
        workspace.ask("please book a room", on_node=after_first_step, on_start=begun.append)
    assert workspace.do_due().runs == []
    steps = len(workspace.history(begun[0]))
    assert workspace.thread(begun[0]).reviews == []
    workspace.go_on_all()
    assert [run.thread_id for run in workspace.do_due().runs] == [begun[0]]
    assert len(workspace.history(begun[0])) > steps
    assert [line["role"] for line in workspace.conversation(begun[0])].count("user") == 1
    assert len(workspace.thread(begun[0]).reviews) == 1
    assert workspace.do_due().runs == []  # once


def test_no_step_begins_once_it_was_pressed(workspace: Workspace) -> None:
    """Whichever step was under way then: of the steps to an answer, and of those of an approved call."""

    def asked(on_node: Callable[[str], None]) -> str:
        threads: list[str] = []
        with suppress(Halted):
            workspace.ask("When is check-out?", on_node=on_node, on_start=threads.append)
        return threads[0]

    def approved(on_node: Callable[[str], None]) -> str:
        review = workspace.ask("please book a room").reviews[0]
        workspace.decide(review["id"], "approve", on_node=on_node)
        return str(review["thread_id"])

    for way in (asked, approved):
        whole: list[str] = []
        way(whole.append)
        for n in range(1, len(whole)):
            heard: list[str] = []

            def press(node: str, heard: list[str] = heard, n: int = n) -> None:
                heard.append(node)
                if len(heard) == n:
                    workspace.pause_all("stop", by="lee")

            thread = way(press)
            assert heard == whole[:n]
            assert len(workspace.thread(thread).outcomes) == heard.count("act")
            workspace.go_on_all()
            workspace.do_due()
            assert len(workspace.thread(thread).outcomes) == whole.count("act")

    def press_at_last(node: str) -> None:
        if node == "answer":
            workspace.pause_all("stop", by="lee")

    assert workspace.ask("When is check-out?", on_node=press_at_last).answer is not None, "no step was left"


def test_what_is_decided_meanwhile_is_recorded_and_carried_out_afterwards(workspace: Workspace) -> None:
    first, second = (workspace.ask("please book a room").reviews[0] for _ in range(2))
    workspace.pause_all("wait")
    told = [workspace.decide(review["id"], "approve").run for review in (first, second)]
    assert ["paused by kim" in run.note for run in told] == [True, True]
    assert [workspace.thread(r["thread_id"]).outcomes for r in (first, second)] == [[], []]
    assert [workspace.show(review["id"]).status for review in (first, second)] == ["recorded", "recorded"]
    with pytest.raises(Halted):
        workspace.resume(first["thread_id"])
    workspace.go_on_all()
    workspace.do_due()
    assert [len(workspace.thread(r["thread_id"]).outcomes) for r in (first, second)] == [1, 1]


def test_a_run_of_the_server_goes_back_into_the_queue(
    workspace: Workspace, after_first_step: Callable[[str], None]
) -> None:
    with browser_of(workspace) as client:
        work = client.app.state.work  # type: ignore[attr-defined]
        row = work.accept("th_queued", "kim", Order({"id": "m1", "content": "please book a room"}))
        workspace.pause_all("wait")
        assert work._next() is None
        workspace.go_on_all()
        taken = work._next()
        workspace.pause_all("wait")  # between taking it and its first step
        work.worker.run(taken, work.channel(taken))
        assert work.rows.get(row.run_id).status == "pending"
        workspace.go_on_all()
        assert workspace.do_due().runs == []  # the queue has it, nobody else
        database = workspace.parts.sessions.database
        with database.transaction() if database is not None else nullcontext(work.rows._db) as db:
            db.execute("UPDATE runs SET not_before = 0")
        again = work._next()
        work.worker.run(again, work.channel(again))
        assert work.rows.get(row.run_id).status == "interrupted"
        assert len(workspace.thread("th_queued").reviews) == 1


def test_a_switch_that_cannot_be_read_is_pressed(workspace: Workspace) -> None:
    workspace.settings.home.mkdir(exist_ok=True)
    if SESSIONS == "postgres":
        workspace.parts.backend.replace_note(None, "paused", b"{")
    else:
        (workspace.settings.home / "paused.json").write_text("{", encoding="utf-8")
    with pytest.raises(Halted, match="cannot be read"):
        workspace.ask("please book a room")


def test_in_postgres_a_row_is_the_switch_and_anybody_can_write_it(postgres_dsn: str, tmp_path: Path) -> None:
    written = re.search(r"`(INSERT INTO .*?)`", (ROOT / "docs" / "how-to" / "stop.md").read_text(encoding="utf-8"))
    assert written is not None
    with backend_in(postgres_dsn) as backend:
        switch = switch_of(tmp_path, backend)
        switch.check()
        with psycopg.connect(postgres_dsn, autocommit=True) as db:
            db.execute(written[1].encode())
        with pytest.raises(Halted, match="cannot be read"):
            switch.check()
        switch.let_go()
        switch.check()


def test_the_bar_says_it_on_every_page_and_leads_back(workspace: Workspace) -> None:
    with browser_of(workspace) as client:
        assert client.post("/pause", data={"why": ""}).status_code == 400
        there = "/threads?offset=0"
        assert client.post("/pause", data={"why": "<b>rule</b>", "back": there}).headers["location"] == there
        page = client.get("/documents").text
        assert "&lt;b&gt;rule&lt;/b&gt;" in page
        assert "Let them go on" in page
        for odd in ("//evil.example", "https://evil.example", "/\\evil.example", "/%0d"):
            assert client.post("/go-on", data={"back": odd}).headers["location"] in ("/", "/%0d")[: 1 + (odd == "/%0d")]
        assert workspace.paused is None
        assert "Let them go on" not in client.get("/documents").text


def test_only_whoever_decides_may_press_it(tmp_path: Path) -> None:
    with workspace_for(tmp_path, NOT_NEEDED) as workspace:
        people = People(workspace)
        for role, status in (("viewer", 403), ("developer", 403), ("operator", 303)):
            browser: TestClient = people.logged_in(people.token(f"someone-{role}", role))
            assert browser.post("/pause", data={"why": "x"}).status_code == status, role
            assert ("Let them go on" in browser.get("/").text) is (role == "operator")
