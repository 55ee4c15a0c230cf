"""What a list over many threads takes: the third table of ``savers.py``.

Threads of one checkpoint each, written without waiting for the disk, listed by a metadata filter. ``list`` all,
``list100`` and ``list10`` the newest, each asked of one saver again and again, medians of five: the databases have
their pages in memory, FileSaver its heads and small checkpoints. ``look10`` is ``list10`` when FileSaver looks at
every log again, as it does when a second has passed or a thread was begun. ``new`` and ``new10`` of a saver that has
read nothing (a new connection), ``first`` with nothing derived either. ``_c`` in CPU time; ``peak_mb`` by how much the
process's peak grew by all of them.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contenders import RELAXED, Took, close, open_saver  # noqa: E402

from checkpoints.log import heads  # noqa: E402

METADATA: Any = {"source": "input", "step": -7}


def list_took(name: str, directory: Path, threads: int, runner: asyncio.Runner) -> dict[str, float]:
    """A row of the table; the threads are made in the directory."""
    filling = _fill(name, directory, threads, runner)

    def fresh() -> Any:
        """A saver that has read nothing; InMemorySaver is all that there is of itself."""
        return filling if name == "InMemorySaver" else open_saver(name, directory, runner)

    def once(saver: Any, limit: int | None) -> Took:
        began = Took.now()
        found = _count(saver, limit, runner)
        took = began.since()
        assert found == min(limit or threads, threads)
        return took

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = once(fresh(), None)
    row = {"first": first.ms, "first_c": first.cpu}

    def figure(column: str, limit: int | None, saver: Callable[[], Any]) -> None:
        took = []
        for _ in range(5):
            asked = saver()
            took.append(once(asked, limit))
            if asked is not filling and asked is not asking:
                close(asked, runner)
        row[column], row[column + "_c"] = median(t.ms for t in took), median(t.cpu for t in took)

    asking = fresh()
    for _ in range(2):  # the first writes what it derived, the second has all in memory
        once(asking, None)
    every, heads.LOOK_EVERY_S = heads.LOOK_EVERY_S, float("inf")
    for column, limit in (("list", None), ("list100", 100), ("list10", 10)):
        figure(column, limit, lambda: asking)
    heads.LOOK_EVERY_S = -1.0
    figure("look10", 10, lambda: asking)
    heads.LOOK_EVERY_S = every
    for column, limit in (("new", None), ("new10", 10)):
        figure(column, limit, fresh)
    row["peak_mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    close(asking, runner)
    if asking is not filling:
        close(filling, runner)
    return row


def _fill(name: str, directory: Path, threads: int, runner: asyncio.Runner) -> Any:
    configs: list[Any] = [{"configurable": {"thread_id": f"l{i}", "checkpoint_ns": ""}} for i in range(threads)]
    filling: Any = open_saver("FileSaver os" if name == "FileSaver" else name, directory, runner)

    async def fill() -> None:
        await filling.setup()
        await filling.conn.execute("PRAGMA synchronous = OFF")
        for config in configs:
            await filling.aput(config, empty_checkpoint(), METADATA, {})
        await filling.conn.commit()

    if isinstance(filling, AsyncSqliteSaver):
        runner.run(fill())
        return filling
    if name in RELAXED:
        filling.setup()
        filling.conn.execute(RELAXED[name])
    for config in configs:
        filling.put(config, empty_checkpoint(), METADATA, {})
    return filling


def _count(saver: Any, limit: int | None, runner: asyncio.Runner) -> int:
    async def read() -> int:
        return len([t async for t in saver.alist(None, filter={"step": -7}, limit=limit)])

    if isinstance(saver, AsyncSqliteSaver):
        return runner.run(read())
    return sum(1 for _ in saver.list(None, filter={"step": -7}, limit=limit))
