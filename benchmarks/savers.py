"""FileSaver beside LangGraph's savers: bytes, time a turn, resume, history, list, cold read of the newest state.

    python benchmarks/savers.py [--turns 500] [--list-threads 200] [--threads-dir DIR] [--savers NAME …]

One node, a human message of 500 random characters in and an answer of 500 out, three checkpoints a turn,
``durability="sync"``. SqliteSaver writes about 530 MB for 500 turns (2.1 GB for 1,000); everything is deleted again.
"PostgresSaver" runs on the embedded PostgreSQL of ``store``, with the durability that it has by default.

Columns: ``mb`` on disk; ``ms_N`` median milliseconds of the 20 turns up to turn N; on the long thread, medians of
five: ``resume`` of an interrupt and ``hist10``, ten states of the history; ``list``: the checkpoints of all threads of
``--list-threads`` small ones; ``cold``: the first read in a fresh process (median of nine), and by how many MB it grew.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
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

    def invoke(self, given: Any, *, asking: bool = False) -> float:
        """Milliseconds of one invocation."""
        graph: Any = self.asking if asking else self.graph
        began = time.perf_counter()
        if self.runner is not None:
            self.runner.run(graph.ainvoke(given, CONFIG, durability="sync"))
        else:
            graph.invoke(given, CONFIG, durability="sync")
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

    def list_ms(self, threads: int) -> float:
        """All checkpoints of this many further threads, which have one each."""
        configs: list[Any] = [{"configurable": {"thread_id": f"l{i}", "checkpoint_ns": ""}} for i in range(threads)]
        runner = self.runner
        if runner is not None:

            async def fill() -> None:
                for config in configs:
                    await self.saver.aput(config, empty_checkpoint(), {"source": "input", "step": -7}, {})

            async def read() -> int:
                return len([t async for t in self.saver.alist(None, filter={"step": -7})])

            runner.run(fill())
            began = time.perf_counter()
            assert runner.run(read()) == threads
        else:
            for config in configs:
                self.saver.put(config, empty_checkpoint(), {"source": "input", "step": -7}, {})
            began = time.perf_counter()
            assert len(list(self.saver.list(None, filter={"step": -7}))) == threads
        return (time.perf_counter() - began) * 1000


def turns_ms(chats: dict[str, Chatting], turns: int) -> dict[str, list[float]]:
    """Milliseconds of every turn. The savers take turns, so that what else the machine does falls on all alike."""
    rng, took = random.Random(8), {name: list[float]() for name in chats}
    for _ in range(turns):
        said = text(rng)
        for name, chat in chats.items():
            took[name].append(chat.invoke({"messages": [HumanMessage(said)]}))
    return took


def size_of(name: str, directory: Path) -> int:
    """Bytes on disk; of PostgreSQL the checkpointer's tables with their indexes."""
    if name == "PostgresSaver":
        names = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
        with Connection.connect((directory / "dsn").read_text()) as connection:
            query = "SELECT pg_total_relation_size(t::regclass) FROM unnest(%s::text[]) t"
            rows = connection.execute(query, [list(names)])
            return sum(row[0] for row in rows)
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())


def cold_reads(directories: dict[str, Path]) -> dict[str, tuple[float, float]]:
    """(ms, MB) of the first read of a fresh process, imports not counted: medians of nine, the savers taking turns."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in directories}
    for _ in range(9):
        for name, directory in directories.items():
            command = [sys.executable, __file__, "--read", name, str(directory)]
            ms, mb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            took[name].append((float(ms), float(mb)))
    return {name: (median(t[0] for t in times), median(t[1] for t in times)) for name, times in took.items()}


def read_once(name: str, directory: Path) -> tuple[float, float]:
    """Milliseconds of the newest state's first read, and by how many MB the process's peak grew."""
    with asyncio.Runner() as runner:
        if name != "PostgresSaver":  # lazy imports and first calls, on another, tiny thread
            warm = directory.parent / f"warm-{time.time_ns()}"
            warm.mkdir()
            turns_ms({name: Chatting(open_saver(name, warm, runner), random.Random(7), runner)}, 1)
        saver = open_saver(name, directory, runner)
        if name == "PostgresSaver":
            saver.get_tuple({"configurable": {"thread_id": "l0", "checkpoint_ns": ""}})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        found = runner.run(saver.aget_tuple(CONFIG)) if name == "AsyncSqliteSaver" else saver.get_tuple(CONFIG)
        took = (time.perf_counter() - began) * 1000
        assert found is not None
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if isinstance(saver, AsyncSqliteSaver):
            runner.run(saver.conn.close())
            return took, grown
    return took, grown


def measure(names: list[str], turns: int, listed: int, base: Path) -> list[dict[str, Any]]:
    directories = {name: base / name.replace(" ", "-") for name in names}
    for directory in directories.values():
        directory.mkdir()
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        if "PostgresSaver" in names:
            (directories["PostgresSaver"] / "dsn").write_text(stack.enter_context(EmbeddedPostgres(base / "postgres")))
        chats = {
            name: Chatting(open_saver(name, d, runner), random.Random(7), runner) for name, d in directories.items()
        }
        took = turns_ms(chats, turns)
        sizes = {name: size_of(name, d) / 1e6 for name, d in directories.items()}
        resumed = {name: median(chat.resume_ms() for _ in range(5)) for name, chat in chats.items()}
        history = {name: median(chat.history_ms() for _ in range(5)) for name, chat in chats.items()}
        lists = {name: chat.list_ms(listed) for name, chat in chats.items()}
        cold = cold_reads({name: d for name, d in directories.items() if name != "InMemorySaver"})
        for chat in chats.values():
            if isinstance(chat.saver, AsyncSqliteSaver):
                runner.run(chat.saver.conn.close())
            elif isinstance(chat.saver, PostgresSaver):
                chat.saver.conn.close()
    marks = [m for m in (10, 100, 500, 1000) if m <= turns]
    rows = []
    nothing = float("nan")
    for name in names:
        row: dict[str, Any] = {"saver": name, "mb": sizes[name]}
        row |= {f"ms_{m}": median(took[name][max(0, m - WINDOW) : m]) for m in marks}
        row |= {"resume": resumed[name], "hist10": history[name], "list": lists[name]}
        rows.append(row | dict(zip(("cold", "cold_mb"), cold.get(name, (nothing, nothing)), strict=True)))
    return rows


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
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--list-threads", type=int, default=200, help="threads to list")
    parser.add_argument("--savers", nargs="+", choices=SAVERS, default=SAVERS)
    parser.add_argument("--threads-dir", type=Path, default=None, help="where to write; default: the temp directory")
    parser.add_argument("--read", nargs=2, metavar=("SAVER", "DIR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print(*read_once(args.read[0], Path(args.read[1])))
        return
    with tempfile.TemporaryDirectory(dir=args.threads_dir, ignore_cleanup_errors=True) as base:
        rows = measure(args.savers, args.turns, args.list_threads, Path(base))
    print(f"{args.turns} turns of 2 x 500 characters, content {content_mb(args.turns):.3f} MB")
    width: Callable[[Any], str] = lambda v: f"{v:>10.2f}" if isinstance(v, float) else f"{v:<17}"  # noqa: E731
    print(" ".join(f"{k:<17}" if k == "saver" else f"{k:>10}" for k in rows[0]))
    for row in rows:
        print(" ".join(width(v) for v in row.values()))


if __name__ == "__main__":
    main()
