"""The server under load, killed: several clients stream, are cut off, come back and decide, until all has an end.

A life of the server dies at a counted write, fsync or rename of its own; the clients see a broken connection, as theirs
would, and go on when the next life answers. What they were told is compared with what is there, and with what the
outside has counted.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, get_args

import httpx

from dojang.server import serve
from dojang.settings import Settings
from dojang.workspace import Workspace
from tests.chaos import desk
from tests.chaos.instants import Instants, Plan, When
from tests.chaos.ours import Clerk
from tests.chaos.outside import Address, Outside, ask
from tests.dojang.workspaces import NoDocuments, RehearsedParts, settings_for

TOOLS: Final = ("pay_with_key", "pay_blind")
BORN_S: Final = 120
FATAL: Final = (1, 450)
"""Instants of a life between which it has its last; a payment has about sixty."""


CUT: Final = (httpx.NetworkError, httpx.ProtocolError)
"""A broken connection. A time that is over is none: a server that lives and does not answer is a finding."""


class Parts(RehearsedParts):
    """The real parts, with a clerk for a model."""

    @cached_property
    def store(self) -> Any:
        return NoDocuments()


@dataclass(frozen=True)
class Home:
    """Where a server lives."""

    path: str
    dsn: str
    outside: Address

    def settings(self) -> Settings:
        rules = Path(__file__).with_name("policy.toml")
        given: dict[str, Any] = {"tools": ["tests.chaos.desk"], "policy": rules, "port": 0, "rate_limit": ""}
        return settings_for(Path(self.path), self.dsn, **given)


def live(home: Home, plan: Plan, said: Connection) -> None:
    """A life of the server: the target of the child process. It ends by its plan, or is ended."""
    instants = Instants(plan, lambda where: said.send(("died", where)))
    desk.OUTSIDE, desk.here = home.outside, instants.here
    settings = home.settings()

    def ready(url: str) -> None:
        said.send(("at", url))
        instants.watch_files()

    with Workspace(settings, parts=Parts(settings, generator=Clerk())) as workspace:
        workspace.parts.toolbox  # noqa: B018  # what is opened once is opened before anybody asks
        serve(settings, workspace=workspace, on_ready=ready)


class Lives:
    """Where the server is now, for those who ask; each of its lives but the last is killed."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.url = ""
        self.life = 0

    def born(self, url: str) -> None:
        with self.changed:
            self.url, self.life = url, self.life + 1
            self.changed.notify_all()

    def after(self, life: int) -> tuple[str, int]:
        """The address of a life that is younger, when there is one."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.life > life, BORN_S), "no server came back"
            return self.url, self.life


@dataclass
class Client(threading.Thread):
    """One payment: asked for, followed to its pause, approved, followed to its end, over any number of lives."""

    lives: Lives
    outside: Address
    tool: str
    name_of: str
    told: list[str] = field(default_factory=list)  # what was acknowledged
    wrong: list[str] = field(default_factory=list)
    doubts: int = 0
    refused: int = 0
    cut: int = 0  # streams that a kill has ended
    values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(name=self.name_of, daemon=True)
        self.url, self.life = "", 0
        self.http = httpx.Client(timeout=30, trust_env=False)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            with self.http:
                self._pay()
        except Exception as error:
            self.wrong.append(f"{self.name_of}: {error!r}, after {self.told}")

    def _pay(self) -> None:
        thread = str(uuid.uuid4())
        self._ask("POST", "threads", {"thread_id": thread, "if_exists": "do_nothing"})
        wanted = json.dumps({"tool": self.tool, "name": self.name_of})
        body: dict[str, Any] = {"input": {"messages": [{"role": "user", "content": wanted, "id": "m1"}]}}
        while body:
            self._follow(thread, self._accepted(thread, body))
            state = self._ask("GET", f"threads/{thread}/state")
            answers = {pause["id"]: self._said(pause["value"]["review"]) for pause in state["interrupts"]}
            body = {"command": {"resume": answers}} if answers else {}
        self.values = state["values"]

    def _said(self, review: dict[str, Any]) -> dict[str, Any]:
        self.told.append(review["id"])
        if review["kind"] != "in_doubt":
            return {"type": "approve"}
        self.doubts += 1
        if ask(self.outside, self.name_of, look=True):
            return {"type": "approve"}
        self.refused += 1
        return {"type": "reject", "reason": "it did not happen"}

    def _accepted(self, thread: str, body: dict[str, Any]) -> str:
        """The id of the run. Where the answer was lost, it is looked for before it is asked again."""
        known = {run["run_id"] for run in self._ask("GET", f"threads/{thread}/runs")}
        while True:
            url, life = self._server()
            asked = {"assistant_id": "dojang", "stream_mode": ["updates"], "stream_resumable": True, **body}
            try:
                answer = self.http.post(f"{url}threads/{thread}/runs", json=asked)
            except CUT:
                self.life = life
                fresh = [run for run in self._ask("GET", f"threads/{thread}/runs") if run["run_id"] not in known]
                if not fresh:
                    continue
                return str(fresh[0]["run_id"])
            if answer.status_code == 409 and "command" in body:  # recorded before the kill, and carried out by itself
                runs = self._ask("GET", f"threads/{thread}/runs")
                return str(runs[0]["run_id"])
            assert answer.status_code == 200, answer.text
            self.told.append(answer.json()["run_id"])
            return str(answer.json()["run_id"])

    def _follow(self, thread: str, run: str) -> None:
        """The events to the end: each once, none left out, whatever was cut off in between."""
        last, over = 0, False
        while not over:
            url, life = self._server()
            headers = {"last-event-id": str(last)} if last else {}
            try:
                with self.http.stream("GET", f"{url}threads/{thread}/runs/{run}/stream", headers=headers) as answer:
                    assert answer.status_code == 200, answer.read()
                    for number, event in _events(answer):
                        if number != last + 1:
                            self.wrong.append(f"{self.name_of}: event {number} of run {run} after {last}")
                        last, over = number, event in ("end", "error")
            except CUT:
                self.cut, self.life = self.cut + 1, life

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        while True:
            url, life = self._server()
            try:
                answer = self.http.request(method, url + path, json=body)
            except CUT:
                self.life = life
                continue
            assert answer.status_code == 200, answer.text
            return answer.json()

    def _server(self) -> tuple[str, int]:
        """Where the server is, younger than the last one that was seen to be dead."""
        return self.lives.after(self.life)


def _events(answer: httpx.Response) -> Iterator[tuple[int, str]]:
    number = 0
    for line in answer.iter_lines():
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("event: "):
            yield number, line[7:]


def storm(
    forks: Any, home: Home, *, clients: int, kills: int, seed: int, fatal: tuple[int, int] = FATAL
) -> tuple[list[Client], list[str]]:
    """So many payments at once, while the server is killed so often, at some instant between two; where."""
    chance, lives = random.Random(seed), Lives()
    many = [Client(lives, home.outside, TOOLS[n % 2], f"{seed}-{n}") for n in range(clients)]
    for client in many:
        client.start()
    places: list[str] = []
    while any(client.is_alive() for client in many):
        last = chance.randint(*fatal) if len(places) < kills else 0
        plan = Plan(last, chance.choice(get_args(When)))
        if (place := _life(forks, home, plan, lives, many)) is not None:
            places.append(place)
    return many, places


def _life(forks: Any, home: Home, plan: Plan, lives: Lives, many: Sequence[Client]) -> str | None:
    """One life; where it was killed, None where it has seen the end of all clients."""
    hears, tells = forks.Pipe(duplex=False)
    process = forks.Process(target=live, args=(home, plan, tells))
    process.start()
    tells.close()
    with hears:
        assert hears.poll(BORN_S), "the server was never born"
        lives.born(hears.recv()[1])
        while process.is_alive() and any(client.is_alive() for client in many):
            process.join(0.02)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, process.exitcode
        with contextlib.suppress(EOFError):
            return str(hears.recv()[1])
        return None


def judged(many: Sequence[Client], outside: Outside, home: Home) -> list[str]:
    """What is not as it was acknowledged, or not as it should be."""
    from dojang.server.work.rows import RunRows

    rows, found = RunRows(Path(home.path) / "runs.sqlite"), []
    for client in many:
        found += client.wrong
        happened, outcomes = outside.done[client.name_of], list(client.values.get("outcomes", {}).values())
        if happened > 1:
            found.append(f"{client.name_of}: happened {happened} times")
        wanted = ["done" if happened else "failed"]
        if [outcome["status"] for outcome in outcomes] != wanted or (not happened and not client.refused):
            found.append(f"{client.name_of}: happened {happened}, {client.refused} refused, {outcomes}")
        missing = set(client.told) - set(client.values.get("reviews", {})) - {r.run_id for r in _rows(rows, client)}
        if missing:
            found.append(f"{client.name_of}: lost {sorted(missing)}")
    rows.close()
    return found


def _rows(rows: Any, client: Client) -> list[Any]:
    found = []
    for told in client.told:
        try:
            found.append(rows.get(told))
        except Exception:  # a review's id
            continue
    return found
