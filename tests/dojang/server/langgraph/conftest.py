"""A real server on a real socket, with its workers, over a workspace whose model follows rules.

``DOJANG_TEST_WORKERS=elsewhere`` (with ``DOJANG_TEST_SESSIONS=postgres``) has the workers in a process of their own,
and a server that carries out nothing; ``hosts`` has them on four hosts that fail (``tests/hosts/shift.py``).
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import APIStatusError

from dojang.server.work import Work
from dojang.workspace import Workspace
from nodes.ports import Generator
from tests.dojang.server.conftest import many_rooms, open_workspace
from tests.dojang.server.screens import serving
from tests.dojang.workspaces import SESSIONS, TODAY, Rehearsed, environment_of
from tests.hosts.shift import Ground
from tests.processes import Forked

Started = tuple[Forked, SyncLangGraphClient]
Start = Callable[..., Any]
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok.").decode()
WORKERS = os.environ.get("DOJANG_TEST_WORKERS", "")
ELSEWHERE, PATIENCE = WORKERS in ("elsewhere", "hosts"), 6 if WORKERS == "hosts" else 1
"""``PATIENCE``: how many times as long things may take."""
own_workers = pytest.mark.skipif(ELSEWHERE, reason="of a server that carries its runs out itself")
"""For what a test sees of, or does to, the inside of the process that carries a run out."""
said_by_one = pytest.mark.skipif(WORKERS == "hosts", reason="of what a model has said, which is lost with its worker")
HOOKS: dict[str, Any] = {"webhook_secret": SECRET, "webhook_loopback": True}


def says(text: str) -> dict[str, Any]:
    """An input of one message."""
    return {"messages": [{"role": "user", "content": text}]}


def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[int, str]:
    """The status and the text with which a call of the SDK is refused; (200, "") where it is not."""
    try:
        call(*args, **kwargs)
    except APIStatusError as error:
        return error.status_code, str(error)
    except httpx.HTTPStatusError as error:  # what runs.wait raises
        return error.response.status_code, str(orjson.loads(error.__notes__[-1])["detail"])
    return 200, ""


def until(true: Callable[[], object]) -> None:
    """Look again and again until something is so."""
    deadline = time.monotonic() + 60 * PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Held(Rehearsed):
    """A model that waits before it speaks, while it is held; otherwise it follows the rules at once."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()
        self.speaking = threading.Event()

    def reply(self, messages: Any, **given: Any) -> Any:
        self.speaking.set()
        assert self.free.wait(30)
        return super().reply(messages, **given)

    @contextmanager
    def held(self) -> Iterator[None]:
        self.speaking.clear()
        self.free.clear()
        try:
            yield
        finally:
            self.free.set()


class Sign:
    """As an event, for several processes: it is set while its file is there, or while it is not."""

    def __init__(self, file: Path, *, there: bool) -> None:
        self.file, self.there = file, there

    def set(self) -> None:
        self._be(self.there)

    def clear(self) -> None:
        self._be(not self.there)

    def _be(self, there: bool) -> None:
        self.file.touch() if there else self.file.unlink(missing_ok=True)

    def wait(self, timeout_s: float) -> bool:
        last = time.monotonic() + timeout_s * PATIENCE
        while self.file.exists() != self.there and time.monotonic() < last:
            time.sleep(0.01)
        return self.file.exists() == self.there


class HeldElsewhere(Held):
    """The model of a worker in another process, see ``server_child.Silent``."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.silent = folder / "silent"
        self.free: Any = Sign(self.silent, there=False)
        self.speaking: Any = Sign(self.silent.with_suffix(".asked"), there=True)


@contextmanager
def workers_elsewhere(house: Workspace, model: HeldElsewhere) -> Iterator[Forked]:
    """A process that carries out what the server of a workspace accepts, in a home of its own."""
    folder = model.silent.parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}
    environment |= environment_of(house.settings) | {
        "DOJANG_HOME": str(folder / "home"),
        "DOJANG_WORKERS": "4",
        "DOJANG_TEST_SILENT": str(model.silent),
        "DOJANG_TEST_LOG": str(folder / "log"),
    }
    child = "tests.dojang.server.work.worker_child"
    with Forked(child, environment=environment, cwd=folder, stderr=False) as process:
        try:
            assert process.stdout.readline(), (folder / "log").read_text(encoding="utf-8")
            many_rooms(house.parts.dsn)  # its tools have made their tables anew
            yield process
        finally:
            process.kill()


@contextmanager
def workers_on_hosts(house: Workspace, model: HeldElsewhere, hosts: Ground) -> Iterator[None]:
    """Workers on four hosts. Webhooks are told by the server: their receiver is on its machine."""
    given = {name: value for name, value in environment_of(house.settings).items() if "WEBHOOK" not in name}
    silent = {"DOJANG_TEST_SILENT": str(model.silent)}
    with hosts.shift({**given, **silent}, house.parts.dsn):
        many_rooms(house.parts.dsn)  # their tools have made their tables anew
        yield


@contextmanager
def served(workspace: Workspace) -> Iterator[tuple[str, Work]]:
    """The address of a server and its runs. Nothing is done by the clock: each test says when."""
    with serving(workspace, due=False) as (address, app):
        yield address + "/", app.state.work


@pytest.fixture
def start(tmp_path: Path, postgres_dsn: str) -> Start:
    """Starts a server in a process of its own, over one home; gives the process and a client. ``stderr``: its log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}
    environment |= {
        "DOJANG_HOME": str(tmp_path / "home"),
        "DOJANG_DATABASE_URL": postgres_dsn,
        "DOJANG_SESSIONS": SESSIONS,
        "DOJANG_EMBEDDING": "none",
        "DOJANG_TODAY": TODAY.isoformat(),
        "DOJANG_USER": "kim",
        "DOJANG_TEST_SILENT": str(tmp_path / "silent"),
        "DOJANG_TEST_LOG": str(tmp_path / "stderr"),
    }

    @contextmanager
    def started(**more: str) -> Iterator[Started]:
        child = "tests.dojang.server.langgraph.server_child"
        with Forked(child, environment={**environment, **more}, cwd=tmp_path, stderr=False) as process:
            try:
                with get_sync_client(url=process.stdout.readline().strip(), api_key=None) as client:
                    yield process, client
            finally:
                process.kill()

    return started


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Held:
    return HeldElsewhere(tmp_path_factory.mktemp("elsewhere")) if ELSEWHERE else Held()


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: str, model: Generator) -> Iterator[Workspace]:
    """One workspace for the tests of this folder: each works on threads of its own."""
    home = tmp_path_factory.mktemp("house")
    here: dict[str, Any] = {"workers": 0} if ELSEWHERE else {}
    with open_workspace(home, postgres_server, generator=model, language="en", **HOOKS, **here) as opened:
        yield opened


@pytest.fixture(scope="package")
def server(house: Workspace, model: Held, request: pytest.FixtureRequest) -> Iterator[tuple[str, Work]]:
    with served(house) as found:
        if isinstance(model, HeldElsewhere) and WORKERS == "hosts":
            with workers_on_hosts(house, model, request.getfixturevalue("hosts")):
                yield found
        elif isinstance(model, HeldElsewhere):
            with workers_elsewhere(house, model):
                yield found
        else:
            yield found


@pytest.fixture
def alone(server: tuple[str, Work], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of these tests takes no run: whoever makes a ``Work`` of their own does, or nobody."""
    monkeypatch.setattr(server[1], "_next", lambda: None)


@pytest.fixture
def url(server: tuple[str, Work]) -> str:
    return server[0]


@pytest.fixture
def work(server: tuple[str, Work]) -> Work:
    return server[1]


@pytest.fixture
def client(url: str) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=url, api_key=None) as opened:
        yield opened


@pytest.fixture
def aclient(url: str) -> Callable[[], LangGraphClient]:
    return lambda: get_client(url=url, api_key=None)


@pytest.fixture
def thread_id(client: SyncLangGraphClient) -> str:
    return str(client.threads.create()["thread_id"])
