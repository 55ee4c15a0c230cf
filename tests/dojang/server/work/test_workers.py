"""Runs that other processes carry out than the one that accepted them: each once, whoever is killed meanwhile."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.dojang.server.langgraph.conftest import says, until
from tests.dojang.server.work.conftest import House

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def asked(house: House, query: str) -> list[Any]:
    """Of the runs' tables."""
    with psycopg.connect(house.environment["DOJANG_DATABASE_URL"], autocommit=True) as db:
        return db.execute(query.encode()).fetchall()


def test_forty_runs_by_two_workers_and_one_that_is_killed(
    house_of_workers: House, bookings: Callable[[], list[Any]]
) -> None:
    house = house_of_workers
    client = house.server()
    one, two = house.worker("one", DOJANG_TEST_DIE="ran"), house.worker("two")
    threads = [client.threads.create()["thread_id"] for _ in range(20)]

    def both(thread: str) -> list[str]:
        runs = [client.runs.create(thread, "dojang", input=says(text)) for text in ("check-out?", "parking?")]
        for run in runs:
            client.runs.join(thread, run["run_id"])
        return [str(client.runs.get(thread, run["run_id"])["status"]) for run in runs]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(both, threads)) == [["success", "success"]] * 20
    assert asked(house, "SELECT DISTINCT attempt FROM dojang_sessions.runs") == [(1,)]
    until(lambda: asked(house, "SELECT count(*) FROM dojang_sessions.procrastinate_jobs") == [(0,)])
    said: Any = client.threads.get_state(threads[0])["values"]
    assert [m["content"] for m in said["messages"] if m["type"] == "human"] == ["check-out?", "parking?"]

    # One is killed between a booking and the note of it; the other, which was stopped meanwhile, goes on with its run.
    client.runs.wait(threads[0], "dojang", input=says("please book a room"))
    two.send_signal(signal.SIGSTOP)
    approve: Any = {"resume": {"decisions": [{"type": "approve"}]}}
    run = client.runs.create(threads[0], "dojang", command=approve)["run_id"]
    assert one.wait(30) == -signal.SIGKILL
    two.send_signal(signal.SIGCONT)
    assert len(bookings()) == 1
    values: Any = client.runs.join(threads[0], run)
    assert [outcome["status"] for outcome in values["outcomes"].values()] == ["done"]
    assert len(bookings()) == 1
    assert asked(house, f"SELECT attempt FROM dojang_sessions.runs WHERE run_id = '{run}'") == [(2,)]
    two.send_signal(signal.SIGTERM)
    assert two.wait(20) == 0
