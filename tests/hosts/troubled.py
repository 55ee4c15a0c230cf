"""``make troubled``: other tests, with their runs on four hosts that fail one at a time; prints what befell them.

``SEED=…`` (drawn where none is given, and printed), ``PAUSE=1`` (the mean of the seconds between two strikes),
``PROCESSES=2`` (of the tests, each with a ground of its own). Arguments are pytest's. Ends with what pytest ends with,
or with 1 where no strike fell on a run: then nothing was shown. Needs root, and no network. What it is, is in
``shift.py``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.hosts.network import refusal


def main(words: Sequence[str]) -> int:
    """Run pytest; print the table; the exit code."""
    if why := refusal():
        print(why, file=sys.stderr)
        return 2
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
    pause_s = os.environ.get("PAUSE", "1")
    print(f"seed {seed}, a strike about every {pause_s} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="dojang-troubled-") as figures:
        given = {
            "DOJANG_TEST_SESSIONS": "postgres",
            "DOJANG_TEST_WORKERS": "hosts",
            "DOJANG_TEST_SEED": seed,
            "DOJANG_TEST_PAUSE_S": pause_s,
            "DOJANG_TEST_FIGURES": figures,
        }
        command = [sys.executable, "-m", "pytest", "-q", "-n", os.environ.get("PROCESSES", "2"), *words]
        with subprocess.Popen(command, env={**os.environ, **given}, start_new_session=True) as process:
            try:
                code = process.wait()
            except KeyboardInterrupt:  # once, whoever sent it: a second one stops what takes all away
                process.send_signal(signal.SIGINT)
                code = process.wait()
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(figures).glob("*.json"))]
    return _tell(found) or code


def _tell(found: Sequence[dict[str, Any]]) -> int:
    """1 where no run was struck."""
    troubles, on_runs = (sum((Counter(one[key]) for one in found), Counter()) for key in ("troubles", "on runs"))
    print("\n| trouble | times | of these on a worker that was carrying something out |\n|---|---|---|")
    for kind, times in sorted(troubles.items()):
        print(f"| {kind} | {times} | {on_runs[kind]} |")
    print(f"| all | {troubles.total()} | {on_runs.total()} |")
    struck, sent = ({test for one in found for test in one[key]} for key in ("struck", "sent"))
    print(f"\nstruck in the middle of a run: {len(struck)} tests; of the promises', with runs on hosts: {len(sent)}")
    print(f"{sum(one['runs'] for one in found)} runs, {sum(one['again'] for one in found)} taken more than once")
    return 0 if struck else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
