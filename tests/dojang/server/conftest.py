"""A workspace of real parts (session files, PostgreSQL, tools, rules) behind the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from dojang.server import create_app
from dojang.server.work import Work
from dojang.workspace import Workspace
from state import Review
from tests.databases import fresh_database
from tests.dojang.server.screens import Open, chromium, running, tabs
from tests.dojang.workspaces import workspace_for

BASE = "http://127.0.0.1:8723"
RULES_EN = "Check-out is at 11:00. A room may be booked for two guests. Refunds are paid within 7 days.\n"
RULES_KO = "체크아웃은 오전 11시입니다. 예약은 체크인 3일 전까지 취소하면 객실료의 90 %를 환불합니다.\n"

Ask = Callable[[str], Review]


@contextmanager
def open_workspace(home: Path, server: str, **settings: Any) -> Iterator[Workspace]:
    """A workspace with two documents over a database of its own."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "rules.md").write_text(RULES_EN, encoding="utf-8")
    (home / "규정.md").write_text(RULES_KO, encoding="utf-8")
    with (
        fresh_database(server) as dsn,
        workspace_for(home / "home", dsn, **{"language": None, **settings}) as opened,
    ):
        opened.ingest([home / "rules.md", home / "규정.md"])
        opened.parts.toolbox  # noqa: B018 - its tables are made
        many_rooms(dsn)
        yield opened


def many_rooms(dsn: str) -> None:
    """So that nobody books the last one of others."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE rooms SET count = 10000")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Workspace]:
    """One for the tests of a module: each test asks on threads of its own."""
    with open_workspace(tmp_path_factory.mktemp("workspace"), postgres_server) as opened:
        yield opened


@pytest.fixture
def client(workspace: Workspace) -> Iterator[TestClient]:
    """A browser on one of our own pages, asking for English."""
    with browser_of(workspace) as client, client.app.state.work:  # type: ignore[attr-defined]
        yield client


@pytest.fixture
def program(workspace: Workspace) -> Iterator[TestClient]:
    """A program on this machine, without a token."""
    with TestClient(create_app(workspace), base_url=BASE, follow_redirects=False) as client:
        yield client


def browser_of(workspace: Workspace, **options: Any) -> TestClient:
    """A client that sends what a browser on our own page would send."""
    headers = {"origin": BASE, "sec-fetch-site": "same-origin", "accept-language": "en", "accept": "text/html,*/*"}
    return TestClient(create_app(workspace, **options), base_url=BASE, headers=headers, follow_redirects=False)


def settled(client: TestClient, thread: str) -> str:
    """The page of a thread (its address) when the server's workers have done what was asked of them."""
    work: Work = client.app.state.work  # type: ignore[attr-defined]
    thread_id = thread.partition("#")[0].rpartition("/")[2]

    async def wait() -> None:
        for row in work.rows.of(thread_id):
            async for _ in work.follow(row):
                pass

    asyncio.run(wait())
    return client.get(f"/threads/{thread_id}").text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def site(workspace: Workspace) -> Iterator[str]:
    """The address of a running server over the workspace of the module."""
    with running(workspace) as address:
        yield address


@pytest.fixture
def tab(browser: Any, site: str) -> Iterator[Open]:
    """Open a page in a fresh profile; every complaint of the browser fails the test."""
    with tabs(browser, site) as opened:
        yield opened


@pytest.fixture
def paused(workspace: Workspace) -> Ask:
    """Ask something that pauses; gives the review that waits."""

    def ask(text: str) -> Review:
        result = workspace.ask(text)
        assert result.status == "paused"
        return result.reviews[0]

    return ask


def decision(review: Review, kind: str, **fields: str) -> dict[str, str]:
    """What the bar's form posts."""
    return {"type": kind, "digest": review["digest"], **fields}


def edit_fields(review: Review, **changed: str) -> dict[str, str]:
    """The controls of the edit form of book_room, some of them changed."""
    names = ["hotel", "guest", "check_in", "check_out", "guests", "room_type"]
    shown = {name: str(review["action"]["args"][name]) for name in names}
    shown["room_type"] = f'"{shown["room_type"]}"'
    return {f"arg.{i}": changed.get(name, shown[name]) for i, name in enumerate(names)}
