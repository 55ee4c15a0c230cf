"""Stops an embedded server when nobody uses it any more.

Run by :mod:`store.postgres.embedded`, detached: ``python -m store.postgres.watcher DIRECTORY --linger 10``. Every
client holds a shared lock on ``clients.lock``; this process waits for the exclusive one, which the operating system
grants when the last client is gone, however it died. It knows nothing of connections: a client is a process, not a
session.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from store.postgres.locks import FileLock
from store.postgres.server import Server


def watch(directory: Path, linger_s: float) -> None:
    """Block until all clients are gone and stay gone for ``linger_s``; then stop the server and return."""
    mine = FileLock(directory / "watcher.lock")
    if not mine.try_acquire():
        return
    clients = FileLock(directory / "clients.lock")
    while True:
        clients.acquire()
        clients.release()
        time.sleep(linger_s)
        with FileLock(directory / "start.lock"):
            if not clients.try_acquire():
                continue
            clients.release()  # nobody can come in while the start lock is held
            Server(directory).stop()
            mine.release()  # before the start lock: whoever starts next must see that nobody watches
            return


def main() -> None:
    """Parse the command line and watch; a directory that was deleted ends the watch without a word."""
    parser = argparse.ArgumentParser(
        prog="python -m store.postgres.watcher", description="Stop an unused embedded PostgreSQL."
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--linger", type=float, default=10.0, metavar="SECONDS")
    given = parser.parse_args()
    if given.directory.is_dir():
        watch(given.directory, given.linger)


if __name__ == "__main__":
    main()
