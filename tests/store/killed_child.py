"""Ingests a folder and kills itself at the N-th call to the database: ``python killed_child.py DSN FOLDER N``.

N = 0 kills nothing and prints how many calls there were. "bulk" for N: killed after three documents of an ingest that
left the index of vectors out. Run by test_kills.py and test_bulk.py.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from store.ingesting import bulk, ingest
from store.store import DocumentStore
from tests.store.conftest import HashEmbedder

calls = 0


def counted(real: Callable[..., Any], last: int) -> Callable[..., Any]:
    def call(*args: Any, **more: Any) -> Any:
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **more)

    return call


def main() -> None:
    dsn, folder = sys.argv[1], Path(sys.argv[2])
    ingest.BATCH_DOCUMENTS = 3
    if sys.argv[3] == "bulk":
        bulk.AT_LEAST = 6
        with DocumentStore(dsn, HashEmbedder()) as store:
            store.ingest([folder], on_progress=lambda name, done, total: os.kill(os.getpid(), signal.SIGKILL))
    last = int(sys.argv[3])
    ingest.STREAMED_CHARACTERS = 3_000
    with DocumentStore(dsn, None) as store:
        psycopg.Connection.execute = counted(psycopg.Connection.execute, last)  # type: ignore[method-assign]
        psycopg.Copy.write_row = counted(psycopg.Copy.write_row, last)  # type: ignore[method-assign]
        psycopg.Transaction.__exit__ = counted(psycopg.Transaction.__exit__, last)  # type: ignore[method-assign]
        report = store.ingest([folder])
    print(calls, len(report.added), len(report.replaced), len(report.unchanged), len(report.failed))


if __name__ == "__main__":
    main()
