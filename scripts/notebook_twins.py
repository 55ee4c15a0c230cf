"""Carries the code of the notebooks over to their Korean twins, and takes stored output out of both.

    python scripts/notebook_twins.py

Text is not touched: cells are matched by their ids, and a text cell that one of the two lacks is named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ENGLISH, KOREAN = 'LANGUAGE = "en"', 'LANGUAGE = "ko"'


def main() -> int:
    """Number of text cells that lack a twin."""
    lacking = 0
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        twin = NOTEBOOKS / "ko" / path.name
        english, korean = (json.loads(file.read_text(encoding="utf-8")) for file in (path, twin))
        known = {cell["id"]: cell for cell in korean["cells"]}
        made = []
        for cell in english["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"execution_count": None, "outputs": []}
                made.append({**cell, "source": [line.replace(ENGLISH, KOREAN) for line in cell["source"]]})
            elif cell["id"] in known:
                made.append(known[cell["id"]])
            else:
                lacking += 1
                print(f"{twin.name}: no Korean for cell {cell['id']}", file=sys.stderr)
        _write(path, english)
        _write(twin, {**korean, "cells": made})
    return lacking


def _write(path: Path, notebook: dict[str, Any]) -> None:
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
