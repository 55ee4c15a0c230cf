"""``make chaos``: kill -9 at many instants, the effects counted outside, bare LangGraph beside us; prints a table.

``KILLS=1000`` for the whole (about half an hour); ``SEED`` for other instants. ``STATE=chaos.json`` keeps the sums in a
file and goes on from there, and ``STOP_S=500`` ends a part after so many seconds (code 3: run it again). Ends with 1
where something was lost, doubled or left unexplained.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.postgres.embedded import EmbeddedPostgres
from tests.chaos.campaign import PHASES, ROWS, Tally, run, wanted

COLUMNS = ("", "episodes", "kills", "decisions", "lost", "approved", "happened", "doubled", "in doubt", "settled")


def main() -> int:
    """Run a part, or all; print the table; the exit code."""
    kills, seed = int(os.environ.get("KILLS", "60")), int(os.environ.get("SEED", "1"))
    stop_s, state = float(os.environ.get("STOP_S", "inf")), os.environ.get("STATE")
    file = Path(state) if state else None
    stored = _stored(file)
    sums = {row: Tally.of(tally) for row, tally in stored["rows"].items()}
    until = time.monotonic() + stop_s if math.isfinite(stop_s) else math.inf
    left = {row: max(0, all_of - sums[row].kills) for row, all_of in wanted(kills, kills).items()}
    with tempfile.TemporaryDirectory(prefix="dojang-chaos-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "postgres") as dsn:
            for row, tally in run(home, dsn, left, seed=seed * 1000 + stored["parts"], until=until):
                sums[row] += tally
    if file is not None:
        rows = {row: vars(tally) for row, tally in sums.items()}
        file.write_text(json.dumps({"parts": stored["parts"] + 1, "rows": rows}, ensure_ascii=False), encoding="utf-8")
    _tell(sums, f"kill -9 at {kills} instants, seed {seed}, {stored['parts'] + 1} part(s)")
    if any(tally.notes for row, tally in sums.items() if not row.startswith("bare")):
        return 1
    return 3 if any(sums[row].kills < all_of for row, all_of in wanted(kills, kills).items()) else 0


def _stored(file: Path | None) -> dict[str, Any]:
    if file is not None and file.exists():
        stored: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return stored
    return {"parts": 0, "rows": {row: vars(Tally()) for row in ROWS}}


def _tell(sums: Mapping[str, Tally], title: str) -> None:
    print(f"{title}\n\n| " + " | ".join((*COLUMNS, "unexplained", "wrong")) + " |")
    print("|" + "---|" * (len(COLUMNS) + 2))
    bad: list[str] = []
    phases, places = Counter[str](), Counter[str]()
    for row, tally in sums.items():
        if tally.episodes:
            print(_row(row, tally))
        if not row.startswith("bare"):
            bad += tally.notes
            phases += tally.phases
            places += tally.places
    print("\nkilled in: " + ", ".join(f"{phase} {phases[phase]}" for phase in PHASES))
    print(f"of these at a counted instant: {places.total()}, at {len(places)} different places")
    print(
        "\n".join(["", *bad]) if bad else "\nnothing lost, nothing doubled, every gap explained; files and chain whole"
    )


def _row(name: str, t: Tally) -> str:
    doubts = ("–", "–") if name.startswith("bare") else (t.doubts, t.settled)
    cells = (name, t.episodes, t.kills, t.decided or "–", t.lost, t.approved, t.happened, t.doubled, *doubts)
    return "| " + " | ".join(str(cell) for cell in (*cells, t.unexplained, t.wrong)) + " |"


if __name__ == "__main__":
    sys.exit(main())
