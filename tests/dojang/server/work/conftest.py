"""Rows in both databases; a server without workers and workers without a server, each a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from checkpoints.postgres.database import Database, configure
from dojang.server.work.base import Rows
from dojang.server.work.postgres.rows import PgRows
from dojang.server.work.postgres.tables import setup
from dojang.server.work.rows import RunRows
from store.database import Connections, connect
from tests.databases import fresh_database
from tests.dojang.workspaces import TODAY
from tests.processes import Forked

KINDS = ("sqlite", "postgres")


@contextmanager
def database_of(dsn: str) -> Iterator[Database]:
    """The sessions' database at an address, without tables."""

    def fresh() -> Any:
        connection = connect(dsn, autocommit=True)
        configure(connection)
        return connection

    pool = Connections(dsn, configure)
    try:
        yield Database(pool, fresh)
    finally:
        pool.close()


@contextmanager
def rows_of(kind: str, folder: Path, server: str) -> Iterator[Rows]:
    """Rows of one kind, empty."""
    with ExitStack() as stack:
        if kind == "sqlite":
            opened: Rows = RunRows(folder / "runs.sqlite")
        else:
            database = stack.enter_context(database_of(stack.enter_context(fresh_database(server))))
            setup(database)
            opened = PgRows(database)
        stack.callback(opened.close)
        yield opened


@pytest.fixture(params=KINDS)
def either(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: str) -> Iterator[Rows]:
    """The rows of each database in turn."""
    with rows_of(request.param, tmp_path, postgres_server) as opened:
        yield opened


class House:
    """Processes over one database and one home."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder, self.silent = folder, folder / "silent"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}
        self.environment = kept | {
            "DOJANG_HOME": str(folder / "home"),
            "DOJANG_SESSIONS": "postgres",
            "DOJANG_DATABASE_URL": dsn,
            "DOJANG_WORKERS": "0",
            "DOJANG_EMBEDDING": "none",
            "DOJANG_TODAY": TODAY.isoformat(),
            "DOJANG_USER": "kim",
            "DOJANG_TEST_SILENT": str(self.silent),
            "DOJANG_TEST_LOG": str(folder / "stderr"),
        }
        self.stack = ExitStack()

    def server(self, **more: str) -> SyncLangGraphClient:
        """A client of a server that carries nothing out itself."""
        process = self._start("tests.dojang.server.langgraph.server_child", [], more)
        return self.stack.enter_context(get_sync_client(url=process.stdout.readline().strip(), api_key=None))

    def worker(self, name: str, workers: int = 2, listen: str = "", **more: str) -> Forked:
        """A process that takes runs; where it is to ``listen``, its next line says where."""
        words = ["--name", name, "--workers", str(workers), *(["--listen", listen] if listen else [])]
        process = self._start("tests.dojang.server.work.worker_child", words, more)
        assert process.stdout.readline().startswith(name), (self.folder / "stderr").read_text()
        return process

    def _start(self, module: str, words: list[str], more: dict[str, str]) -> Forked:
        process = Forked(module, words, environment=self.environment | more, cwd=self.folder, stderr=False)
        self.stack.enter_context(process)
        self.stack.callback(process.kill)
        return process


@pytest.fixture
def house_of_workers(tmp_path: Path, postgres_dsn: str) -> Iterator[House]:
    """Nothing runs yet."""
    house = House(tmp_path, postgres_dsn)
    with house.stack:
        yield house


Houses = Callable[[], House]
