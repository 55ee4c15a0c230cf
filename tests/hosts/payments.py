"""Payments over HTTP while hosts fail: each is asked for, decided by three people at once, and followed to its end.

What was acknowledged to whom is kept, and compared at the end with the record and with what the outside has counted.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx
import psycopg

from tests.chaos.outside import ask
from tests.hosts.house import PEOPLE, House, until

TOOLS: Final = ("pay_here", "pay_with_key", "pay_blind")
AWAY: Final = (429, 502, 503, 504)
"""Not now: what was asked may have been done or not."""
PATIENCE_S: Final = 180
SAID: Final[dict[str, dict[str, Any]]] = {
    "approve": {"type": "approve"},
    "reject": {"type": "reject", "reason": "no"},
}


class Progress:
    """Counts what clients were told, so that something can happen at an instant between two of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def on(self) -> None:
        """One more."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def passes(self, count: int, *, wait_s: float, or_else: Callable[[], object] = lambda: False) -> bool:
        """Wait until so much was told; whether it was."""
        with self._changed:
            self._changed.wait_for(lambda: self.count >= count or or_else(), wait_s)
            return self.count >= count


@dataclass
class Payment:
    """One payment from the request to the last word."""

    house: House
    progress: Progress
    name: str
    tool: str
    random: Random
    calm: Callable[[], bool]
    """Whether no effect can still be under way that nobody hears of."""
    told: list[str] = field(default_factory=list)  # ids of runs that were acknowledged
    won: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # by review: (person, what), acknowledged
    lost: int = 0  # decisions that came too late, and were told so
    unsure: int = 0  # requests of which nobody knows whether they arrived
    doubts: int = 0
    refused: int = 0
    cut: int = 0  # streams that were broken off and taken up again
    wrong: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    thread: str = ""

    def live(self) -> None:
        """All of it; what goes wrong is kept in ``wrong``."""
        self.clients = {person: self.house.client(person) for person in PEOPLE}
        try:
            self._pay()
        except Exception as error:
            self.wrong.append(f"{self.name}: {error!r}, after {self.told}")
        finally:
            for client in self.clients.values():
                client.close()

    def _pay(self) -> None:
        self.thread = str(uuid.uuid4())
        self._ask("POST", "threads", {"thread_id": self.thread, "if_exists": "do_nothing"})
        wanted = json.dumps({"tool": self.tool, "name": self.name})
        self._begin({"messages": [{"role": "user", "content": wanted, "id": "m1"}]})
        followed: set[str] = set()
        decided: set[str] = set()

        def over() -> bool:
            for run in self._runs():
                if run not in followed:
                    self._follow(run)
                    followed.add(run)
            state = self._ask("GET", f"threads/{self.thread}/state")
            for pause in state["interrupts"]:
                review = pause["value"]["review"]
                if review["id"] not in decided:
                    self._decide(pause["id"], review)
                    decided.add(review["id"])
            self.values = state["values"]
            return not state["interrupts"] and not state["next"] and bool(self.values.get("outcomes"))

        until(over, f"{self.name} comes to its end", wait_s=PATIENCE_S)

    def _begin(self, given: dict[str, Any]) -> None:
        """Have the run accepted. Where the answer was lost, it is looked for before it is asked again."""
        asked = {"assistant_id": "dojang", "stream_mode": ["updates"], "stream_resumable": True, "input": given}
        while not self._runs():
            with suppress(httpx.TransportError):
                answer = self.clients[PEOPLE[0]].post(f"threads/{self.thread}/runs", json=asked)
                if answer.status_code == 200:
                    self.told.append(answer.json()["run_id"])
                    self.progress.on()
                    return
                assert answer.status_code in AWAY, answer.text
            self.unsure += 1

    def _decide(self, interrupt: str, review: dict[str, Any]) -> None:
        if review["kind"] == "in_doubt":
            self.doubts += 1
            until(self.calm, "every host is heard of again", look_s=0.1)
            happened = bool(self.happened())
            self.refused += not happened
            what = SAID["approve"] if happened else {"type": "reject", "reason": "it did not happen"}
            self._say(PEOPLE[0], interrupt, review["id"], what)
            return
        said = [SAID["approve"], SAID["approve"], SAID["reject"]]
        self.random.shuffle(said)
        start = threading.Barrier(len(PEOPLE))

        def one(person: str, what: dict[str, Any]) -> None:
            start.wait()
            self._say(person, interrupt, review["id"], what)

        with ThreadPoolExecutor(len(PEOPLE)) as pool:
            list(pool.map(one, PEOPLE, said))

    def _say(self, person: str, interrupt: str, review: str, what: dict[str, Any]) -> None:
        """Say it until somebody answers: that it holds, or whose does."""
        body = {
            "assistant_id": "dojang", "stream_mode": ["updates"], "stream_resumable": True,
            "command": {"resume": {interrupt: what}},
        }  # fmt: skip

        def answered() -> bool:
            try:
                answer = self.clients[person].post(f"threads/{self.thread}/runs", json=body)
            except httpx.TransportError:
                self.unsure += 1
                return False
            if answer.status_code == 200:
                self.won.setdefault(review, []).append((person, what["type"]))
                self.told.append(answer.json()["run_id"])
            elif answer.status_code in AWAY:
                self.unsure += 1
                return False
            elif answer.status_code in (400, 404, 409):
                self.lost += 1
            else:
                self.wrong.append(f"{self.name}: {person} was told {answer.status_code} {answer.text}")
            self.progress.on()
            return True

        until(answered, f"{self.name}: somebody answers {person}", wait_s=PATIENCE_S)

    def _follow(self, run: str) -> None:
        """The events to the end: each once, none left out, whatever was cut off in between."""
        last, over = 0, False

        def to_its_end() -> bool:
            nonlocal last, over
            headers = {"last-event-id": str(last)} if last else {}
            path = f"threads/{self.thread}/runs/{run}/stream"
            with (
                suppress(httpx.TransportError),
                self.clients[PEOPLE[0]].stream("GET", path, headers=headers, timeout=60) as answer,
            ):
                if answer.status_code in AWAY:
                    return False
                assert answer.status_code == 200, answer.read()
                for number, event in _events(answer):
                    if number != last + 1:
                        self.wrong.append(f"{self.name}: event {number} of run {run} after {last}")
                    last, over = number, event in ("end", "error")
                    self.progress.on()
            self.cut += not over
            return over

        until(to_its_end, f"{self.name}: run {run} ends", wait_s=PATIENCE_S)

    def _runs(self) -> list[str]:
        return [run["run_id"] for run in reversed(self._ask("GET", f"threads/{self.thread}/runs"))]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        found: list[Any] = []

        def answered() -> bool:
            try:
                answer = self.clients[PEOPLE[0]].request(method, path, json=body)
            except httpx.TransportError:
                return False
            if answer.status_code in AWAY:
                return False
            assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
            found.append(answer.json())
            return True

        until(answered, f"{method} {path} is answered", wait_s=PATIENCE_S)
        return found[0]

    def happened(self) -> int:
        """How often it happened, by the outside."""
        if self.tool != "pay_here":
            return ask(self.house.outside.address, self.name, look=True)
        with psycopg.connect(self.house.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM payments WHERE name = %s", (self.name,)).fetchone()
        assert row is not None
        return int(row[0])

    def first(self) -> str:
        """What was decided of it first; "" where nothing was."""
        decisions: dict[str, Any] = self.values.get("decisions", {})
        return next((str(one["type"]) for one in decisions.values()), "")

    def judged(self) -> list[str]:
        """What is not as it was acknowledged, or not as it should be."""
        found = list(self.wrong)
        happened, decisions = self.happened(), self.values.get("decisions", {})
        outcomes = list(self.values.get("outcomes", {}).values())
        if happened > 1:
            found.append(f"{self.name}: doubled: happened {happened} times")
        for review, winners in self.won.items():
            recorded = decisions.get(review, {})
            if {(recorded.get("by"), recorded.get("type"))} != set(winners):
                found.append(f"{self.name}: lost: {winners} were told that they decided {review}, recorded {recorded}")
        first = self.first()
        wanted = "refused" if first == "reject" else "done" if happened else "failed"
        if [outcome["status"] for outcome in outcomes] != [wanted] or (first == "reject" and happened):
            found.append(f"{self.name}: wrong: {first}, happened {happened}, {outcomes}")
        if first == "approve" and not happened and not self.refused:
            found.append(f"{self.name}: unexplained: approved, it did not happen, and nobody was asked: {outcomes}")
        return found


def _events(answer: httpx.Response) -> Iterator[tuple[int, str]]:
    number = 0
    for line in answer.iter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("event: "):
            yield number, line[7:]
