"""What a record, an audited decision and an effect cost: as files, and in a PostgreSQL that waits for its disk.

Run it with ``python benchmarks/records.py [--rounds N]``. Both in turns, so that what else the machine does falls on
both alike; the home chain grows with every decision, as it does in a house.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from checkpoints.audit.trail import AuditedDecisions, AuditedLedger, AuditLog
from checkpoints.backend import Backend, FileBackend
from store.postgres.embedded import EmbeddedPostgres
from tests.checkpoints.audited import ACTION, outcome
from tests.checkpoints.cases import decision
from tests.sessions_in_postgres import backend_in


def acts(backend: Backend, home: Path) -> dict[str, Callable[[int], object]]:
    """What is timed, by name; each is given the number of its round."""
    audit = AuditLog(backend, home / "keys")
    decisions, ledger = AuditedDecisions(backend, audit), AuditedLedger(backend, audit)

    def append(n: int) -> None:
        with backend.log("t", "about").writing() as writer:
            writer.write([{"k": "about", "metadata": {"n": n}}])
            writer.wait()

    def effect(n: int) -> None:
        with ledger.lease(f"e{n}", "k"):
            ledger.begin(f"e{n}", "k", ACTION, "at_most_once")
            ledger.finish(f"e{n}", "k", outcome())

    backend.ensure("t")
    return {
        "append": append,
        "note": lambda n: audit.note("t", "review.shown", "kim", f"r{n}"),
        "decision": lambda n: decisions.record(f"d{n}", decision("r")),
        "effect": effect,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "server") as dsn,
        backend_in(dsn) as rows,
    ):
        files = FileBackend(Path(folder) / "home" / "threads")
        both = {"files": acts(files, Path(folder) / "home"), "postgres": acts(rows, Path(folder) / "other")}
        took: dict[tuple[str, str], list[float]] = {}
        for n in range(rounds):
            for act in both["files"]:
                for where, timed in both.items():
                    began = time.perf_counter()
                    timed[act](n)
                    took.setdefault((act, where), []).append(1000 * (time.perf_counter() - began))
    print("| | files, ms (median) | PostgreSQL, ms (median) | files, slowest tenth | PostgreSQL, slowest tenth |")
    print("|---|---|---|---|---|")
    for act in both["files"]:
        pair = [sorted(took[act, where]) for where in both]
        cells = [median(found) for found in pair] + [found[len(found) * 9 // 10] for found in pair]
        print(f"| {act} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
