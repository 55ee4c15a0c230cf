"""The command line in this process, over a home and a database of the test's own."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from checkpoints.backend import Backend
from dojang.__main__ import main
from dojang.cli.invocation import OpenWorkspace
from dojang.sessions import open_sessions
from dojang.settings import load_settings
from tests.databases import SESSIONS
from tests.dojang.workspaces import TODAY, rehearsed
from tests.processes import Forked
from tests.sessions_in_postgres import rows_of

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """One call: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout; anything else there fails."""
        return json.loads(self.out)

    def one(self, prefix: str) -> str:
        """The only id with this prefix in the output."""
        found = set(re.findall(rf"\b{prefix}_[0-9a-f]+\b", self.out + self.err))
        assert len(found) == 1, (found, self)
        return str(found.pop())


@dataclass
class Shell:
    """Calls ``dojang`` in this process (``shell("ask", "…")``) or, with ``process``, in one of its own."""

    home: Path
    environment: dict[str, str]
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    open_workspace: OpenWorkspace = field(default=rehearsed)

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        self.capture.readouterr()
        code = main(words, open_workspace=self.open_workspace)
        out, err = self.capture.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    def process(self, *words: str, script: str = "rehearsed_cli", **environment: str) -> Forked:
        """A started process of the rehearsed command line."""
        given = {**os.environ, **self.environment, **environment}
        return Forked(f"tests.dojang.{script}", words, environment=given, cwd=self.home.parent)

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """Where the sessions are, for whoever looks at their records, or changes them, by hand."""
        opened = open_sessions(load_settings())
        try:
            yield opened.backend
        finally:
            opened.close()

    def kept(self) -> Mapping[str, object]:
        """All that the sessions hold, byte for byte; locks left out, and the audit: it has mistakes, too."""
        if SESSIONS == "postgres":
            return rows_of(self.environment["DOJANG_DATABASE_URL"])
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in sorted(self.home.glob("threads/*/*"))
            if path.suffix != ".lock" and not path.name.startswith("audit.")
        }

    def paused(self) -> tuple[str, str]:
        """(thread, review) of a booking that waits."""
        asked = self("ask", "please book it", "--json")
        assert asked.code == 3, asked
        return asked.json["thread_id"], asked.json["reviews"][0]["id"]


def finished(process: Forked) -> Ran:
    """Wait for a process that a test started."""
    out, err = process.communicate(timeout=60)
    return Ran(process.wait(), out, err)


@pytest.fixture(scope="module", autouse=True)
def sent(request: pytest.FixtureRequest) -> Iterator[None]:
    """With ``DOJANG_TEST_WORKERS=hosts``, whose runs are carried out on hosts that fail: ``tests/hosts/sent.py``."""
    if os.environ.get("DOJANG_TEST_WORKERS") != "hosts" or ".server." in request.module.__name__:
        yield
        return
    from tests.hosts.sent import Sent

    with Sent(request.getfixturevalue("hosts")).installed():
        yield


@pytest.fixture
def at_home() -> Iterator[None]:
    """Runs stay in the process of a test that looks into them, or changes what they are made of, whatever is set."""
    if os.environ.get("DOJANG_TEST_WORKERS") != "hosts":
        yield
        return
    from tests.hosts import sent

    with sent.at_home():
        yield


@pytest.fixture
def shell(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Shell:
    """A home, an empty database, a pinned day, the user kim, English."""
    home = tmp_path / "home"
    environment = {
        "DOJANG_HOME": str(home),
        "DOJANG_DATABASE_URL": postgres_dsn,
        "DOJANG_SESSIONS": SESSIONS,
        "DOJANG_EMBEDDING": "none",
        "DOJANG_TODAY": TODAY.isoformat(),
        "DOJANG_USER": "kim",
        "DOJANG_LANGUAGE": "en",
        "OMP_NUM_THREADS": "1",
    }
    for name in [name for name in os.environ if name.startswith("DOJANG_") and "_TEST_" not in name]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Shell(home, environment, capfd, monkeypatch)


@pytest.fixture
def bookings(postgres_dsn: str) -> Callable[[], list[tuple[Any, ...]]]:
    """The rows that the tool made in the bookings table, oldest first."""
    import psycopg

    def rows() -> list[tuple[Any, ...]]:
        with psycopg.connect(postgres_dsn) as connection:
            return connection.execute(
                "select id, guest, guests, check_in::text from bookings where id > 'BK-2040' order by created_at"
            ).fetchall()

    return rows
