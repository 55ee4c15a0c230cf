"""The operator's desk in numbers: 100 mixed reviews by keyboard, a list of 1,000, a decision there and back.

Run: ``PYTHONPATH=. .venv/bin/python benchmarks/console.py [--reviews 100] [--open 1000]``. A scripted operator
(``tests/dojang/server/operator.py``) drives the system's Chromium; how long a person looks at a card is counted, by
tier: 1.2 s, 1.8 s, 3 s. That is an assumption, and the figure without it stands beside it. The model follows
rules, because its speed is not what is measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dojang.workspace import Workspace
from store import EmbeddedPostgres
from tests.dojang.server.operator import Operator
from tests.dojang.server.screens import chromium, profile, running
from tests.dojang.workspaces import workspace_for

THINK_S = (1.2, 1.8, 3.0)
BUDGET_S, LIST_MS, TRIP_MS = 300.0, 200.0, 300.0
MIXED = ("book a room", "refund BK-{n}", "which one?", "cancel BK-{n}", "send it")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=100)
    parser.add_argument("--open", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "postgres") as dsn:
        with workspace_for(Path(folder) / "home", dsn, language=None) as workspace:
            print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
            shift(workspace, given.reviews)
            long_list(workspace, given.open)


def shift(workspace: Workspace, count: int) -> None:
    """A shift at the keyboard."""
    wanted = [workspace.ask(MIXED[n % len(MIXED)].format(n=5000 + n)).reviews[0] for n in range(count)]
    complaints: list[str] = []
    with running(workspace) as site, chromium() as browser:
        with profile(browser, complaints, locale="en-US", base_url=site) as page:
            page.goto("/?view=unassigned")
            operator = Operator(page, {review["id"]: review for review in wanted}, think_s=THINK_S)
            begun, cpu = time.perf_counter(), time.process_time()
            operator.clear()
            wall, spent = time.perf_counter() - begun, time.process_time() - cpu
    thought = sum(THINK_S[min(review["tier"], 2)] for review in wanted)
    trips = sorted(1000 * trip for trip in operator.trips_s)
    p95 = trips[int(len(trips) * 0.95) - 1]
    mistakes = operator.mistakes(workspace)
    print(f"{count} reviews: {wall:.1f} s, {thought:.1f} of them thought (budget {BUDGET_S * count / 100:.0f} s)")
    print(f"server and driver: {spent:.1f} s of CPU; mistakes {len(mistakes)}; complaints {len(complaints)}")
    print(
        f"a decision and the next page: median {statistics.median(trips):.0f} ms, p95 {p95:.0f} ms (bar {TRIP_MS:.0f})"
    )
    print(*mistakes, *complaints, sep="\n")


def long_list(workspace: Workspace, count: int) -> None:
    """The list with many open reviews, asked for over HTTP."""
    import httpx

    for n in range(count):
        workspace.ask(MIXED[n % len(MIXED)].format(n=6000 + n))
    with running(workspace) as site, httpx.Client(base_url=site) as client:
        times = []
        for _ in range(12):
            begun = time.perf_counter()
            client.get("/").raise_for_status()
            times.append(1000 * (time.perf_counter() - begun))
    middle = statistics.median(times[1:])
    print(f"list of {count} open: first {times[0]:.0f} ms, median {middle:.0f} ms (bar {LIST_MS:.0f})")


if __name__ == "__main__":
    main()
