"""Runs a second with PostgreSQL and worker processes beside ``runs.sqlite`` in one process (ADR 38).

    python benchmarks/serving_shared.py [--clients 1 16] [--seconds 5] [--only files|server|1|2 …]

Operation ``wait`` of ``serving.py``: create a thread, wait for a run of the trivial graph. ``files``: one process, all
in files. ``server``: PostgreSQL, and the server carries its runs out itself. ``1``, ``2``: the server carries nothing
out, that many processes with 4 workers each do. PostgreSQL is the embedded one, with fsync, on the same machine.
``CPU``: of server, workers and PostgreSQL together, for each run; on a machine that others use it says more than rates.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil
from serving import HERE, Client, measured, ours

sys.path.insert(0, str(HERE.parent))

from store.postgres.embedded import EmbeddedPostgres


@contextlib.contextmanager
def worker(folder: Path, home: Path, dsn: str) -> Iterator[None]:
    """A process that carries runs out."""
    command = [sys.executable, str(HERE / "serving_ours.py"), str(home), dsn, "4", "work"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DOJANG_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait(40)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--only", nargs="+", choices=["files", "server", "1", "2"], default=["files", "server", "1", "2"]
    )
    given = parser.parse_args()
    print("| server | clients | done | a second | p50 ms | p99 ms | CPU ms | load |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dojang-shared-") as name, contextlib.ExitStack() as all_of_it:
        folder = Path(name)
        server = all_of_it.enter_context(EmbeddedPostgres(folder / "postgres"))
        for who in given.only:
            place = folder / who
            place.mkdir()
            with contextlib.ExitStack() as stack:
                more: list[str] = []
                if who != "files":
                    database = f"shared_{who}"
                    make_database(server, database)
                    more = [with_database(server, database), "4" if who == "server" else "0"]
                url = stack.enter_context(ours(place, *more))
                for _ in range(int(who) if who.isdigit() else 0):
                    stack.enter_context(worker(place, place / "home", more[0]))
                client = Client(url, "dojang", {"decisions": [{"type": "approve"}]})
                asyncio.run(measured(client.wait, 2, 5, 12))  # the first runs open what is opened once
                for clients in given.clients:
                    before = cpu_s(folder)
                    rate, took = asyncio.run(measured(client.wait, clients, given.seconds))
                    spent, ordered = (cpu_s(folder) - before) / len(took), sorted(took)
                    p99 = ordered[min(len(took) - 1, int(len(took) * 0.99))]
                    print(
                        f"| {who} | {clients} | {len(took)} | {rate:.1f} | {median(took) * 1000:.0f} "
                        f"| {p99 * 1000:.0f} | {spent * 1000:.0f} | {os.getloadavg()[0]:.1f} |",
                        flush=True,
                    )


def cpu_s(folder: Path) -> float:
    """Seconds of CPU that the server, its workers and PostgreSQL have had."""
    tree = psutil.Process().children(recursive=True)
    postmaster = postmaster_of(folder)
    tree = [*tree, postmaster, *postmaster.children(recursive=True)]
    total = 0.0
    for process in {one.pid: one for one in tree}.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            found = process.cpu_times()
            total += found.user + found.system
    finished = postmaster.cpu_times()
    return total + finished.children_user + finished.children_system


@functools.cache
def postmaster_of(folder: Path) -> psutil.Process:
    """PostgreSQL's first process."""
    (path,) = folder.glob("postgres/**/postmaster.pid")
    return psutil.Process(int(path.read_text().split()[0]))


def with_database(server: str, name: str) -> str:
    """The address of another database of a server."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(server, dbname=name)


def make_database(server: str, name: str) -> None:
    """Make an empty database."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")


if __name__ == "__main__":
    main()
