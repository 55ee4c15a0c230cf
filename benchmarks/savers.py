"""FileSaver beside LangGraph's savers: bytes, time a turn, resume, history, list, cold read of the newest, memory.

    python benchmarks/savers.py [--full] [--turns 200] [--list-threads 1000] [--threads-dir DIR] [--savers NAME …]
                                [--parts turns list] [--minutes 60]

``--full`` (or DOJANG_BENCH_FULL=1, also for ``make bench``): 1,000 turns and 10,000 threads; SqliteSaver then writes
2.1 GB, and it takes ten minutes or more. Everything is deleted again.

One node, a human message of 500 random characters in and an answer of 500 out, three checkpoints a turn,
``durability="sync"``. The durability of all is the same, and printed: a call is on the disk when it returns (those of
"FileSaver os" and InMemorySaver are not). PostgresSaver runs on the embedded PostgreSQL of ``store``.

"DoNothing" is a saver that keeps the last checkpoint's objects in memory, writes, copies and compares nothing: what
a turn costs with it is LangGraph's own work (it merges the whole list twice a turn).

Columns: ``mb`` on disk, ``x`` times the content (compact JSON of the final messages); ``ms_N`` median milliseconds of
the 20 turns up to turn N, ``cpu_N`` the same in CPU time of this process with all of its threads (what the disk and
PostgreSQL's own processes take is not in it), and in the second table what is left of both when DoNothing's are taken
away; on the long thread, medians of five: ``resume`` of an interrupt and ``hist10``, ten states of the history.
``cold``: the first read of the newest state by a process that has read none of it (a fork of one that did the imports
and a turn on another thread, so neither is counted, on either side), file cache warm, median of nine, ``cold_c`` in CPU
time; ``read_mb``: by how much that process grew. For InMemorySaver, which no other process can read, ``read_mb`` is
what it holds.

"Looks" is DoNothing and what no saver that notices changes in place can leave out: it compares the fields of every
message with copies of its own when the list is put, and when it is handed out again.

The third table is that of ``lists.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contenders import ALONE, SAVERS, Took, durability_of, open_saver, size_of  # noqa: E402
from lists import list_took  # noqa: E402

from checkpoints import FileSaver  # noqa: E402
from store.postgres.embedded import EmbeddedPostgres  # noqa: E402

CONFIG: Any = {"configurable": {"thread_id": "bench"}}

WINDOW = 20
"""Turns up to the one that is reported; their median is the figure."""


class Chat(TypedDict):
    """The state of the one-node graph."""

    messages: Annotated[list[AnyMessage], add_messages]


def text(rng: random.Random, size: int = 500) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


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

    def invoke(self, given: Any, *, asking: bool = False, config: Any = CONFIG) -> Took:
        """What one invocation took."""
        graph: Any = self.asking if asking else self.graph
        began = Took.now()
        if self.runner is not None:
            self.runner.run(graph.ainvoke(given, config, durability="sync"))
        else:
            graph.invoke(given, config, durability="sync")
        return began.since()

    def resume_ms(self) -> float:
        """A question is answered, on the thread as it is."""
        self.invoke({"messages": [HumanMessage("?")]}, asking=True)
        return self.invoke(Command(resume="yes"), asking=True).ms

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


def turns_took(chats: dict[str, Chatting], turns: int, minutes: float) -> dict[str, list[Took]]:
    """What every turn took. The savers take turns, so that what else the machine does falls on all alike."""
    rng, took = random.Random(8), {name: list[Took]() for name in chats}
    end = time.monotonic() + 60 * minutes
    for _ in range(turns):
        if time.monotonic() > end:
            break
        said = text(rng)
        for name, chat in chats.items():
            took[name].append(chat.invoke({"messages": [HumanMessage(said)]}))
    return took


def cold_reads(directories: dict[str, Path], repeats: int) -> dict[str, tuple[float, float, float]]:
    """(ms, CPU ms, MB) of the first read of a process that read nothing before: medians, the savers taking turns."""
    took: dict[str, list[list[float]]] = {name: [] for name in directories}
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
            took[name].append([float(figure) for figure in reader.stdout.readline().split()])
    for reader in readers.values():
        reader.communicate()
    return {
        name: (median(t[0] for t in times), median(t[1] for t in times), median(t[2] for t in times))
        for name, times in took.items()
    }


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


def read_once(name: str, directory: Path) -> tuple[float, float, float]:
    """Milliseconds, wall and CPU, of the newest state's first read, and by how many MB the process's peak grew."""
    with asyncio.Runner() as runner:
        saver: Any = open_saver(name, directory, runner)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = Took.now()
        found = runner.run(saver.aget_tuple(CONFIG)) if name == "AsyncSqliteSaver" else saver.get_tuple(CONFIG)
        took = began.since()
        assert found is not None
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if isinstance(saver, AsyncSqliteSaver):
            runner.run(saver.conn.close())
    return took.ms, took.cpu, grown


NAN = float("nan")
Row = dict[str, Any]


class Bench:
    """One run: its directories, its event loop, its PostgreSQL."""

    def __init__(self, base: Path, names: list[str], stack: contextlib.ExitStack) -> None:
        self.base = base
        self.names = names
        self.runner = stack.enter_context(asyncio.Runner())
        self.dsn = stack.enter_context(EmbeddedPostgres(base / "postgres")) if "PostgresSaver" in names else ""

    def directory(self, name: str, part: str) -> Path:
        """A new one for a saver."""
        made = self.base / f"{part}-{name.replace(' ', '-')}"
        made.mkdir()
        (made / "dsn").write_text(self.dsn)
        return made

    def long_thread(self, turns: int, minutes: float) -> tuple[list[Row], dict[str, str], int]:
        """Rows of the first table, how each saver was durable, and how many turns there was time for."""
        directories = {name: self.directory(name, "long") for name in self.names}
        chats = {
            name: Chatting(open_saver(name, d, self.runner), random.Random(7), self.runner)
            for name, d in directories.items()
        }
        took = turns_took(chats, turns, minutes)
        for chat in chats.values():
            if isinstance(chat.saver, FileSaver):
                chat.saver.sessions.of("bench").packer.wait()
        durable = {name: durability_of(name, chat.saver, self.runner) for name, chat in chats.items()}
        rows = [self._row(name, directories[name], took[name], chats[name]) for name in self.names]
        for chat in chats.values():
            if isinstance(chat.saver, AsyncSqliteSaver):
                self.runner.run(chat.saver.conn.close())
            elif isinstance(chat.saver, PostgresSaver):
                chat.saver.conn.close()
        readable = {n: d for n, d in directories.items() if n not in ("InMemorySaver", *ALONE)}
        cold = cold_reads(readable, 9)
        for row in rows:
            held = row.pop("held")
            row["cold"], row["cold_c"], row["read_mb"] = cold.get(row["saver"], (NAN, NAN, held))
        return rows, durable, min(map(len, took.values()))

    def _row(self, name: str, directory: Path, took: list[Took], chat: Chatting) -> Row:
        size = size_of(name, directory) / 1e6
        row: Row = {"saver": name, "mb": size, "x": size / content_mb(len(took))}
        for mark in (m for m in (10, 100, 200, 500, 1000) if m <= len(took)):
            window = took[max(0, mark - WINDOW) : mark]
            row |= {f"ms_{mark}": median(t.ms for t in window), f"cpu_{mark}": median(t.cpu for t in window)}
        row["cpu_mean"] = sum(t.cpu for t in took) / len(took)
        whole = name not in ALONE  # which can neither resume nor remember
        row["resume"] = median(chat.resume_ms() for _ in range(5)) if whole else NAN
        row["hist10"] = median(chat.history_ms() for _ in range(5)) if whole else NAN
        held = sum(len(data) for _, data in chat.saver.blobs.values()) if isinstance(chat.saver, InMemorySaver) else NAN
        return row | {"held": held / 1e6}

    def lists(self, threads: int) -> list[Row]:
        """Rows of the third table."""
        rows = []
        for name in (n for n in self.names if n not in ALONE):
            rows.append({"saver": name, **list_took(name, self.directory(name, "list"), threads, self.runner)})
        return rows


def without(rows: list[Row], name: str) -> list[Row]:
    """What each saver's turns take beyond those of another one."""
    base = next((row for row in rows if row["saver"] == name), None)
    if base is None:
        return []
    columns = [k for k in base if k.startswith(("ms_", "cpu_"))]
    return [{"saver": r["saver"], **{k: r[k] - base[k] for k in columns}} for r in rows if r is not base]


def beside_sqlite(rows: list[Row]) -> str:
    """FileSaver's figures as parts of SqliteSaver's, of this run."""
    by = {row["saver"]: row for row in rows}
    if not {"FileSaver", "SqliteSaver"} <= by.keys():
        return ""
    ours, theirs = by["FileSaver"], by["SqliteSaver"]
    parts = [f"{k} {ours[k] / theirs[k]:.3g}" for k in ours if k not in ("saver", "x") and theirs[k]]
    return "FileSaver / SqliteSaver: " + ", ".join(parts)


def show(title: str, rows: list[Row]) -> None:
    if not rows:
        return
    print(f"\n{title}")
    print(" ".join(f"{k:<17}" if k == "saver" else f"{k:>9}" for k in rows[0]))
    for row in rows:
        print(" ".join(f"{v:>9.2f}" if isinstance(v, float) else f"{v:<17}" for v in row.values()))
    if line := beside_sqlite(rows):
        print(line)


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
    parser.add_argument("--parts", nargs="+", choices=("turns", "list"), default=("turns", "list"))
    parser.add_argument("--minutes", type=float, default=7, help="end the turns after so many")
    parser.add_argument("--threads-dir", type=Path, default=None, help="where to write; default: the temp directory")
    parser.add_argument("--read", nargs=2, metavar=("SAVER", "DIR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        serve_reads(args.read[0], Path(args.read[1]))
        return
    turns = args.turns or (1000 if args.full else 200)
    listed = args.list_threads or (10_000 if args.full else 1000)
    with (
        tempfile.TemporaryDirectory(dir=args.threads_dir, ignore_cleanup_errors=True) as base,
        contextlib.ExitStack() as stack,
    ):
        bench = Bench(Path(base), args.savers, stack)
        if "turns" in args.parts:
            rows, durable, turns = bench.long_thread(turns, args.minutes)
            show(f"{turns} turns of 2 x 500 characters, content {content_mb(turns):.3f} MB", rows)
            show("The same beyond DoNothing: what is the saver's own", without(rows, "DoNothing"))
            print(*(f"durability of {name}: {what}" for name, what in durable.items()), sep="\n", flush=True)
        if "list" in args.parts:
            show(f"Lists over {listed} threads", bench.lists(listed))


if __name__ == "__main__":
    main()
