"""Milliseconds of a checkpoint and of a task's writes: our two savers and LangGraph's for PostgreSQL, in turns.

    python benchmarks/checkpoints_in_postgres.py --checkpoints 180

Starts an embedded PostgreSQL that waits for its disk, in a folder that goes again. A checkpoint has a list of 10
messages and 12 small channels, of which 3 change; a task writes 3 values.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

sys.path.insert(0, str(Path(__file__).parents[1]))

from checkpoints import FileSaver, run_lock
from checkpoints.values.codec import StrictSerializer
from store.postgres.embedded import EmbeddedPostgres
from tests.checkpoints.cases import checkpoint, metadata
from tests.checkpoints.postgres.conftest import Machine

ROUNDS = 3
MESSAGES = [HumanMessage("질문 " * 20, id=f"m{i}") for i in range(10)]


def run_of(saver: Any, thread: str, many: int) -> tuple[list[float], list[float]]:
    """Seconds of each put and each put_writes."""
    versions = {name: saver.get_next_version(None, None) for name in ("messages", *(f"c{i}" for i in range(12)))}
    up: dict[str, Any] = {"thread_id": thread, "checkpoint_ns": ""}
    puts, writes = [], []
    for step in range(many):
        changed = ("messages", f"c{step % 12}", f"c{(step + 1) % 12}")
        versions |= (new := {name: saver.get_next_version(versions[name], None) for name in changed})
        values = {"messages": MESSAGES, **{f"c{i}": {"n": i, "step": step} for i in range(12)}}
        made = checkpoint(values, dict(versions), str(uuid6()))
        begun = time.perf_counter()
        stored = saver.put({"configurable": up}, made, metadata(step, run_id="r"), new)
        puts.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        saver.put_writes(stored, [("messages", MESSAGES[:1]), ("c1", {"n": 1}), ("branch:to:x", None)], str(uuid6()))
        writes.append(time.perf_counter() - begun)
        up = stored["configurable"]
    return puts, writes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=180)
    many = parser.parse_args().checkpoints // ROUNDS
    taken: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))

    def note(name: str, found: tuple[list[float], list[float]]) -> None:
        for kept, more in zip(taken[name], found, strict=True):
            kept += more

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dsn = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        with psycopg.connect(dsn, autocommit=True) as db:
            for name in ("plain", "ours"):
                db.execute(f"CREATE DATABASE {name}".encode())
        machine = stack.enter_context(Machine(make_conninfo(dsn, dbname="ours")))
        machine.database.setup()
        plain: Any = stack.enter_context(
            psycopg.connect(make_conninfo(dsn, dbname="plain"), autocommit=True, row_factory=dict_row)  # type: ignore[arg-type]
        )
        theirs = PostgresSaver(plain, serde=StrictSerializer())
        theirs.setup()
        files = FileSaver(folder / "threads")
        for n in range(ROUNDS):
            note("FileSaver, each waits for the disk", run_of(files, f"a{n}", many))
            with run_lock(files.directory, f"b{n}", "b"), files.loose(f"b{n}"):
                note("FileSaver, in a run", run_of(files, f"b{n}", many))
            for commit in ("on", "off"):
                plain.execute(f"SET synchronous_commit = {commit}")
                note(f"PostgresSaver, synchronous_commit = {commit}", run_of(theirs, f"{commit}{n}", many))
            with machine.locks.run_lock(f"a{n}", "b"):
                note("PgSaver, each waits for the disk", run_of(machine.saver, f"a{n}", many))
            with machine.locks.run_lock(f"b{n}", "b"), machine.saver.loose(f"b{n}"):
                note("PgSaver, in a run", run_of(machine.saver, f"b{n}", many))
    print("| | put | put_writes |\n|---|---|---|")
    for name, times in taken.items():
        print(f"| {name} | " + " | ".join(f"{1000 * statistics.median(one):.2f}" for one in times) + " |")


if __name__ == "__main__":
    main()
