"""What speaks for a sentence by words alone says the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASKED = "from adapters.speakers.lexical import bm25, overlap, worth\n" + (
    "q = 'Which of the seven museums in the old town charges nothing on the first Sunday of a month in winter?'\n"
    "s = [f'The {a} museum of the {b} town charges {c} on a Sunday in {d}.' for a in ('first', 'seven', 'big')\n"
    "     for b in ('old', 'new') for c in ('nothing', '5 won') for d in ('winter', 'a month', 'June')]\n"
    "print([x.hex() for f in (worth, overlap, bm25) for x in map(float, f(q, s))])\n"
)


def test_the_order_of_a_set_changes_nothing() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", ASKED], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in range(3)
    }  # fmt: skip
    assert len(said) == 1
