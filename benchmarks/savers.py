"""FileSaver beside SqliteSaver and InMemorySaver: bytes, time a turn, cold read of the newest state.

    python benchmarks/savers.py [--turns 500] [--threads-dir DIR]

One node, a human message of 500 random characters in and an answer of 500 out, three checkpoints a turn,
``durability="sync"``. SqliteSaver writes about 530 MB for 500 turns; everything is deleted again.
"""

from __future__ import annotations

import argparse
import json
import random
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

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from checkpoints import FileSaver  # noqa: E402

CONFIG: Any = {"configurable": {"thread_id": "bench"}}
WINDOW = 20
"""Turns up to the one that is reported; their median is the figure."""


class Chat(TypedDict):
    """The state of the one-node graph."""

    messages: Annotated[list[AnyMessage], add_messages]


def text(rng: random.Random, size: int = 500) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


def open_saver(name: str, directory: Path) -> BaseCheckpointSaver[Any]:
    if name == "SqliteSaver":
        return SqliteSaver(sqlite3.connect(directory / "db.sqlite", check_same_thread=False))
    if name.startswith("FileSaver"):
        return FileSaver(directory / "threads", durability="os" if "os" in name else "sync")
    return InMemorySaver()


def graph_of(saver: BaseCheckpointSaver[Any], rng: random.Random) -> Any:
    def answer(state: Chat) -> dict[str, Any]:
        return {"messages": [AIMessage(text(rng))]}

    return StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer").compile(checkpointer=saver)


def turns_ms(savers: dict[str, BaseCheckpointSaver[Any]], turns: int) -> dict[str, list[float]]:
    """Milliseconds of every turn. The savers take turns, so that what else the machine does falls on all alike."""
    graphs = {name: graph_of(saver, random.Random(7)) for name, saver in savers.items()}
    rng, took = random.Random(8), {name: list[float]() for name in savers}
    for _ in range(turns):
        said = text(rng)
        for name, graph in graphs.items():
            began = time.perf_counter()
            graph.invoke({"messages": [HumanMessage(said)]}, CONFIG, durability="sync")
            took[name].append((time.perf_counter() - began) * 1000)
    return took


def size_of(directory: Path) -> int:
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())


def cold_reads_ms(directories: dict[str, Path]) -> dict[str, float]:
    """The first ``get_tuple`` of a fresh process, imports not counted: median of nine, the savers taking turns."""
    took: dict[str, list[float]] = {name: [] for name in directories}
    for _ in range(9):
        for name, directory in directories.items():
            command = [sys.executable, __file__, "--read", name, str(directory)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            took[name].append(float(said))
    return {name: median(times) for name, times in took.items()}


def read_once(name: str, directory: Path) -> float:
    warm_up(name, directory.parent / f"warm-{time.time_ns()}")
    saver = open_saver(name, directory)
    began = time.perf_counter()
    found = saver.get_tuple(CONFIG)
    took = (time.perf_counter() - began) * 1000
    assert found is not None
    return took


def warm_up(name: str, directory: Path) -> None:
    """Lazy imports and first calls, on another, tiny thread."""
    directory.mkdir()
    saver = open_saver(name, directory)
    turns_ms({name: saver}, 1)
    saver.get_tuple(CONFIG)


def measure(names: list[str], turns: int, base: Path) -> list[dict[str, Any]]:
    directories = {name: base / name.replace(" ", "-") for name in names}
    for directory in directories.values():
        directory.mkdir()
    took = turns_ms({name: open_saver(name, d) for name, d in directories.items()}, turns)
    cold = cold_reads_ms({name: d for name, d in directories.items() if name != "InMemorySaver"})
    marks = [m for m in (10, 100, 500, 1000) if m <= turns]
    rows = []
    for name in names:
        row: dict[str, Any] = {"saver": name, "mb": size_of(directories[name]) / 1e6}
        row |= {f"ms_{m}": median(took[name][max(0, m - WINDOW) : m]) for m in marks}
        rows.append(row | {"cold_ms": cold.get(name, float("nan"))})
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
    parser.add_argument("--threads-dir", type=Path, default=None, help="where to write; default: the temp directory")
    parser.add_argument("--read", nargs=2, metavar=("SAVER", "DIR"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        print(read_once(args.read[0], Path(args.read[1])))
        return
    with tempfile.TemporaryDirectory(dir=args.threads_dir) as base:
        rows = measure(["FileSaver", "FileSaver os", "InMemorySaver", "SqliteSaver"], args.turns, Path(base))
    print(f"{args.turns} turns of 2 x 500 characters, content {content_mb(args.turns):.3f} MB")
    width: Callable[[Any], str] = lambda v: f"{v:>10.2f}" if isinstance(v, float) else f"{v:<14}"  # noqa: E731
    print(" ".join(f"{k:<14}" if k == "saver" else f"{k:>10}" for k in rows[0]))
    for row in rows:
        print(" ".join(width(v) for v in row.values()))


if __name__ == "__main__":
    main()
