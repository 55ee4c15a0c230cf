"""One Dojang on six hosts: PostgreSQL, a server that carries out nothing, four workers, each with a home of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from dojang.server.access.tokens import Tokens
from tests.chaos import desk
from tests.chaos.outside import Outside
from tests.dojang.workspaces import TODAY, workspace_for
from tests.hosts.network import Host, Network
from tests.hosts.postgres import Postgres
from tests.processes import Forked

WORKERS: Final = 4
PORT: Final = 8723
WAIT_S: Final = 120
SESSIONS: Final = "postgres"
PEOPLE: Final = ("Kim", "Lee", "Choi")
RULES: Final = Path(__file__).parents[1] / "chaos" / "policy.toml"


def until(true: Callable[[], object], what: str, *, wait_s: float = WAIT_S, look_s: float = 0.05) -> None:
    """Look again and again until something is so."""
    last = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < last, f"not within {wait_s:g} s: {what}"
        time.sleep(look_s)


@dataclass
class Machine:
    """A host, its home, and the process that runs there, which may be killed and begun again."""

    host: Host
    folder: Path
    environment: dict[str, str]
    words: tuple[str, ...]
    process: Forked | None = None
    child: str = "tests.hosts.child"
    lives: int = 0

    @property
    def home(self) -> Path:
        """Its DOJANG_HOME."""
        return self.folder / "home"

    def start(self) -> None:
        """Begin its process, and do not wait for it."""
        self.lives += 1
        self.process = Forked(self.child, self.words, environment=self.environment, cwd=self.folder, stderr=False)

    def run(self, *words: str) -> int:
        """Carry out another command there, to its end; its exit code."""
        with Forked(self.child, words, environment=self.environment, cwd=self.folder, stderr=False) as process:
            return process.wait(WAIT_S)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self._over()

    def end(self) -> int:
        """Ask it to end (SIGTERM); how it ended."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self._over()
        return code

    def _over(self) -> None:
        if self.process is not None:
            with self.process:
                pass
        self.process = None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def said(self) -> str:
        """All that it has said."""
        log = self.folder / "log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


@dataclass
class House:
    """Everything, running."""

    network: Network
    postgres: Postgres
    dsn: str
    outside: Outside
    server: Machine
    workers: list[Machine]
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://{self.server.host.address}:{PORT}/"

    def client(self, person: str = PEOPLE[0], **options: Any) -> httpx.Client:
        """HTTP as this person."""
        headers = {"authorization": f"Bearer {self.tokens[person]}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, **{"timeout": 30, **options})

    def locks_of(self, host: Host) -> int:
        """How many locks of a host PostgreSQL still believes in; -1 while it cannot be asked.

        A connection that was cut off before it had said how long it may be silent may stay for hours, with no lock.
        """
        asked = (
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE client_addr = %s::inet AND locktype = 'advisory' AND granted"
        )
        try:
            with psycopg.connect(self.postgres.dsn, autocommit=True, connect_timeout=2) as connection:
                found = connection.execute(asked, (host.address,)).fetchone()
        except psycopg.OperationalError:
            return -1
        assert found is not None
        return int(found[0])

    def told_of_locks(self, host: Host) -> str:
        """Whose they are and what they wait for, or why nobody says: for who waits too long for them."""
        asked = (
            "SELECT pid, state, wait_event, now() - backend_start, now() - state_change, left(query, 120), "
            "count(*) FILTER (WHERE locktype = 'advisory' AND granted) FROM pg_stat_activity "
            "LEFT JOIN pg_locks USING (pid) WHERE client_addr = %s::inet GROUP BY 1, 2, 3, 4, 5, 6"
        )
        try:
            with psycopg.connect(self.postgres.dsn, autocommit=True, connect_timeout=5) as connection:
                rows = connection.execute(asked, (host.address,)).fetchall()
        except psycopg.OperationalError as error:
            return f"PostgreSQL cannot be asked: {error}"
        return "\n".join(map(str, rows)) or "no connection of it is left"

    def ready(self) -> bool:
        """Whether the server could take a run in, and somebody would carry it out."""
        with contextlib.suppress(httpx.TransportError), self.client(timeout=5) as client:
            answer = client.get("readyz")
            return answer.status_code == 200 and not answer.json()["warnings"]
        return False


@contextlib.contextmanager
def house(folder: Path, *, workers: int = WORKERS, **settings: str) -> Iterator[House]:
    """A house, from nothing to nothing. ``settings``: more ``DOJANG_…`` for all of its processes."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network())
        outside = stack.enter_context(Outside(network.address))
        postgres = Postgres(folder / "postgres", network.host("db"))
        stack.enter_context(postgres.running())
        dsn = postgres.made("dojang")
        with psycopg.connect(dsn) as connection:
            desk.prepare(connection, None)

        def machine(name: str, *words: str, **more: str) -> Machine:
            host, place = network.host(name), folder / name
            place.mkdir()
            given = {
                "DOJANG_HOME": str(place / "home"),
                "DOJANG_DATABASE_URL": dsn,
                "DOJANG_TEST_NETWORK": host.space.path,
                "DOJANG_TEST_HOST": name,
                "DOJANG_TEST_OUTSIDE": f"{outside.address[0]}:{outside.address[1]}",
                "DOJANG_TEST_LOG": str(place / "log"),
                **SETTINGS,
                **settings,
                **more,
            }
            made = Machine(host, place, {**_plain(os.environ), **given}, words)
            stack.callback(made.kill)
            return made

        server = machine("server", "serve", DOJANG_WORKERS="0", **REACH)
        server.environment["DOJANG_PUBLIC_HOSTS"] = json.dumps([f"{server.host.address}:{PORT}"])
        many = [machine(f"worker{n}", "work") for n in range(1, workers + 1)]
        opened = House(network, postgres, dsn, outside, server, many)
        opened.tokens = _tokens(server, dsn)
        for one in (server, *many):
            one.start()
        until(lambda: opened.ready() or not server.alive, "the server answers, and could work")
        assert server.alive, server.said()
        yield opened


SETTINGS: Final = {
    "DOJANG_SESSIONS": SESSIONS,
    "DOJANG_EMBEDDING": "none",
    "DOJANG_TODAY": TODAY.isoformat(),
    "DOJANG_USER": "desk",
    "DOJANG_LANGUAGE": "en",
    "DOJANG_UNDO_S": "0",
    "DOJANG_TOOLS": json.dumps(["tests.chaos.desk"]),
    "DOJANG_POLICY": str(RULES),
    "DOJANG_SHARE_THREADS": "true",
    "DOJANG_WORKERS": "2",
    "DOJANG_LOG_LEVEL": "info",
}


REACH: Final = {"DOJANG_HOST": "0.0.0.0", "DOJANG_PORT": str(PORT), "DOJANG_RATE_LIMIT": "900000/minute"}
"""As the files in deploy/ have it."""


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("DOJANG_")}


def _tokens(server: Machine, dsn: str) -> dict[str, str]:
    """A token for each of the people."""
    with workspace_for(server.home, dsn, user="desk", sessions=SESSIONS) as workspace:
        tokens = Tokens(server.home, workspace.parts.audit)
        return {person: tokens.make(person, ["operator", "manager"], days=1, by="desk")[0] for person in PEOPLE}
