"""A PostgreSQL on a host of its own: the packaged one, reached by address and password from that network alone."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from store.postgres.account import Account, account_for
from store.postgres.server import USER, Server, programs
from tests.hosts.network import Host

PORT: Final = 5432
START_S: Final = 60
UNSAFE: Final = {"fsync": "off", "full_page_writes": "off"}
"""A server that is killed loses nothing by these, only a machine that loses its power."""


class Postgres:
    """The server of a folder on a host. ``dsn`` holds good over restarts."""

    def __init__(self, folder: Path, host: Host) -> None:
        folder = folder.absolute()
        self._server = Server(folder)
        self.host = host
        folder.mkdir(parents=True, exist_ok=True)
        self._server.create()
        self._log = folder / "server.log"
        self._rules = folder / "hba.conf"
        account = self._account()
        net = host.address.rpartition(".")[0] + ".0/24"
        self._rules.write_text(f"host all all {net} scram-sha-256\n", encoding="utf-8")
        self._log.touch()
        for path in (self._rules, self._log):
            account.own(path, 0o600)
        password = self._server.passfile.read_text(encoding="utf-8").strip().rpartition(":")[2]
        self.dsn = make_conninfo(
            host=host.address, port=PORT, user=USER, password=password, dbname="postgres", connect_timeout=5
        )

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = {
            "listen_addresses": self.host.address,
            "port": str(PORT),
            "unix_socket_directories": "",
            "hba_file": str(self._rules),
            "max_connections": "200",
            "scram_iterations": "1",
            "jit": "off",
            **UNSAFE,
        }
        words = " ".join(f"-c {key}='{value}'" for key, value in options.items())
        self._control("start", "-w", "-t", str(START_S), "-l", str(self._log), "-o", words)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it; ``at_once``: as if it had been killed, so that the next start recovers."""
        self._control("stop", "-w", "-t", str(START_S), "-m", "immediate" if at_once else "fast")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._said("status").returncode == 0

    def restart(self, *, at_once: bool = True) -> None:
        """Stop and start it."""
        self.stop(at_once=at_once)
        self.start()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Its life; the DSN."""
        self.start()
        try:
            yield self.dsn
        finally:
            if self.alive:
                self.stop(at_once=True)

    def made(self, name: str) -> str:
        """The DSN of a new, empty database."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return make_conninfo(self.dsn, dbname=name)

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _account(self) -> Account:
        owner = self._server.data.stat()
        return account_for(programs() / "postgres", self._server.directory, owner=(owner.st_uid, owner.st_gid))

    def _control(self, *words: str) -> None:
        done = self._said(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}{self.said()[-2000:]}"

    def _said(self, *words: str) -> subprocess.CompletedProcess[str]:
        account = self._account()
        prefix = account.prefix or ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
        inside = replace(account, prefix=(*self.host.space.inside(with_it=True), *prefix))
        command = [str(programs() / "pg_ctl"), "-D", str(self._server.data), *words]
        return inside.run(command, timeout_s=START_S + 15)
