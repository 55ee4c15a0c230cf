"""``make fuzz``: the long run with a fresh seed: ``python -m tests.dojang.server.fuzz [EXAMPLES [SEED]]``.

First generated requests to every route, so many of each kind, then as many examples of the machine over threads, runs
and reviews (``machine``), each of fifty steps.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
import traceback
from pathlib import Path

from schemathesis.core.failures import FailureGroup

from store.postgres.embedded import EmbeddedPostgres
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.fuzz.house import House, opened_house
from tests.dojang.server.fuzz.machine import tried
from tests.dojang.server.fuzz.surface import MODES, Surface, opened


def main(examples: int, seed: int) -> int:
    """Print what each operation was sent and what was wrong; the exit code."""
    print(f"{examples} examples of each kind, seed {seed}")
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "postgres", linger_s=1, settings={"fsync": "off"}) as dsn,
    ):
        with (
            open_workspace(Path(folder) / "surface", dsn, language="en", rate_limit="") as workspace,
            opened(workspace) as surface,
        ):
            failed = _routes(surface, examples, seed)
        with opened_house(Path(folder) / "house", dsn) as house:
            failed += _machine(house, examples, seed)
    return min(failed, 1)


def _routes(surface: Surface, examples: int, seed: int) -> int:
    failed = 0
    for operation in surface.operations():
        for mode in MODES:
            begun = time.monotonic()
            try:
                sent = surface.fuzz(operation, mode, examples=examples, seed=seed)
                print(f"{sent:5} {time.monotonic() - begun:6.1f} s {mode:8}{operation.label}", flush=True)
            except (Exception, FailureGroup) as error:
                failed += 1
                print(f"WRONG {mode:8}{operation.label}\n{error}", flush=True)
    return failed


def _machine(house: House, examples: int, seed: int) -> int:
    begun = time.monotonic()
    try:
        tried(house, examples=examples, steps=50, seed=seed, shrink=True)
    except Exception:
        traceback.print_exc()
        return 1
    print(f"{examples:5} {time.monotonic() - begun:6.1f} s of the machine")
    return 0


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(given[0] if given else 200, given[1] if len(given) > 1 else secrets.randbelow(2**32)))
