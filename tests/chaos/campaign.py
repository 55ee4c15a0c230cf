"""Kills processes at many instants and says what was lost, done twice, or left unexplained.

An episode is one payment, from the request to the last word, lived by as many processes as it takes. Each is killed at
an instant of its own (a random time; a counted instant; a counted instant of one phase), until one lives to the end.
What it should have done is then compared with what the outside has counted.
"""

from __future__ import annotations

import contextlib
import math
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, get_args

import psycopg

from checkpoints import DecisionLog, EffectLedger, FileSaver, verify
from checkpoints.audit.check import verify_audit
from graph import build_graph
from tests.chaos import bare, ours, served
from tests.chaos.desk import TOOL_OF
from tests.chaos.instants import Plan, When
from tests.chaos.ours import Order
from tests.chaos.outside import Outside
from tests.processes import FORKS

PHASES: Final = ("open", "propose", "decide", "resume", "intent", "effect", "outcome", "end", "served")
KILLS_MAX: Final = 7
"""Kills in one episode, after which it is left to live."""
LIFE_S: Final = 120
APPROVE, REJECT = {"type": "approve"}, {"type": "reject", "reason": "no"}
EDIT = {"type": "edit"}


@dataclass
class Tally:
    """What came of the episodes of one row of the table."""

    episodes: int = 0
    kills: int = 0
    approved: int = 0
    happened: int = 0
    decided: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0  # done without a decision, with other arguments, or told otherwise than it is
    doubts: int = 0
    settled: int = 0
    unexplained: int = 0
    cut: int = 0  # streams that a kill ended and their client went on with
    phases: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        """Of two runs together."""
        return Tally(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Tally:
        """From what JSON has made of its ``vars``."""
        return cls(**{**stored, "phases": Counter(stored["phases"]), "places": Counter(stored["places"])})


@dataclass
class Episode:
    """What the lives of one payment have acknowledged."""

    name: str
    thread: str = ""
    acknowledged: bool = False
    decided: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    phase: str = "open"
    seen: dict[str, int] = field(default_factory=dict)  # the instants of the last life, by phase


class Campaign:
    """One home, one outside, many episodes."""

    def __init__(self, home: Path, dsn: str, outside: Outside, *, seed: int, until: float = math.inf) -> None:
        """``until``: no episode begins after this ``time.monotonic()``."""
        self.home, self.dsn, self.outside, self.until = home, dsn, outside, until
        self.random = random.Random(seed)
        self.names = count(1)
        self.threads: list[str] = []
        self._whole: dict[str, tuple[dict[str, int], float]] = {}  # by tool: instants and seconds of a whole life

    def ours(self, recovery: str, kills: int) -> Tally:
        """Episodes of one kind of tool until so many kills have been made."""
        tool, tally = TOOL_OF[recovery], Tally()
        while tally.kills < kills and time.monotonic() < self.until:
            kind = self.random.choices((APPROVE, EDIT, REJECT), (7, 2, 1))[0]
            episode = Episode(f"{recovery}-{next(self.names)}")
            said = {**kind, "edited_args": {"name": episode.name, "amount": 50}} if kind is EDIT else kind
            self._live_through(episode, tally, ours.live, tool, said)
            self.threads.append(episode.thread)
            self._judge(episode, tally, recovery, said)
        return tally

    def bare(self, which: str, kills: int) -> Tally:
        """The same over LangGraph alone; every payment is approved."""
        tally = Tally()
        while tally.kills < kills and time.monotonic() < self.until:
            episode = Episode(f"bare-{which}-{next(self.names)}")
            self._live_through(episode, tally, bare.live, which, APPROVE)
            self._count(episode, tally)
        return tally

    def served(self, kills: int, *, clients: int = 6, fatal: tuple[int, int] = served.FATAL) -> Tally:
        """Payments over HTTP, several at once, while the server is killed so often in all."""
        tally = Tally()
        home = served.Home(str(self.home), self.dsn, self.outside.address)
        while tally.kills < kills and time.monotonic() < self.until:
            storm_kills = min(3, kills - tally.kills)
            seed = self.random.randrange(10**6)
            many, places = served.storm(FORKS, home, clients=clients, kills=storm_kills, seed=seed, fatal=fatal)
            notes = served.judged(many, self.outside, home)
            tally.episodes += len(many)
            tally.kills += len(places)
            tally.places.update(places)
            tally.phases["served"] += len(places)
            tally.approved += len(many)
            tally.happened += sum(self.outside.done[client.name_of] > 0 for client in many)
            tally.doubled += sum(self.outside.done[client.name_of] > 1 for client in many)
            tally.decided += sum(len(client.values.get("decisions", {})) for client in many)
            tally.lost += sum(": lost" in note for note in notes)
            tally.doubts += sum(client.doubts for client in many)
            tally.settled += sum(client.doubts for client in many if client.values)
            tally.cut += sum(client.cut for client in many)
            tally.notes += notes
        return tally

    def _count(self, episode: Episode, tally: Tally) -> None:
        happened = self.outside.done[episode.name]
        tally.approved += 1
        tally.happened += happened > 0
        tally.doubled += happened > 1
        tally.unexplained += happened == 0

    def once(self, which: str, plan: Plan, *, prefix: str = "") -> Tally:
        """One approved payment, ours or bare, whose first life ends by this plan and whose second lives."""
        tally, episode = Tally(), Episode(f"{prefix}{which}-{next(self.names)}")
        live, tool = (ours.live, TOOL_OF[which]) if which in TOOL_OF else (bare.live, which)
        self._live_through(episode, tally, live, tool, APPROVE, [plan])
        if live is ours.live:
            self.threads.append(episode.thread)
            self._judge(episode, tally, which, APPROVE)
        else:
            self._count(episode, tally)
        return tally

    def damage(self) -> list[str]:
        """What the checks of the session files and of the audit chain find after all this."""
        found = [str(report) for report in verify(self.home / "threads")["damaged"]]
        audit = verify_audit(self.home)
        return found + [str(finding) for finding in audit["findings"] if finding["level"] == "problem"]

    # one payment

    def _live_through(
        self,
        episode: Episode,
        tally: Tally,
        live: Callable[..., None],
        tool: str,
        said: dict[str, Any],
        plans: Sequence[Plan] = (),
    ) -> None:
        """Lives by these plans, or by plans of chance, until one comes to the end."""
        tally.episodes += 1
        home = self.home if live is ours.live else self.home.parent
        ends = iter(plans or self._plans(tool))
        while True:
            plan = next(ends, Plan())
            order = Order(str(home), self.dsn, self.outside.address, episode.name, tool, said, episode.thread, plan)
            lived = self._life(order, live, episode, tally)
            if lived is not None:
                self._whole.setdefault(tool, (episode.seen, lived))
                return
            tally.kills += 1
            tally.phases[episode.phase] += 1

    def _plans(self, tool: str) -> list[Plan]:
        """None for the first episode of a tool: it shows how many instants there are."""
        return [self._plan(tool) for _ in range(KILLS_MAX)] if tool in self._whole else []

    def _plan(self, tool: str) -> Plan:
        instants, seconds = self._whole[tool]
        when: When = self.random.choice(get_args(When))
        how = self.random.randrange(4)
        if how == 0:
            return Plan(after_s=self.random.uniform(0, seconds))
        if how == 1:
            return Plan(self.random.randint(1, sum(instants.values())), when)
        phase = self.random.choice(sorted(instants))  # in each phase as often, the short ones too
        return Plan(self.random.randint(1, instants[phase]), when, phase=phase)

    def _life(self, order: Order, live: Callable[..., None], episode: Episode, tally: Tally) -> float | None:
        """Run one process; the seconds that it lived, or None where it was killed."""
        hears, tells = FORKS.Pipe(duplex=False)
        child = FORKS.Process(target=live, args=(order, tells))
        child.start()
        tells.close()
        with hears:
            assert hears.poll(LIFE_S), "the child was never born"
            born = time.monotonic()
            if order.plan.after_s is not None:
                child.join(order.plan.after_s)
                child.kill()
            child.join(LIFE_S)
            lived = time.monotonic() - born
            if child.exitcode is None:
                child.kill()
                raise AssertionError(f"{order.name}: a life did not end")
            self._hear(hears, episode, tally)
        if child.exitcode == 0:
            return lived
        assert child.exitcode == -signal.SIGKILL, f"{order.name}: a life ended with {child.exitcode}"
        return None

    def _hear(self, hears: Connection, episode: Episode, tally: Tally) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                what, value = hears.recv()
                if what == "phase":
                    episode.phase = value
                elif what == "thread":
                    episode.thread = value
                elif what == "acknowledged":
                    episode.acknowledged = True
                elif what == "review":
                    episode.kinds[value[0]] = value[1]
                elif what == "decided":
                    episode.decided[value["review_id"]] = value
                elif what == "gone" and (episode.acknowledged or episode.decided):
                    tally.lost += 1
                    tally.notes.append(f"{episode.name}: thread {value} is gone")
                elif what == "died":
                    tally.places[value] += 1
                elif what == "done":
                    episode.seen = value

    # what should have happened

    def _judge(self, episode: Episode, tally: Tally, recovery: str, said: dict[str, Any]) -> None:
        values = build_graph(FileSaver(self.home / "threads")).get_state(_config(episode.thread)).values
        stored = DecisionLog(self.home / "threads").of(episode.thread)
        tally.decided += len(episode.decided)
        for review_id, decision in episode.decided.items():
            if stored.get(review_id) != decision or values["decisions"].get(review_id) != decision:
                tally.lost += 1
                tally.notes.append(f"{episode.name}: the decision on {review_id} was lost")
        happened, amounts = self._happened(episode.name, recovery)
        approved = said["type"] != "reject"
        tally.approved += approved
        tally.happened += happened > 0
        tally.doubled += happened > 1
        assert len(values["outcomes"]) == 1, (episode, values)
        [outcome] = values["outcomes"].values()
        wanted = [50 if said["type"] == "edit" else 100] if happened else []
        truthful = outcome["status"] == ("done" if happened else "failed" if approved else "refused")
        if not truthful or amounts != wanted or (happened and not approved):
            tally.wrong += 1
            tally.notes.append(f"{episode.name}: {said['type']}, happened {happened} with {amounts}, {outcome}")
        doubts = [review for review, kind in episode.kinds.items() if kind == "in_doubt"]
        tally.doubts += len(doubts)
        tally.settled += sum(review in stored for review in doubts)
        gap = approved and not happened
        if gap and not any(stored[review]["type"] == "reject" for review in doubts if review in stored):
            tally.unexplained += 1
            tally.notes.append(f"{episode.name}: it did not happen and no review says why: {outcome}")
        if approved:
            written = [e["k"] for e in EffectLedger(self.home / "threads").entries(episode.thread)]
            if sorted(set(written) & {"intent", "outcome"}) != ["intent", "outcome"]:
                tally.wrong += 1
                tally.notes.append(f"{episode.name}: the ledger holds {written}")

    def _happened(self, name: str, recovery: str) -> tuple[int, list[int]]:
        if recovery != "transactional":
            return self.outside.done[name], self.outside.given.get(name, [])
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute("select amount from payments where name = %s", (name,)).fetchall()
        return len(rows), [int(row[0]) for row in rows]


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


DAMAGE: Final = "damaged files or chains"
SERVED: Final = "over HTTP, six at once"
ROWS: Final = (*TOOL_OF, SERVED, DAMAGE, "bare LangGraph, one", "bare LangGraph, two")


def wanted(kills: int, control: int) -> dict[str, int]:
    """The kills of each row: our three tools share ``kills``, HTTP has a third more, the two controls ``control``."""
    shares = [kills // 3 + (n < kills % 3) for n in range(3)]
    return dict(zip(ROWS, [*shares, kills // 3, 0, control // 2, control // 2], strict=True))


def run(
    home: Path, dsn: str, kills: Mapping[str, int], *, seed: int = 1, until: float = math.inf
) -> Iterator[tuple[str, Tally]]:
    """The rows of the table, with so many kills each; fewer where ``until`` (``time.monotonic()``) comes first."""
    (home / "home").mkdir(parents=True, exist_ok=True)
    with Outside() as outside:
        campaign = Campaign(home / "home", dsn, outside, seed=seed, until=until)
        for row in ROWS:
            if row in TOOL_OF:
                yield row, campaign.ours(row, kills[row])
            elif row == SERVED:
                yield row, campaign.served(kills[row])
            elif row == DAMAGE:
                yield row, Tally(notes=campaign.damage())
            else:
                yield row, campaign.bare(row.rpartition(" ")[2], kills[row])
