"""What each test costs in processor time: of this process, of the children that it reaped, of the embedded server.

    pytest -p tests.costs --costs FILE …        a line of JSON a test, from every worker, into FILE
    python -m tests.costs FILE [--tests N]      what they come to, by file, and the N dearest tests

Wall time says little on a machine that others use; this says the same at any load. Told apart are a test's setup, which
pays for fixtures of its module as well, its call and its teardown. Children that nobody waited for are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

HERTZ = os.sysconf("SC_CLK_TCK")


class Costs:
    """Writes the lines. ``server``: the process id of the embedded PostgreSQL, once there is one."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.server: int | None = None

    def spent(self) -> tuple[float, float, float]:
        """Processor seconds until now: own, of children, of the server with all backends that have ended."""
        own, reaped = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return own.ru_utime + own.ru_stime, reaped.ru_utime + reaped.ru_stime, self._of_server()

    def _of_server(self) -> float:
        if self.server is None:
            return 0.0
        try:
            fields = Path(f"/proc/{self.server}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            return 0.0
        return sum(int(fields[place]) for place in (11, 12, 13, 14)) / HERTZ

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
            folder = str(made).partition("host=")[2].split()[0].strip("'")
            self.server = _postmaster(folder)
        return made


def _postmaster(folder: str) -> int | None:
    """The process that listens in a socket folder."""
    for lock in Path(folder).glob(".s.PGSQL.*.lock"):
        return int(lock.read_text().split()[0])
    return None


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
