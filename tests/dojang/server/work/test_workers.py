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
    one, two = house.worker("one"), house.worker("two")
    threads = [client.threads.create()["thread_id"] for _ in range(20)]

    def both(thread: str) -> list[str]:
        runs = [client.runs.create(thread, "dojang", input=says(text)) for text in ("check-out?", "parking?")]
        for run in runs:
            client.runs.join(thread, run["run_id"])
        return [str(client.runs.get(thread, run["run_id"])["status"]) for run in runs]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(both, threads)) == [["success", "success"]] * 20
    assert asked(house, "SELECT DISTINCT attempt FROM dojang_sessions.runs") == [(1,)]
    asks = "SELECT count(*) FROM dojang_sessions.procrastinate_jobs"
    until(lambda: asked(house, asks) == [(0,)])
    said: Any = client.threads.get_state(threads[0])["values"]
    assert [m["content"] for m in said["messages"] if m["type"] == "human"] == ["check-out?", "parking?"]

    house.silent.touch()  # a worker that holds a run is killed; the other one finishes it
    run = client.runs.create(threads[0], "dojang", input=says("please book a room"))["run_id"]
    until(lambda: house.silent.with_suffix(".asked").exists())
    holder = asked(house, f"SELECT holder::json ->> 'pid' FROM dojang_sessions.runs WHERE run_id = '{run}'")[0][0]
    killed, other = (one, two) if int(holder) == one.pid else (two, one)
    killed.kill()
    house.silent.unlink()
    client.runs.join(threads[0], run)
    assert client.runs.get(threads[0], run)["status"] == "interrupted"
    other.send_signal(signal.SIGTERM)
    assert other.wait(20) == 0

    last = house.worker("last", DOJANG_TEST_DIE="ran")  # killed between a booking and the note of it
    run = client.runs.create(threads[0], "dojang", command={"resume": {"decisions": [{"type": "approve"}]}})["run_id"]
    assert last.wait(30) == -signal.SIGKILL
    assert len(bookings()) == 1
    house.worker("after")
    values: Any = client.runs.join(threads[0], run)
    assert [outcome["status"] for outcome in values["outcomes"].values()] == ["done"]
    assert len(bookings()) == 1
