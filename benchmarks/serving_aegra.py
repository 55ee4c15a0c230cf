"""Aegra, another server with LangGraph's API, for ``serving.py``: it keeps its threads in PostgreSQL.

``aegra-api`` is installed into ``build/aegra`` at the first call. Its tables need the extension ``uuid-ossp``, which
our embedded PostgreSQL has not: a system's own is started for it in a folder of the run (``DOJANG_BENCH_POSTGRES``
names its ``bin``; else the newest under ``/usr/lib/postgresql``), with fsync on, as it is by default.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg

HERE = Path(__file__).resolve().parent
PACKAGES = ("aegra-api", "greenlet")
"""greenlet: SQLAlchemy asks for it where it is used asynchronously, and Aegra does not name it."""
USER = "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
"""Who PostgreSQL runs as: it refuses root."""


def postgres_bin() -> Path | None:
    """Where ``initdb`` and ``postgres`` are that have the extension; None where there are none."""
    named = os.environ.get("DOJANG_BENCH_POSTGRES")
    found = [Path(named)] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found and (found[-1] / "initdb").exists() else None


def environment() -> Path:
    """Aegra's environment; made when it is missing."""
    place = HERE.parent / "build" / "aegra"
    if not (place / "lib").exists():
        print(f"making Aegra's environment in {place} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(pip, check=True)
    return place


@contextlib.contextmanager
def aegra(folder: Path) -> Iterator[str]:
    """Aegra over the trivial graph; its address."""
    (folder / "aegra.json").write_text(json.dumps({"graphs": {"agent": f"{HERE / 'serving_peer.py'}:graph"}}))
    python, port = environment() / "bin" / "python", free_port()
    with postgres(folder / "aegra-postgres") as database, open(folder / "aegra.log", "wb") as log:
        told = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        told |= {"DATABASE_URL": database, "AEGRA_CONFIG": str(folder / "aegra.json"), "AUTH_TYPE": "noop"}
        command = [str(python), "-m", "uvicorn", "aegra_api.main:app", "--port", str(port), "--log-level", "warning"]
        with ended(subprocess.Popen(command, cwd=folder, env=told | {"LOG_LEVEL": "ERROR"}, stdout=log, stderr=log)):
            url = f"http://127.0.0.1:{port}/"
            until(lambda: httpx.get(url + "health", trust_env=False).status_code == 200)
            yield url


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own with an empty database; its address."""
    tools, port = postgres_bin(), free_port()
    assert tools is not None
    folder.mkdir()
    folder.parent.chmod(0o755)
    if USER:
        shutil.chown(folder, USER)
    made = [tools / "initdb", "-D", folder / "data", "-U", "aegra", "-A", "trust", "--no-sync"]
    subprocess.run(made, user=USER, check=True, stdout=subprocess.DEVNULL, cwd="/")
    command = [tools / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    with ended(subprocess.Popen(command, user=USER, stdout=quiet, stderr=quiet, cwd="/")):
        where = f"postgresql://aegra@127.0.0.1:{port}/"

        def made_there() -> bool:
            with psycopg.connect(where + "postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE aegra")
            return True

        until(made_there)
        yield where + "aegra"


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process after the block."""
    try:
        yield
    finally:
        process.terminate()
        process.wait(40)


def until(true: Callable[[], bool]) -> None:
    """Try for a minute until it is true."""
    for _ in range(300):
        with contextlib.suppress(httpx.HTTPError, psycopg.OperationalError):
            if true():
                return
        time.sleep(0.2)
    raise RuntimeError("it did not start within a minute")


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
