"""A short day on six hosts; ``make hosts`` has a long one. What these hosts are, is in ``network.py``.

``DOJANG_TEST_TROUBLES`` sets how much befalls them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dojang.cli.exits import Exit
from tests.dojang.workspaces import workspace_for
from tests.hosts.day import Day, Trouble
from tests.hosts.house import SESSIONS, House, house, until
from tests.hosts.network import refusal
from tests.hosts.sent import Sent
from tests.hosts.shift import Ground

pytestmark = pytest.mark.skipif(bool(refusal()), reason=refusal())
DOCKERFILE = Path(__file__).parents[2] / "deploy" / "Dockerfile"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("hosts"), workers=3) as running:  # four in `make hosts`
        yield running


@pytest.mark.timeout(300)
def test_a_worker_is_killed_another_one_cut_off_and_the_database_restarted(opened: House) -> None:
    """Nothing that was acknowledged is lost, nothing happens twice, one of three deciders wins, the chain is whole."""
    day = Day(opened, seed=int(os.environ.get("SEED", "11")))
    troubles: tuple[Trouble, ...] = ("killed", "cut for long", "database restarted")
    sums = day.live(troubles=troubles, clients=3, least=3)
    assert sums.notes + day.damage() == []
    assert sums.payments >= 3
    assert sums.approved >= sums.happened
    assert sums.too_late > 0, "nobody was second: this test would prove nothing"
    assert all(one.alive for one in (opened.server, *opened.workers))


def test_the_health_check_of_the_image_is_true_of_this_server(opened: House) -> None:
    """On the wildcard address, with names of its own, as a container has it."""
    [said] = re.findall(r"^HEALTHCHECK [^\n]*\\\n\s+CMD (\[.*\])$", DOCKERFILE.read_text(encoding="utf-8"), re.M)
    command = [*opened.server.host.space.inside(), *json.loads(said)]
    assert subprocess.run(command, check=False).returncode == 0
    elsewhere = {**os.environ, "DOJANG_PORT": "1"}
    assert subprocess.run(command, env=elsewhere, capture_output=True, check=False).returncode == 1


def test_where_the_database_is_slow_or_away_the_server_says_so_and_goes_on_when_it_is_back(opened: House) -> None:
    with opened.client(timeout=60) as client:
        with opened.postgres.host.slow(0.15):  # 300 ms there and back
            assert client.post("threads", json={"thread_id": THREAD, "if_exists": "do_nothing"}).status_code == 200
            assert client.get(f"threads/{THREAD}/state").status_code == 200
        opened.postgres.stop()
        try:
            answer = client.get(f"threads/{THREAD}/state")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
            assert "PostgreSQL" in answer.json()["detail"]
            problems = client.get("readyz").json()["problems"]
            assert "database" in problems, problems
            assert client.get("healthz").status_code == 200
            code = opened.workers[0].run("work", "--workers", "1")  # another one, on the same machine
            assert (code, "does not answer" in opened.workers[0].said()) == (Exit.FAULT, True), opened.workers[0].said()
        finally:
            opened.postgres.start()
        until(lambda: client.get(f"threads/{THREAD}/state").status_code == 200, "the server has found it again")
    until(opened.ready, "workers have, too")


THREAD = "0196f3a2-0000-7000-8000-000000000001"


def test_a_worker_of_a_shift_is_killed_in_the_middle_of_a_run_that_goes_on_elsewhere(
    opened: House, tmp_path: Path
) -> None:
    """What ``make troubled`` puts under other tests."""
    ground = Ground(tmp_path, opened.network, opened.postgres, seed=1, pause_s=0, workers=2)
    (tmp_path / "silent").touch()  # the model says nothing while it is there
    with Sent(ground).installed() as sent, ThreadPoolExecutor(1) as asking:
        with workspace_for(tmp_path / "home", opened.postgres.made("shift"), sessions=SESSIONS) as workspace:
            asked = asking.submit(workspace.ask, "please book a room")
            until((tmp_path / "silent.asked").exists, "a worker asks the model")
            assert sent.shift is not None
            [name] = sent.shift.busy()
            victim = next(machine for machine in sent.shift.machines if machine.host.name == name)
            sent.shift.strike("killed", victim)
            (tmp_path / "silent").unlink()
            assert asked.result(60).reviews
            assert victim.lives == 2
    figures = ground.figures.as_json()
    assert (figures["on runs"], figures["again"]) == ({"killed": 1}, 1)
