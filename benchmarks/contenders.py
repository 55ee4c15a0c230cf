"""The savers that ``savers.py`` compares: how each is opened, how durable it is, what it takes on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from psycopg import Connection
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from checkpoints import FileSaver  # noqa: E402

ALONE = ("DoNothing", "Looks")
"""They measure what belongs to nobody's storage."""

SAVERS = [*ALONE, "FileSaver", "FileSaver os", "InMemorySaver", "SqliteSaver", "AsyncSqliteSaver", "PostgresSaver"]
RELAXED = {"SqliteSaver": "PRAGMA synchronous = OFF", "PostgresSaver": "SET synchronous_commit = off"}
"""How a saver's database is told not to wait for the disk, to fill it quickly."""


class Took(NamedTuple):
    """A point in time, or a stretch of it."""

    ms: float  # wall
    cpu: float  # milliseconds of this process

    @staticmethod
    def now() -> Took:
        """This instant."""
        return Took(time.perf_counter() * 1000, time.process_time() * 1000)

    def since(self) -> Took:
        """From then to now."""
        now = Took.now()
        return Took(now.ms - self.ms, now.cpu - self.cpu)


class DoNothing(BaseCheckpointSaver[Any]):
    """Hands the last checkpoint's own objects back."""

    def __init__(self) -> None:
        super().__init__()
        self._last: CheckpointTuple | None = None

    def get_next_version(self, current: Any, channel: None) -> int:
        """One more."""
        return 1 if current is None else int(current) + 1

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """The last one that was put."""
        return self._last

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Keeps the objects."""
        where: Any = {**config["configurable"], "checkpoint_id": checkpoint["id"]}
        self._last = CheckpointTuple({"configurable": where}, checkpoint, metadata, None, [])
        return self._last.config

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Nothing."""


class Looks(DoNothing):
    """Compares every message with a copy of its own whenever the list comes by."""

    def __init__(self) -> None:
        super().__init__()
        self._shots: list[dict[str, Any]] = []

    def _look(self, messages: list[Any]) -> None:
        n = min(len(messages), len(self._shots))
        if list(map(vars, messages[:n])) != self._shots[:n]:
            n = 0
        self._shots = self._shots[:n] + [dict(vars(m)) for m in messages[n:]]

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """The last one, looked at."""
        if self._last is not None:
            self._look(self._last.checkpoint["channel_values"].get("messages", []))
        return self._last

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Looks at what was put."""
        if "messages" in new_versions:
            self._look(checkpoint["channel_values"].get("messages", []))
        return super().put(config, checkpoint, metadata, new_versions)


def open_saver(name: str, directory: Path, runner: asyncio.Runner | None = None) -> BaseCheckpointSaver[Any]:
    """A saver over a directory; PostgresSaver finds the address of its server in the file ``dsn`` there."""
    if name == "SqliteSaver":
        return SqliteSaver(sqlite3.connect(directory / "db.sqlite", check_same_thread=False))
    if name == "AsyncSqliteSaver":
        assert runner is not None

        async def connect() -> AsyncSqliteSaver:
            return AsyncSqliteSaver(await aiosqlite.connect(directory / "db.sqlite"))

        return runner.run(connect())
    if name == "PostgresSaver":
        dsn = (directory / "dsn").read_text()
        saver = PostgresSaver(Connection.connect(dsn, autocommit=True, prepare_threshold=0, row_factory=dict_row))
        saver.setup()
        return saver
    if name.startswith("FileSaver"):
        return FileSaver(directory / "threads", durability="os" if "os" in name else "sync")
    return {"DoNothing": DoNothing, "Looks": Looks}.get(name, InMemorySaver)()


def close(saver: Any, runner: asyncio.Runner) -> None:
    """Let go of a database."""
    if isinstance(saver, AsyncSqliteSaver):
        runner.run(saver.conn.close())
    elif isinstance(saver, (SqliteSaver, PostgresSaver)):
        saver.conn.close()


def durability_of(name: str, saver: Any, runner: asyncio.Runner) -> str:
    """What a saver does to be durable, asked of it."""
    if name == "SqliteSaver":
        asked = [saver.conn.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous")]
        return f"journal_mode={asked[0]} synchronous={asked[1]} (2: FULL)"
    if name == "AsyncSqliteSaver":

        async def ask(pragma: str) -> Any:
            async with saver.conn.execute(f"PRAGMA {pragma}") as cursor:
                row = await cursor.fetchone()
                return row[0]

        return f"journal_mode={runner.run(ask('journal_mode'))} synchronous={runner.run(ask('synchronous'))} (2: FULL)"
    if name == "PostgresSaver":
        asked = [
            next(iter(saver.conn.execute(f"SHOW {p}").fetchone().values()))
            for p in ("fsync", "synchronous_commit", "wal_sync_method")
        ]
        return "fsync={} synchronous_commit={} wal_sync_method={}".format(*asked)
    return {"FileSaver": "fdatasync before each call returns", "FileSaver os": "none (survives kill -9)"}.get(
        name, "none"
    )


def size_of(name: str, directory: Path) -> int:
    """Bytes on disk; of PostgreSQL the checkpointer's tables with their indexes."""
    if name == "PostgresSaver":
        names = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        with Connection.connect((directory / "dsn").read_text()) as connection:
            query = "SELECT pg_total_relation_size(t::regclass) FROM unnest(%s::text[]) t"
            rows = connection.execute(query, [list(names)])
            return sum(row[0] for row in rows)
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file() and p.name != "dsn")
