"""What each test costs in processor time: of this process, of its children and forks, of the embedded server.

    pytest -p tests.costs --costs FILE …        a line of JSON a test, from every worker, into FILE
    python -m tests.costs FILE [--tests N]      what they come to, by file, and the N dearest tests

Wall time says little on a machine that others use; this says the same at any load. Told apart are a test's setup, which
pays for fixtures of its module as well, its call and its teardown. Children that nobody waited for are not in it.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections import defaultdict
from collections.abc import Generator
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict


class Costs:
    """Writes the lines. ``server``: the process id of the embedded PostgreSQL, once there is one."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.server: int | None = None
        self._last: dict[int, float] = {}

    def spent(self) -> tuple[float, float, float]:
        """Processor seconds until now: own, of children that ended and of forks, of the server"""
        own, reaped = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        forks = self._of(getattr(forkserver._forkserver, "_forkserver_pid", None))
        return own.ru_utime + own.ru_stime, reaped.ru_utime + reaped.ru_stime + forks, self._of(self.server)

    def _of(self, pid: int | None) -> float:
        """What a process and its children have spent."""
        if pid is None:
            return 0.0
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            living = [one.cpu_times() for one in process.children()]
        except psutil.NoSuchProcess:  # it has ended, or a child has meanwhile
            return self._last.get(pid, 0.0)
        ended = times.user + times.system + times.children_user + times.children_system
        self._last[pid] = float(ended + sum(one.user + one.system for one in living))
        return self._last[pid]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        """As the others: measured around all that belongs to it."""
        yield from self._around(item, "setup")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        """The test itself."""
        yield from self._around(item, "call")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """What is put away after it."""
        yield from self._around(item, "teardown")

    def _around(self, item: pytest.Item, phase: str) -> Generator[None]:
        before = self.spent()
        try:
            return (yield)
        finally:
            took = [round(now - then, 4) for now, then in zip(self.spent(), before, strict=True)]
            with self.target.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps([item.nodeid, phase, *took]) + "\n")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """Learn where the server is."""
        made = yield
        if fixturedef.argname == "postgres_server":
            folder = Path(str(conninfo_to_dict(str(fixturedef.cached_result[0]))["host"]))  # type: ignore[index]
            self.server = next((int(lock.read_text().split()[0]) for lock in folder.glob(".s.PGSQL.*.lock")), None)
        return made


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the lines go."""
    parser.addoption("--costs", type=Path, default=None, help="a file for what each test costs in processor time")


def pytest_configure(config: pytest.Config) -> None:
    """Measure where it was asked for."""
    if (target := config.getoption("--costs")) is not None:
        config.pluginmanager.register(Costs(target.resolve()), "dojang-costs")


def main() -> None:
    """Add up the lines of a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--tests", type=int, default=20)
    told = parser.parse_args()
    files: dict[str, list[float]] = defaultdict(lambda: [0.0] * 6)
    tests: dict[str, float] = defaultdict(float)
    for line in told.file.read_text(encoding="utf-8").splitlines():
        test, phase, own, reaped, server = json.loads(line)
        row = files[test.partition("::")[0]]
        for place, value in enumerate((own + reaped + server, own, reaped, server)):
            row[place] += value
        row[4 if phase == "setup" else 5] += own + reaped + server
        tests[test] += own + reaped + server
    print(f"{'all':>7} {'own':>7} {'childr.':>7} {'server':>7} {'setup':>7}")
    whole = [sum(row[place] for row in files.values()) for place in range(5)]
    for name, row in sorted(files.items(), key=lambda one: -one[1][0]):
        print(" ".join(f"{value:7.2f}" for value in row[:5]), name)
    print(" ".join(f"{value:7.2f}" for value in whole), "together")
    for name, value in sorted(tests.items(), key=lambda one: -one[1])[: told.tests]:
        print(f"{value:7.2f} {name}")


if __name__ == "__main__":
    main()
