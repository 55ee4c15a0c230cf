"""Readers at a server that carries nothing out: what a worker elsewhere does reaches them, and they reach it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from psycopg import sql

from checkpoints.errors import SessionsAway
from dojang.server.standing import Standing
from dojang.server.work import Work
from dojang.server.work import work as work_module
from dojang.server.work.events import Channel
from dojang.server.work.postgres import rows as rows_module
from dojang.server.work.postgres.channel import SharedChannel
from dojang.server.work.postgres.rows import PgRows
from dojang.workspace import Workspace
from state import PassingFault, UserError
from store.database import DatabaseAway
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.langgraph.conftest import Held, says, served, until
from tools.errors import ToolsAway

MODES: Any = ["values", "updates", "messages-tuple", "custom", "events", "debug", "checkpoints", "tasks"]


@pytest.fixture(scope="module")
def model() -> Held:
    return Held()


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, postgres_server: str, model: Held) -> Iterator[Workspace]:
    """A workspace whose server carries nothing out."""
    home = tmp_path_factory.mktemp("far")
    more: dict[str, Any] = {"sessions": "postgres", "workers": 0, "generator": model, "language": "en"}
    with open_workspace(home, postgres_server, **more) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(far: Workspace) -> Iterator[tuple[str, Work]]:
    with served(far) as found:
        yield found


@pytest.fixture
def worker(far: Workspace) -> Iterator[Work]:
    """One that is a process of its own as far as runs go: rows, connections and threads of its own."""
    with Work(far, workers=2, follows=False, name="elsewhere") as opened:
        yield opened


@pytest.fixture
def client(server: tuple[str, Work], monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncLangGraphClient]:
    """Who is told what the database tells, or nothing."""
    monkeypatch.setattr(work_module, "SURE_S", 3_600.0)
    with get_sync_client(url=server[0], api_key=None, timeout=60) as opened:
        yield opened


@pytest.fixture
def thread_id(client: SyncLangGraphClient) -> str:
    return str(client.threads.create()["thread_id"])


@pytest.fixture
def database(far: Workspace) -> Iterator[psycopg.Connection[Any]]:
    """A connection to another database of that server, which may shut this one."""
    from psycopg.conninfo import make_conninfo

    with psycopg.connect(make_conninfo(far.parts.dsn, dbname="postgres"), autocommit=True) as opened:
        yield opened


@contextmanager
def away(far: Workspace, database: psycopg.Connection[Any]) -> Iterator[None]:
    """Nobody gets into the sessions' database, and who was in it is thrown out."""
    name = psycopg.conninfo.conninfo_to_dict(far.parts.dsn)["dbname"]
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    database.execute(allow.format(sql.Identifier(str(name)), sql.Literal(False)))
    database.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
    try:
        yield
    finally:
        database.execute(allow.format(sql.Identifier(str(name)), sql.Literal(True)))


def test_every_mode_and_a_reader_who_comes_again(
    client: SyncLangGraphClient, thread_id: str, server: tuple[str, Work], worker: Work
) -> None:
    told = list(client.runs.stream(thread_id, "dojang", input=says("When is check-out?"), stream_mode=MODES))
    assert [int(part.id or 0) for part in told] == list(range(1, len(told) + 1))
    names = {part.event for part in told}
    assert names >= {"metadata", "values", "updates", "events", "debug", "checkpoints", "tasks", "end"}
    run_id = told[0].data["run_id"]
    assert list(client.runs.join_stream(thread_id, run_id, last_event_id=told[3].id)) == told[4:]
    server[1].channels.forget(run_id)  # as after a start of the server
    assert list(client.runs.join_stream(thread_id, run_id, last_event_id=told[3].id)) == told[4:]
    until(lambda: not worker.channels._open)  # nobody reads there
    new = client.threads.stream(thread_id, assistant_id="dojang")
    with new as stream:
        stream.run.start(input=says("Is there parking?"))
        assert stream.output["answer"]["text"]
    rows = server[1].rows
    assert isinstance(rows, PgRows)
    rows.drop_brief(rows.now())
    server[1].channels.forget(run_id)
    gap, end = client.runs.join_stream(thread_id, run_id, last_event_id=told[3].id)
    assert (gap.event, gap.data["gap"], end.event, end.data["status"]) == ("metadata", True, "end", "success")


def test_who_waits_is_given_the_values_of_their_run(client: SyncLangGraphClient, thread_id: str, worker: Work) -> None:
    values: Any = client.runs.wait(None, "dojang", input=says("When is check-out?"))  # whose thread goes with it
    assert values["answer"]["text"]
    first: Any = client.runs.create(thread_id, "dojang", input=says("When is check-out?"))
    second: Any = client.runs.create(thread_id, "dojang", input=says("please book a room"))
    client.runs.join(thread_id, second["run_id"])
    values = client.runs.join(thread_id, first["run_id"])
    assert [m["content"] for m in values["messages"] if m["type"] == "human"] == ["When is check-out?"]
    assert client.runs.get(thread_id, second["run_id"])["status"] == "interrupted"


def test_a_cancel_reaches_the_worker(
    client: SyncLangGraphClient, thread_id: str, model: Held, worker: Work, server: tuple[str, Work]
) -> None:
    client.runs.wait(thread_id, "dojang", input=says("When is check-out?"))
    with model.held():
        run: Any = client.runs.create(thread_id, "dojang", input=says("Is there parking?"))
        assert model.speaking.wait(20)
        assert "busy" in str(server[1].rows.get(run["run_id"])) or worker._here
        client.runs.cancel(thread_id, run["run_id"], action="rollback")
    client.runs.join(thread_id, run["run_id"])
    assert client.runs.get(thread_id, run["run_id"])["status"] == "interrupted"
    said: Any = client.threads.get_state(thread_id)["values"]
    assert [m["content"] for m in said["messages"] if m["type"] == "human"] == ["When is check-out?"]


def _is_at(reader: Channel, n: int) -> bool:
    return reader.last >= n


def test_a_word_is_told_at_once(
    client: SyncLangGraphClient, server: tuple[str, Work], worker: Work, far: Workspace
) -> None:
    """From a worker's ``put`` to a reader of the server, through the database."""
    rows, work = worker.rows, server[1]
    assert isinstance(rows, PgRows)
    from tests.dojang.server.work.test_rows import row_for

    other = PgRows(rows.database)
    other.accept(row_for("spoken", "nobody's"), capacity=1000, after_s=3600)
    with other.writing() as db:
        db.execute("UPDATE runs SET not_before = 0 WHERE run_id = 'spoken'")  # whose job waits: only we know
    spoken = other.take("spoken")
    assert spoken is not None
    worker._here.add("spoken")  # one process is one holder
    channel = SharedChannel("spoken", other, lambda: None, lambda one: None)
    channel.taken(again=False)
    reader = work.channels.of("spoken", resumable=True)
    took = []
    for n in range(1, 6):
        began = time.perf_counter()
        channel.put("messages", b"{}")
        until(partial(_is_at, reader, n))
        took.append(time.perf_counter() - began)
    assert sorted(took)[2] < 0.5  # typically 0.03
    other.finish(spoken, "success")
    worker._here.discard("spoken")
    other.close()


def test_a_database_that_goes_away(
    client: SyncLangGraphClient,
    thread_id: str,
    far: Workspace,
    model: Held,
    worker: Work,
    server: tuple[str, Work],
    database: psycopg.Connection[Any],
) -> None:
    """What is asked meanwhile is refused; the run under way goes on when it is back, and its readers with it."""
    url, work = server
    with model.held():
        run: Any = client.runs.create(thread_id, "dojang", input=says("When is check-out?"), stream_resumable=True)
        assert model.speaking.wait(20)
        with away(far, database):
            body = {"assistant_id": "dojang", "input": says("Is there parking?")}
            answer = httpx.post(f"{url}threads/{thread_id}/runs", json=body, timeout=20)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert httpx.get(f"{url}healthz", timeout=20).status_code == 200, "nobody is to begin it again"
            model.free.set()
            until(lambda: not worker._here)
    parts = list(client.runs.join_stream(thread_id, run["run_id"]))
    assert (parts[0].event, parts[-1].event, parts[-1].data["status"]) == ("metadata", "end", "success")
    assert [row.run_id for row in work.rows.of(thread_id)] == [run["run_id"]]
    assert work.rows.get(run["run_id"]).attempt >= 2
    until(lambda: work.ailing() == "")


@pytest.mark.parametrize("kind", [SessionsAway, DatabaseAway, ToolsAway])
def test_a_run_that_meets_the_database_away_is_not_over(
    client: SyncLangGraphClient,
    thread_id: str,
    worker: Work,
    server: tuple[str, Work],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[PassingFault],
) -> None:
    """Whichever connection it was that broke, and however soon the database is back."""
    go, broken = worker.worker._go, [kind("broke off")]
    monkeypatch.setattr(kind, "retry_after_s", 0)

    def breaks(*args: Any) -> Any:
        if broken:
            raise broken.pop()
        return go(*args)

    monkeypatch.setattr(worker.worker, "_go", breaks)
    run: Any = client.runs.create(thread_id, "dojang", input=says("When is check-out?"))
    client.runs.join(thread_id, run["run_id"])
    row = server[1].rows.get(run["run_id"])
    assert (row.status, row.attempt) == ("success", 2)


def test_who_takes_runs(far: Workspace, server: tuple[str, Work], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "DEAD_S", 0)
    assert "dojang work" in server[1].ailing()
    told = {family.name: family for family in Standing(far.parts, server[1]).collect()}
    assert [sample.value for sample in told["dojang_worker_processes"].samples] == [0]
    with pytest.raises(UserError, match="DOJANG_SESSIONS=postgres"):
        Work(Workspace(far.settings.model_copy(update={"sessions": "files"})))


def test_a_server_without_workers_is_ready_takes_runs_in_and_says_who_is_missing(
    client: SyncLangGraphClient,
    thread_id: str,
    server: tuple[str, Work],
    far: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, pages = server[0], {"accept": "text/html"}
    far.settings.home.mkdir(exist_ok=True)  # as a server's start does
    with monkeypatch.context() as patched:
        patched.setattr(rows_module, "DEAD_S", 0)
        answer = httpx.get(f"{url}readyz")
        assert (answer.status_code, answer.json()["problems"]) == (200, {})
        assert "dojang work" in answer.json()["warnings"]["workers"]
        run: Any = client.runs.create(thread_id, "dojang", input=says("When is check-out?"))
        assert httpx.get(url, headers=pages).status_code == 200, "the inbox"
        assert "no worker is up now" in httpx.get(f"{url}threads/{thread_id}", headers=pages).text
    with Work(far, workers=1, follows=False, name="elsewhere"):
        client.runs.join(thread_id, run["run_id"])
        assert server[1].rows.get(run["run_id"]).status == "success"
        assert server[1].ailing() == ""
