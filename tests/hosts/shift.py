"""Four workers on hosts of their own that carry out what other tests ask for, while one of them at a time fails.

``DOJANG_TEST_WORKERS=hosts`` (with ``DOJANG_TEST_SESSIONS=postgres``; ``make troubled`` sets both) puts this under
tests that know nothing of it. Their assertions stay as they are: what a client sees must be the same.

- A :class:`Ground` for each process of the tests, so that ``pytest -n 2`` has two that do not meet: a network, a
  PostgreSQL on a host of its own, which is what ``postgres_server`` then is, and four more hosts. The server of a test
  stays in the process of the tests (or is a child of it), on that network, and carries out nothing: ``workers=0``.
- A :class:`Shift` for each workspace that is served: ``dojang work`` on each of the four, with the settings of the
  workspace and a home of its own. These are forks of the fork server, which has imported everything
  (``tests.processes``), so one that was killed is back in a moment; they end with it, and with the tests.
- Meanwhile a thread strikes one host after the other, so that three stay: killed and begun again, cut off, or stopped
  and let go on, the latter two for less or for longer than a lease lasts. What it does is drawn from a seed; when, is
  up to the machine: most strikes wait until the host is carrying something out, since runs are short and pauses long.
- What a strike fell on is looked up *after* it has fallen, in the rows of the runs: a process that is stopped, or a
  host that is cut off, finishes nothing any more. A process is therefore stopped before it is killed.

The SDK's scenarios have one shift, over all of their tests. The tests of the promises have one for each workspace whose
runs can be sent away (``tests.hosts.sent``).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import psycopg

from checkpoints.postgres.database import DEAD_S
from dojang.server.work.postgres.rows import PgRows
from tests.hosts.house import WORKERS, Machine
from tests.hosts.network import Host, Network
from tests.hosts.postgres import Postgres

Trouble = Literal["killed", "cut briefly", "cut for long", "stopped briefly", "stopped for long"]
WEIGHTS: Final[Mapping[Trouble, int]] = {
    "killed": 4, "cut briefly": 2, "stopped briefly": 2, "cut for long": 1, "stopped for long": 1
}  # fmt: skip
BRIEFLY: Final = (0.2, 6.0)
FOR_LONG: Final = (max(PgRows.lease_s, DEAD_S) + 1.0, max(PgRows.lease_s, DEAD_S) + 4.0)
DEAD: Final = (0.0, 3.0)
"""Seconds before one that was killed is begun again."""
AIMED: Final = 0.8
"""How many of the strikes wait for a host that is carrying something out."""
AIM_S: Final = 5.0
READY_S: Final = 120.0
CHILD: Final = "tests.hosts.shift_child"


@dataclass(frozen=True)
class Strike:
    """What befell a host, in which test, and the runs that it was carrying out."""

    trouble: Trouble
    host: str
    test: str
    runs: list[str]


@dataclass
class Figures:
    """What came of the strikes of one process of the tests."""

    seed: int
    strikes: list[Strike] = field(default_factory=list)
    runs: int = 0
    again: int = 0
    """Runs that were taken more than once: given back, or taken from a worker that was gone."""
    file: Path | None = None
    """Where they are told, after each strike: who is cut off has told of those before."""
    sent: set[str] = field(default_factory=set)
    """Tests whose runs would have been carried out by their own process, and were not."""

    def tell(self) -> None:
        """Write them into the file."""
        if self.file is not None:
            self.file.write_text(json.dumps(self.as_json()), encoding="utf-8")

    def as_json(self) -> dict[str, Any]:
        """Numbers, and names of tests."""
        on_runs = [strike for strike in self.strikes if strike.runs]
        return {
            "seed": self.seed,
            "troubles": Counter(strike.trouble for strike in self.strikes),
            "on runs": Counter(strike.trouble for strike in on_runs),
            "struck": sorted({strike.test for strike in on_runs}),
            "runs": self.runs,
            "again": self.again,
            "sent": sorted(self.sent),
        }


class Ground:
    """Network, PostgreSQL and four hosts for one process of the tests. ``dsn``: of its server."""

    def __init__(
        self, folder: Path, network: Network, postgres: Postgres, *, seed: int, pause_s: float, workers: int = WORKERS
    ) -> None:
        self.folder, self.postgres = folder, postgres
        self.hosts = [network.host(f"shift{n}") for n in range(1, workers + 1)]
        self.chance, self.pause_s, self.figures = Random(seed), pause_s, Figures(seed)
        self._shifts = 0

    @property
    def dsn(self) -> str:
        """Of the server, with the user's password."""
        return self.postgres.dsn

    def shift(self, environment: Mapping[str, str], dsn: str) -> Shift:
        """Workers with these variables, over the database at ``dsn``; a context manager."""
        self._shifts += 1
        return Shift(self, self.folder / f"shift{self._shifts}", environment, dsn)


@contextlib.contextmanager
def ground(folder: Path, *, seed: int, pause_s: float = 1.0) -> Iterator[Ground]:
    """A ground, from nothing to nothing. ``pause_s``: the mean of the pauses between two strikes; 0: there are none."""
    with Network() as network:
        postgres = Postgres(folder / "postgres", network.host("db"))
        with postgres.running():
            yield Ground(folder, network, postgres, seed=seed, pause_s=pause_s)


class Shift:
    """``dojang work`` on four hosts, over one database, and what befalls them. ``machines``: in the hosts' order."""

    def __init__(self, of: Ground, folder: Path, environment: Mapping[str, str], dsn: str) -> None:
        self.ground, self.dsn = of, dsn
        self.machines = [self._machine(host, folder / host.name, environment) for host in of.hosts]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._strike_on, name="troubles", daemon=True)
        self._wrong: list[BaseException] = []

    def _machine(self, host: Host, place: Path, environment: Mapping[str, str]) -> Machine:
        place.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOJANG_")}
        own = {
            "DOJANG_HOME": str(place / "home"),
            "DOJANG_DATABASE_URL": self.dsn,
            "DOJANG_WORKERS": "2",
            "DOJANG_TEST_NETWORK": host.space.path,
            "DOJANG_TEST_HOST": host.name,
            "DOJANG_TEST_LOG": str(place / "log"),
        }
        return Machine(host, place, {**kept, **environment, **own}, ("work",), child=CHILD)

    def __enter__(self) -> Shift:
        try:
            for machine in self.machines:
                machine.start()
            for machine in self.machines:
                assert self._is_up(machine), f"{machine.host.name} does not take runs: {machine.said()[-3000:]}"
        except BaseException:
            self._end()
            raise
        if self.ground.pause_s:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._count()
        finally:
            self._end()
        if self._wrong:
            raise self._wrong[0]

    def _end(self) -> None:
        for machine in self.machines:
            machine.kill()

    def _count(self) -> None:
        with self._looking() as db:
            found = db.execute("SELECT count(*), count(*) FILTER (WHERE attempt > 1) FROM runs").fetchone()
        assert found is not None
        self.ground.figures.runs += int(found[0])
        self.ground.figures.again += int(found[1])
        self.ground.figures.tell()

    # -- what befalls them ----------------------------------------------------------------------------------------

    def _strike_on(self) -> None:
        chance, pause_s = self.ground.chance, self.ground.pause_s
        try:
            while not self._over.wait(chance.uniform(0.0, 2 * pause_s)):
                [trouble] = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
                aimed, chosen, part = chance.random() < AIMED, chance.random(), chance.random()
                names = (self.busy() if aimed else []) or [host.name for host in self.ground.hosts]
                if not self._over.is_set():
                    name = names[int(chosen * len(names))]
                    self.strike(trouble, next(m for m in self.machines if m.host.name == name), part)
        except BaseException as error:
            self._wrong.append(error)

    def strike(self, trouble: Trouble, victim: Machine, part: float = 0.0) -> None:
        """Let this befall one of them, and return when it is back. ``part``: for how long, of what it may last."""
        assert victim.process is not None
        least, most = DEAD if trouble == "killed" else FOR_LONG if trouble.endswith("for long") else BRIEFLY
        cut = trouble.startswith("cut")
        victim.host.cut() if cut else victim.process.send_signal(signal.SIGSTOP)
        try:
            self._note(trouble, victim)
            if trouble == "killed":
                victim.kill()
            self._over.wait(least + part * (most - least))  # the time is the trouble
        finally:
            if cut:
                victim.host.heal()
            elif victim.process is not None:
                victim.process.send_signal(signal.SIGCONT)
        if self._over.is_set():
            return
        if trouble == "killed":
            victim.start()
            assert self._is_up(victim) or self._over.is_set(), victim.said()[-3000:]
        else:
            self._until_heard_of(victim)

    def _note(self, trouble: Trouble, victim: Machine) -> None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        runs = [run for run, host in self._under_way() if host == victim.host.name]
        self.ground.figures.strikes.append(Strike(trouble, victim.host.name, test, runs))
        self.ground.figures.tell()

    def busy(self) -> list[str]:
        """Hosts that carry something out now; waits for one, and for no more than a moment."""
        last = time.monotonic() + AIM_S
        while not (found := sorted({host for _, host in self._under_way()} & {h.name for h in self.ground.hosts})):
            if time.monotonic() > last or self._over.wait(0.03):
                break
        return found

    def _under_way(self) -> list[tuple[str, str]]:
        """(run, host) of what is carried out now."""
        with self._looking() as db:
            rows = db.execute("SELECT run_id, holder FROM runs WHERE status = 'running' AND holder <> ''").fetchall()
        return [(run, json.loads(holder)["host"].partition(" ")[0]) for run, holder in rows]

    def _until_heard_of(self, machine: Machine) -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet AND state_change > %s"
        with self._looking() as db:
            since = _one(db, "SELECT clock_timestamp()")
            last = time.monotonic() + READY_S
            while not _one(db, query, (machine.host.address, since)) and not self._over.wait(0.1):
                assert time.monotonic() < last, f"{machine.host.name} is not heard of: {machine.said()[-3000:]}"

    def _is_up(self, machine: Machine) -> bool:
        """Whether it says that it takes runs, which is waited for."""
        process = machine.process
        assert process is not None
        last = time.monotonic() + READY_S
        while time.monotonic() < last and not self._over.is_set():
            if select.select([process.stdout], [], [], 0.1)[0]:
                return bool(process.stdout.readline())
        return False

    @contextlib.contextmanager
    def _looking(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        options = "-c search_path=dojang_sessions"
        with psycopg.connect(self.dsn, autocommit=True, options=options) as connection:
            yield connection


def _one(db: psycopg.Connection[tuple[Any, ...]], query: str, given: tuple[Any, ...] = ()) -> Any:
    found = db.execute(query.encode(), given).fetchone()
    assert found is not None
    return found[0]
