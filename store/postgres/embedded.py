"""The embedded PostgreSQL with pgvector: ``with EmbeddedPostgres(home / "postgres") as dsn: …``.

Many processes share one directory. Whoever comes first starts the server; it outlives its starter, and a detached
watcher (:mod:`store.postgres.watcher`) stops it some seconds after the last client is gone. No TCP port is opened;
logging in needs the password file in the directory, which only its owner can read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg.conninfo import make_conninfo

from state import PassingFault, UserError
from store.postgres.locks import FileLock
from store.postgres.server import START_TIMEOUT_S, USER, Server

LINGER_S = 10.0
LOCK_TIMEOUT_S = 120.0
STARTING_OR_STOPPING = "57P03"


class EmbeddedPostgres:
    """One process's use of the server in ``directory``.

    Args:
        directory: where everything of the server lives; made when missing.
        linger_s: how long the server stays up after its last client.
        settings: PostgreSQL settings for a start, e.g. ``{"shared_buffers": "256MB"}``; the first client's count.
    """

    def __init__(
        self, directory: Path, *, linger_s: float = LINGER_S, settings: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory.absolute()
        self.linger_s = linger_s
        self._server = Server(self.directory, settings)
        self._client: FileLock | None = None

    @property
    def dsn(self) -> str:
        """A libpq connection string without a secret (it names the password file)."""
        host, port = self._server.where()
        return make_conninfo(
            host=host, port=port, user=USER, dbname="postgres", passfile=str(self._server.passfile), connect_timeout=5
        )

    def start(self) -> str:
        """Make sure that the server runs and stays; returns the DSN. Calling it again is cheap and repairs.

        Raises:
            UserError: wrong platform, unreachable or unwritable directory, or a data directory of another version.
            PassingFault: the server does not come up; the message has its last words and the path of its log.
        """
        if sys.platform == "win32":
            raise UserError(
                "the embedded PostgreSQL does not run on Windows: set DOJANG_DATABASE_URL to a server of your own"
            )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with FileLock(self.directory / "start.lock"):
                self._become_client()
                try:
                    dsn = self._ensure()
                except BaseException:
                    self.stop()
                    raise
        except PermissionError as error:
            raise UserError(
                f"no permission for {error.filename}: give this user {self.directory}, or set DOJANG_HOME"
            ) from None
        return dsn

    def stop(self) -> None:
        """Stop being a client. The server itself ends ``linger_s`` after the last client, by the watcher's hand."""
        if self._client is not None:
            self._client.release()
            self._client = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _become_client(self) -> None:
        if self._client is None:
            client = FileLock(self.directory / "clients.lock")
            client.acquire(shared=True, timeout_s=LOCK_TIMEOUT_S)
            self._client = client

    def _ensure(self) -> str:
        self._server.create()
        if self._server.pid() is not None and not self._server.reachable():
            self._server.stop()  # its socket was removed: nobody new can reach it
        if self._server.pid() is None:
            self._server.launch()
        self._ensure_watcher()
        return self._answering()

    def _answering(self) -> str:
        """Wait for a real answer; a server that died or is shutting down meanwhile is started again."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            dsn = self.dsn
            try:
                psycopg.connect(dsn, autocommit=True).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise PassingFault(
                        f"the embedded PostgreSQL in {self.directory} (process {self._server.pid()}) does not answer: "
                        f"see {self._server.log}; stop that process and try again"
                    ) from None
                if error.sqlstate == "28P01":
                    raise UserError(
                        f"{self._server.passfile} does not fit {self._server.data}: restore both from one copy"
                    ) from None
                if self._server.pid() is None:
                    self._server.launch()
                time.sleep(0.05)
            else:
                return dsn

    def _ensure_watcher(self) -> None:
        lock = FileLock(self.directory / "watcher.lock")
        if not lock.try_acquire():
            return
        lock.release()
        environment = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONSAFEPATH", "PYTHONWARNINGS")
        }
        command = [sys.executable, "-m", "store.postgres.watcher", str(self.directory), "--linger", str(self.linger_s)]
        root = Path(__file__).resolve().parents[2]
        with (self.directory / "watcher.log").open("ab") as log:
            # the shell's "&" makes it nobody's child: it outlives us, and no zombie is left to us
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", *command],
                cwd=root,
                env=environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )
