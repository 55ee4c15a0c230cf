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
WINDOW = 9
"""Turns around the one that is reported; their median is the figure."""


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


def turns_ms(saver: BaseCheckpointSaver[Any], turns: int) -> list[float]:
    rng = random.Random(7)

    def answer(state: Chat) -> dict[str, Any]:
        return {"messages": [AIMessage(text(rng))]}

    graph = StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer").compile(checkpointer=saver)
    took = []
    for _ in range(turns):
        message = HumanMessage(text(rng))
        began = time.perf_counter()
        graph.invoke({"messages": [message]}, CONFIG, durability="sync")
        took.append((time.perf_counter() - began) * 1000)
    return took


def size_of(directory: Path) -> int:
    return sum(p.stat().st_size for p in directory.rglob("*") if p.is_file())


def cold_read_ms(name: str, directory: Path) -> float:
    """Median over five fresh processes of the first ``get_tuple``; imports are not counted."""
    command = [sys.executable, __file__, "--read", name, str(directory)]
    return median(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(5))


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
    turns_ms(saver, 1)
    saver.get_tuple(CONFIG)


def measure(name: str, turns: int, base: Path) -> dict[str, Any]:
    directory = base / name.replace(" ", "-")
    directory.mkdir()
    took = turns_ms(open_saver(name, directory), turns)
    marks = [m for m in (10, 100, 500, 1000) if m <= turns]
    row: dict[str, Any] = {"saver": name, "mb": size_of(directory) / 1e6}
    row |= {f"ms_{m}": median(took[max(0, m - WINDOW) : m]) for m in marks}
    row["cold_ms"] = cold_read_ms(name, directory) if name != "InMemorySaver" else float("nan")
    return row


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
    rows = []
    with tempfile.TemporaryDirectory(dir=args.threads_dir) as base:
        for name in ("FileSaver", "FileSaver os", "InMemorySaver", "SqliteSaver"):
            rows.append(measure(name, args.turns, Path(base)))
    print(f"{args.turns} turns of 2 x 500 characters, content {content_mb(args.turns):.2f} MB")
    width: Callable[[Any], str] = lambda v: f"{v:>10.2f}" if isinstance(v, float) else f"{v:<14}"  # noqa: E731
    print(" ".join(f"{k:<14}" if k == "saver" else f"{k:>10}" for k in rows[0]))
    for row in rows:
        print(" ".join(width(v) for v in row.values()))


if __name__ == "__main__":
    main()
