"""``make hosts``: a day on six hosts while they fail; prints what was counted. Needs root, and no network.

``TROUBLES=30``, ``CLIENTS=6``, ``SEED=…`` (drawn where none is given, and printed). Ends with 1 where something was
lost, doubled or left unexplained; ``KEEP=folder`` keeps what the processes said.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from tests.hosts.day import Sums, campaign
from tests.hosts.network import refusal


def main() -> int:
    """Live a day; print the table; the exit code."""
    if why := refusal():
        print(why, file=sys.stderr)
        return 2
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    troubles, clients = int(os.environ.get("TROUBLES", "30")), int(os.environ.get("CLIENTS", "6"))
    print(f"seed {seed}, {troubles} troubles, {clients} clients", flush=True)
    with tempfile.TemporaryDirectory(prefix="dojang-hosts-") as made:
        folder = Path(os.environ.get("KEEP", made))
        folder.mkdir(parents=True, exist_ok=True)
        sums = campaign(folder, troubles=troubles, clients=clients, seed=seed)
    _tell(sums)
    return 1 if sums.notes else 0


def _tell(sums: Sums) -> None:
    print("\n| payments | decided | of these lost | too late, and told so | approved | happened | doubled | in doubt |")
    print("|" + "---|" * 8)
    cells = (
        sums.payments, sums.decisions, sums.lost, sums.too_late, sums.approved, sums.happened, sums.doubled, sums.doubts
    )  # fmt: skip
    print("| " + " | ".join(str(cell) for cell in cells) + " |")
    print("\n" + ", ".join(f"{kind} {times}" for kind, times in sorted(sums.troubles.items())))
    print(f"{sums.seconds:.0f} s; {sums.cut} streams taken up again, {sums.unsure} requests without an answer")
    print("\n".join(sums.notes) or "nothing lost, nothing doubled, every gap explained; sessions and chain whole")


if __name__ == "__main__":
    sys.exit(main())
