"""FileSaver beside LangGraph's savers: bytes, time a turn, resume, history, list, cold read of the newest, memory.

    python benchmarks/savers.py [--full] [--turns 200] [--list-threads 1000] [--threads-dir DIR] [--savers NAME …]

``--full`` (or DOJANG_BENCH_FULL=1, also for ``make bench``): 1,000 turns and 10,000 threads; SqliteSaver then writes
2.1 GB, and it takes ten minutes or more. Everything is deleted again.

One node, a human message of 500 random characters in and an answer of 500 out, three checkpoints a turn,
``durability="sync"``. The durability of all is the same, and printed: a call is on the disk when it returns (those of
"FileSaver os" and InMemorySaver are not). PostgresSaver runs on the embedded PostgreSQL of ``store``.

Columns: ``mb`` on disk, ``x`` times the content (compact JSON of the final messages); ``ms_N`` median milliseconds of
the 20 turns up to turn N; on the long thread, medians of five: ``resume`` of an interrupt and ``hist10``, ten states
of the history. ``list``: all checkpoints, by a metadata filter, of so many small threads (written without waiting for
the disk, each with one checkpoint), ``list10`` the ten newest of them. ``cold``: the first read of the newest state by
a process that has read none of it (a fork of one that did the imports and a turn on another thread, so neither is
counted, on either side), file cache warm, median of nine; ``read_mb``: by how much that process grew. For
InMemorySaver, which no other process can read, ``read_mb`` is what it holds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import sqlite3
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any, TypedDict

import aiosqlite
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from psycopg import Connection
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from checkpoints import FileSaver  # noqa: E402
from store.embedded import EmbeddedPostgres  # noqa: E402

CONFIG: Any = {"configurable": {"thread_id": "bench"}}
SAVERS = ["FileSaver", "FileSaver os", "InMemorySaver", "SqliteSaver", "AsyncSqliteSaver", "PostgresSaver"]
RELAXED = {"SqliteSaver": "PRAGMA synchronous = OFF", "PostgresSaver": "SET synchronous_commit = off"}
"""How a saver's database is told not to wait for the disk, to fill it quickly."""

WINDOW = 20
"""Turns up to the one that is reported; their median is the figure."""


class Chat(TypedDict):
    """The state of the one-node graph."""

    messages: Annotated[list[AnyMessage], add_messages]


def text(rng: random.Random, size: int = 500) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


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
    return InMemorySaver()


class Chatting:
    """A saver with its graphs: one that answers, one that also asks; async savers through an event loop."""

    def __init__(
        self, saver: BaseCheckpointSaver[Any], rng: random.Random, runner: asyncio.Runner | None = None
    ) -> None:
        self.saver = saver
        self.runner = runner if isinstance(saver, AsyncSqliteSaver) else None

        def answer(state: Chat) -> dict[str, Any]:
            return {"messages": [AIMessage(text(rng))]}

        def ask(state: Chat) -> dict[str, Any]:
            return {"messages": [HumanMessage(interrupt("?"))]}

        builder = StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer")
        self.graph = builder.compile(checkpointer=saver)
        self.asking = StateGraph(Chat).add_node("ask", ask).add_edge(START, "ask").compile(checkpointer=saver)

    def invoke(self, given: Any, *, asking: bool = False, config: Any = CONFIG) -> float:
        """Milliseconds of one invocation."""
        graph: Any = self.asking if asking else self.graph
        began = time.perf_counter()
        if self.runner is not None:
            self.runner.run(graph.ainvoke(given, config, durability="sync"))
        else:
            graph.invoke(given, config, durability="sync")
        return (time.perf_counter() - began) * 1000

    def resume_ms(self) -> float:
        """A question is answered, on the thread as it is."""
        self.invoke({"messages": [HumanMessage("?")]}, asking=True)
        return self.invoke(Command(resume="yes"), asking=True)

    def history_ms(self) -> float:
        """The ten newest states."""
        began = time.perf_counter()
        if self.runner is not None:

            async def read() -> int:
                return len([s async for s in self.graph.aget_state_history(CONFIG, limit=10)])

            assert self.runner.run(read()) == 10
        else:
            assert len(list(self.graph.get_state_history(CONFIG, limit=10))) == 10
        return (time.perf_counter() - began) * 1000


def turns_ms(chats: dict[str, Chatting], turns: int) -> dict[str, list[float]]:
    """Milliseconds of every turn. The savers take turns, so that what else the machine does falls on all alike."""
    rng, took = random.Random(8), {name: list[float]() for name in chats}
    for _ in range(turns):
        said = text(rng)
        for name, chat in chats.items():
            took[name].append(chat.invoke({"messages": [HumanMessage(said)]}))
    return took


def list_ms(name: str, directory: Path, threads: int, runner: asyncio.Runner) -> tuple[float, float]:
    """(all, the newest ten) checkpoints of so many threads, of one checkpoint each, in a directory of their own."""
    configs: list[Any] = [{"configurable": {"thread_id": f"l{i}", "checkpoint_ns": ""}} for i in range(threads)]
    filling: Any = open_saver("FileSaver os" if name == "FileSaver" else name, directory, runner)

    async def fill() -> None:
        await filling.setup()
        await filling.conn.execute("PRAGMA synchronous = OFF")
        for config in configs:
            await filling.aput(config, empty_checkpoint(), {"source": "input", "step": -7}, {})
        await filling.conn.commit()

    if isinstance(filling, AsyncSqliteSaver):
        runner.run(fill())
    else:
        if name in RELAXED:
            filling.setup()
            filling.conn.execute(RELAXED[name])
        for config in configs:
            filling.put(config, empty_checkpoint(), {"source": "input", "step": -7}, {})
    saver = filling
    if name.startswith("FileSaver"):
        saver = open_saver(name, directory)  # that remembers nothing

    async def read(limit: int | None) -> int:
        return len([t async for t in saver.alist(None, filter={"step": -7}, limit=limit)])

    took = []
    for limit in (None, 10):
        began = time.perf_counter()
        if isinstance(saver, AsyncSqliteSaver):
            found = runner.run(read(limit))
        else:
            found = len(list(saver.list(None, filter={"step": -7}, limit=limit)))
        took.append((time.perf_counter() - began) * 1000)
        assert found == (limit or threads)
    if isinstance(saver, AsyncSqliteSaver):
        runner.run(saver.conn.close())
    return took[0], took[1]


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
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())


def cold_reads(directories: dict[str, Path], repeats: int) -> dict[str, tuple[float, float]]:
    """(ms, MB) of the first read of a process that read nothing before: medians, the savers taking turns."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in directories}
    readers = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--read", name, str(d)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name, d in directories.items()
    }
    for reader in readers.values():
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for _ in range(repeats):
        for name, reader in readers.items():
            assert reader.stdin is not None
            assert reader.stdout is not None
            print(file=reader.stdin, flush=True)
            ms, mb = reader.stdout.readline().split()
            took[name].append((float(ms), float(mb)))
    for reader in readers.values():
        reader.communicate()
    return {name: (median(t[0] for t in times), median(t[1] for t in times)) for name, times in took.items()}


def serve_reads(name: str, directory: Path) -> None:
    """For each line of stdin, one read in a fork of this process, which has done its imports and its first calls."""
    warm = directory.parent / f"warm-{time.time_ns()}"
    warm.mkdir()
    with asyncio.Runner() as runner:
        if name == "PostgresSaver":
            (warm / "dsn").write_text((directory / "dsn").read_text())
        saver: Any = open_saver(name, warm, runner)
        chat = Chatting(saver, random.Random(7), runner)
        config: Any = {"configurable": {"thread_id": "warm", "checkpoint_ns": ""}}
        chat.invoke({"messages": [HumanMessage("?")]}, config=config)
        if isinstance(saver, AsyncSqliteSaver):
            runner.run(saver.conn.close())
        elif not isinstance(saver, FileSaver):
            saver.conn.close()
    print("ready", flush=True)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                print(*read_once(name, directory), flush=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def read_once(name: str, directory: Path) -> tuple[float, float]:
    """Milliseconds of the newest state's first read, and by how many MB the process's peak grew."""
    with asyncio.Runner() as runner:
        saver: Any = open_saver(name, directory, runner)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        found = runner.run(saver.aget_tuple(CONFIG)) if name == "AsyncSqliteSaver" else saver.get_tuple(CONFIG)
        took = (time.perf_counter() - began) * 1000
        assert found is not None
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if isinstance(saver, AsyncSqliteSaver):
            runner.run(saver.conn.close())
    return took, grown


def measure(names: list[str], turns: int, listed: int, base: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    directories = {name: base / name.replace(" ", "-") for name in names}
    beside = {name: base / f"list-{name.replace(' ', '-')}" for name in names}
    for directory in (*directories.values(), *beside.values()):
        directory.mkdir()
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        if "PostgresSaver" in names:
            dsn = stack.enter_context(EmbeddedPostgres(base / "postgres"))
            for directory in (directories["PostgresSaver"], beside["PostgresSaver"]):
                (directory / "dsn").write_text(dsn)
        chats = {
            name: Chatting(open_saver(name, d, runner), random.Random(7), runner) for name, d in directories.items()
        }
        took = turns_ms(chats, turns)
        for chat in chats.values():
            if isinstance(chat.saver, FileSaver):
                chat.saver.sessions.of("bench").packer.wait()
        sizes = {name: size_of(name, d) / 1e6 for name, d in directories.items()}
        durable = {name: durability_of(name, chat.saver, runner) for name, chat in chats.items()}
        resumed = {name: median(chat.resume_ms() for _ in range(5)) for name, chat in chats.items()}
        history = {name: median(chat.history_ms() for _ in range(5)) for name, chat in chats.items()}
        cold = cold_reads(
            {name: d for name, d in directories.items() if name != "InMemorySaver"}, 9 if turns >= 1000 else 5
        )
        for chat in chats.values():
            if isinstance(chat.saver, AsyncSqliteSaver):
                runner.run(chat.saver.conn.close())
            elif isinstance(chat.saver, PostgresSaver):
                chat.saver.conn.close()
            elif isinstance(chat.saver, InMemorySaver):
                held = sum(len(data) for _, data in chat.saver.blobs.values()) / 1e6
                cold["InMemorySaver"] = (float("nan"), held)
        lists = {name: list_ms(name, d, listed, runner) for name, d in beside.items()}
    marks = [m for m in (10, 100, 200, 500, 1000) if m <= turns]
    rows = []
    for name in names:
        row: dict[str, Any] = {"saver": name, "mb": sizes[name], "x": sizes[name] / content_mb(turns)}
        row |= {f"ms_{m}": median(took[name][max(0, m - WINDOW) : m]) for m in marks}
        row |= {"resume": resumed[name], "hist10": history[name]}
        row |= dict(zip(("list", "list10"), lists[name], strict=True))
        rows.append(row | dict(zip(("cold", "read_mb"), cold[name], strict=True)))
    return rows, durable


def beside_sqlite(rows: list[dict[str, Any]]) -> str:
    """FileSaver's figures as parts of SqliteSaver's, of this run."""
    by = {row["saver"]: row for row in rows}
    if not {"FileSaver", "SqliteSaver"} <= by.keys():
        return ""
    ours, theirs = by["FileSaver"], by["SqliteSaver"]
    parts = [f"{k} {ours[k] / theirs[k]:.3g}" for k in ours if k not in ("saver", "x") and theirs[k]]
    return "FileSaver / SqliteSaver: " + ", ".join(parts)


def content_mb(turns: int) -> float:
    """Bytes of the final message list as compact JSON: what is said, with ids."""
    rng, total = random.Random(7), 0
    for _ in range(turns):
        for kind in (HumanMessage, AIMessage):
            message = kind(text(rng), id="x" * 36)
            total += len(json.dumps(message.model_dump(), separators=(",", ":")))
    return total / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    full = os.environ.get("DOJANG_BENCH_FULL") == "1"
    parser.add_argument("--full", action="store_true", default=full, help="1,000 turns and 10,000 threads")
    parser.add_argument("--turns", type=int, default=None)
    parser.add_argument("--list-threads", type=int, default=None, help="threads to list")
    parser.add_argument("--savers", nargs="+", choices=SAVERS, default=SAVERS)
    parser.add_argument("--threads-dir", type=Path, default=None, help="where to write; default: the temp directory")
    parser.add_argument("--read", nargs=2, metavar=("SAVER", "DIR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        serve_reads(args.read[0], Path(args.read[1]))
        return
    turns = args.turns or (1000 if args.full else 200)
    listed = args.list_threads or (10_000 if args.full else 1000)
    with tempfile.TemporaryDirectory(dir=args.threads_dir, ignore_cleanup_errors=True) as base:
        rows, durable = measure(args.savers, turns, listed, Path(base))
    print(f"{turns} turns of 2 x 500 characters, content {content_mb(turns):.3f} MB; {listed} threads in list")
    width: Callable[[Any], str] = lambda v: f"{v:>9.2f}" if isinstance(v, float) else f"{v:<17}"  # noqa: E731
    print(" ".join(f"{k:<17}" if k == "saver" else f"{k:>9}" for k in rows[0]))
    for row in rows:
        print(" ".join(width(v) for v in row.values()))
    print(beside_sqlite(rows))
    for name, what in durable.items():
        print(f"durability of {name}: {what}")


if __name__ == "__main__":
    main()
