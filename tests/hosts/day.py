"""An operator's day on six hosts while some of them fail, and what is left of every promise at its end.

At instants between two answers to clients a worker is killed with SIGKILL and begun again, stopped and let go on, or
cut off the wire, for less or for longer than its lock lasts, or PostgreSQL is restarted, or cut off itself. Payments
are asked for, decided by three people at once and followed to their end meanwhile.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Final, Literal, get_args

from checkpoints.postgres.database import DEAD_S
from tests.hosts.house import House, Machine, house, until
from tests.hosts.network import Host
from tests.hosts.payments import TOOLS, Payment, Progress

Trouble = Literal["killed", "cut briefly", "cut for long", "stopped", "database restarted", "database cut off"]
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)
BETWEEN: Final = (1, 40)
"""Answers to clients between two troubles; a payment has about twenty."""
GIVEN_UP_S: Final = DEAD_S + 1.0
STALLED_S: Final = 5.0
"""Whatever is to happen after so many answers happens then where there are none."""


@dataclass
class Sums:
    """What came of a day."""

    payments: int = 0
    approved: int = 0
    happened: int = 0
    doubled: int = 0
    decisions: int = 0
    lost: int = 0
    too_late: int = 0
    unsure: int = 0
    doubts: int = 0
    cut: int = 0
    seconds: float = 0.0
    troubles: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, payment: Payment) -> None:
        """Count one that has ended."""
        notes = payment.judged()
        happened = payment.happened()
        self.payments += 1
        self.approved += payment.first() == "approve"
        self.happened += happened > 0
        self.doubled += happened > 1
        self.decisions += sum(len(winners) for winners in payment.won.values())
        self.lost += sum(": lost: " in note for note in notes)
        self.too_late += payment.lost
        self.unsure += payment.unsure
        self.doubts += payment.doubts
        self.cut += payment.cut
        self.notes += notes


class Day:
    """Payments and troubles in a house."""

    def __init__(self, opened: House, *, seed: int) -> None:
        self.house = opened
        self.chance = Random(seed)
        self.progress = Progress()
        self.names = (f"{seed}-{n}" for n in count(1))
        self.sums = Sums()
        self._away: set[str] = set()  # hosts that are cut off or stopped now
        self._open = threading.Event()

    def live(self, *, troubles: tuple[Trouble, ...], clients: int, least: int) -> Sums:
        """Clients pay, one payment after the other, until all troubles are over and ``least`` payments were made."""
        begun = time.monotonic()
        self._open.set()
        left = iter(range(least))
        lock, ended = threading.Lock(), list[Payment]()

        def pay() -> None:
            while next(left, None) is not None or self._open.is_set():
                with lock:
                    n, name = next(numbers), next(self.names)
                    chance = Random(self.chance.random())
                payment = Payment(self.house, self.progress, name, TOOLS[n % len(TOOLS)], chance, self.calm)
                payment.live()
                with lock:
                    ended.append(payment)

        numbers = count()
        with ThreadPoolExecutor(clients) as pool:
            paying = [pool.submit(pay) for _ in range(clients)]
            try:
                for trouble in troubles:
                    self._wait_for_answers(*BETWEEN)
                    self._make(trouble)
            finally:
                self._open.clear()
            for one in paying:
                one.result()
        for payment in ended:  # when nothing is away any more
            self.sums.add(payment)
        self.sums.seconds += time.monotonic() - begun
        return self.sums

    def calm(self) -> bool:
        """Whether no host is away, and no worker still waits for the outside: then what was counted is all there is.

        A person who settles an effect that is in doubt has to know that nobody is still at it.
        """
        return not self._away and not any(_asks(one.host, self.house.outside.address) for one in self.house.workers)

    # troubles

    def _make(self, trouble: Trouble) -> None:
        victim = self.chance.choice(self.house.workers)
        self.sums.troubles[trouble] += 1
        if trouble == "killed":
            victim.kill()
            self._wait_for_answers(1, 10)
            victim.start()
        elif trouble == "stopped":
            with self._gone(victim.host):
                assert victim.process is not None
                victim.process.send_signal(signal.SIGSTOP)
                try:
                    self._wait_for_answers(10, 80)
                finally:
                    victim.process.send_signal(signal.SIGCONT)
        elif trouble == "database restarted":
            self.house.postgres.restart(at_once=self.chance.random() < 0.7)
        elif trouble == "database cut off":
            self._cut(self.house.postgres.host, for_s=self.chance.uniform(0.2, 6.0))
        elif trouble == "cut briefly":
            self._cut(victim.host, for_s=self.chance.uniform(0.2, 6.0))
        else:
            self._cut_until_given_up(victim)

    def _cut(self, host: Host, *, for_s: float) -> None:
        with self._gone(host):
            host.cut()
            try:
                threading.Event().wait(for_s)  # the time is the trouble
            finally:
                host.heal()

    def _cut_until_given_up(self, victim: Machine) -> None:
        with self._gone(victim.host):
            victim.host.cut()
            try:
                threading.Event().wait(GIVEN_UP_S)  # the time is the trouble
                try:
                    until(
                        lambda: self.house.locks_of(victim.host) == 0,
                        "PostgreSQL gives up the locks of who is cut off",
                        wait_s=60,
                    )
                except AssertionError as late:
                    raise AssertionError(f"{late}\n{self.house.told_of_locks(victim.host)}") from None
                self._wait_for_answers(1, 40)
            finally:
                victim.host.heal()

    @contextlib.contextmanager
    def _gone(self, host: Host) -> Iterator[None]:
        self._away.add(host.name)
        try:
            yield
        finally:
            self._away.discard(host.name)

    def _wait_for_answers(self, least: int, most: int) -> None:
        self.progress.passes(self.progress.count + self.chance.randint(least, most), wait_s=STALLED_S)

    # what is left

    def damage(self) -> list[str]:
        """What the commands that check sessions and chains find, on a host that has not had most of it."""
        found = []
        for words in (("audit", "verify"),):
            one = self.house.workers[0]
            before = one.said()
            if one.run(*words, "--json"):
                found.append(f"{' '.join(words)}: {one.said().removeprefix(before)}")
        return found


def _asks(host: Host, outside: tuple[str, int]) -> bool:
    """Whether a host still has a connection to the outside, or wants one."""
    rows = Path(f"/proc/{host.space.pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    a, b, c, d = (int(part) for part in outside[0].split("."))
    there = f"{d:02X}{c:02X}{b:02X}{a:02X}:{outside[1]:04X}"
    ended = ("06", "07")  # TIME_WAIT, CLOSE
    return any(row.split()[2] == there and row.split()[3] not in ended for row in rows)


def drawn(chance: Random, n: int) -> tuple[Trouble, ...]:
    """So many troubles, each kind about as often, in any order."""
    many = [TROUBLES[k % len(TROUBLES)] for k in range(n)]
    chance.shuffle(many)
    return tuple(many)


def campaign(folder: Path, *, troubles: int, clients: int, seed: int) -> Sums:
    """A house, a day in it, and what the checks find afterwards."""
    with house(folder) as opened:
        day = Day(opened, seed=seed)
        sums = day.live(troubles=drawn(day.chance, troubles), clients=clients, least=3 * clients)
        sums.notes += day.damage()
        for one in (opened.server, *opened.workers):
            if not one.alive:
                sums.notes.append(f"{one.host.name} has ended by itself: {one.said()[-2000:]}")
        return sums
