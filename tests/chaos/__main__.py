"""``make chaos``: kill -9 at many instants, the effects counted outside, bare LangGraph beside us; prints a table.

``KILLS=1000`` for the whole (about half an hour); ``SEED`` for other instants. Ends with 1 where something was lost,
doubled or left unexplained.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from store.embedded import EmbeddedPostgres
from tests.chaos.campaign import PHASES, Tally, run

COLUMNS = ("", "episodes", "kills", "decisions", "lost", "approved", "happened", "doubled", "in doubt", "settled")


def main() -> int:
    """Run and print; the exit code."""
    kills, seed = int(os.environ.get("KILLS", "60")), int(os.environ.get("SEED", "1"))
    bad: list[str] = []
    ours = Counter[str]()
    places = Counter[str]()
    print(f"kill -9 at {kills} instants, seed {seed}\n", flush=True)
    print("| " + " | ".join((*COLUMNS, "unexplained", "wrong")) + " |")
    print("|" + "---|" * (len(COLUMNS) + 2), flush=True)
    with tempfile.TemporaryDirectory(prefix="dojang-chaos-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "postgres") as dsn:
            for name, tally in run(home, dsn, kills, control=kills, seed=seed):
                if tally.episodes:
                    print(_row(name, tally), flush=True)
                if not name.startswith("bare"):
                    bad += tally.notes
                    ours += tally.phases
                    places += tally.places
    print("\nkilled in: " + ", ".join(f"{phase} {ours[phase]}" for phase in PHASES))
    print(f"of these at a counted instant: {places.total()}, at {len(places)} different places")
    print(
        "\n".join(["", *bad]) if bad else "\nnothing lost, nothing doubled, every gap explained; files and chain whole"
    )
    return 1 if bad else 0


def _row(name: str, t: Tally) -> str:
    doubts = ("–", "–") if name.startswith("bare") else (t.doubts, t.settled)
    cells = (name, t.episodes, t.kills, t.decided or "–", t.lost, t.approved, t.happened, t.doubled, *doubts)
    return "| " + " | ".join(str(cell) for cell in (*cells, t.unexplained, t.wrong)) + " |"


if __name__ == "__main__":
    sys.exit(main())
