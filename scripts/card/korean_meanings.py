"""What Korean words mean, for a machine with a card that has no Kiwi: the words of so many generated questions.

python scripts/card/korean_meanings.py FILE [QUESTIONS [SEED]]
"""

from __future__ import annotations

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from adapters.alike.meanings import read_korean, write_kept
from adapters.training.likening import item_at

PART = 5_000


def main() -> int:
    """Write the file."""
    file, questions, seed = Path(sys.argv[1]), *(int(x) for x in (*sys.argv[2:], 400_000, 0)[:2])
    found: set[str] = set()
    with ProcessPoolExecutor() as pool:
        for some in pool.map(words, ((seed, start) for start in range(0, questions, PART))):
            found |= some
    korean = read_korean()
    if korean is None:
        return 1
    print(f"{write_kept(sorted(found), korean, file):,} words of {len(found):,}")
    return 0


def words(part: tuple[int, int]) -> set[str]:
    """The Korean words of some questions."""
    seed, start = part
    items = (item_at(seed, n) for n in range(start, start + PART))
    return {w for item in items for w in re.findall("[가-힣]+", " ".join((item.request, *item.candidates)))}


if __name__ == "__main__":
    sys.exit(main())
