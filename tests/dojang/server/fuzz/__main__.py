"""``make fuzz``: the long run with a fresh seed: ``python -m tests.dojang.server.fuzz [EXAMPLES [SEED]]``."""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path

from store.postgres.embedded import EmbeddedPostgres
from tests.dojang.server.conftest import open_workspace
from tests.dojang.server.fuzz.surface import MODES, opened


def main(examples: int, seed: int) -> int:
    """Print what each operation was sent and what was wrong; the exit code."""
    print(f"{examples} examples of each kind, seed {seed}")
    failed = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "postgres", linger_s=1, settings={"fsync": "off"}) as dsn,
        open_workspace(Path(folder) / "house", dsn, language="en") as workspace,
        opened(workspace) as surface,
    ):
        for operation in surface.operations():
            for mode in MODES:
                try:
                    sent = surface.fuzz(operation, mode, examples=examples, seed=seed)
                    print(f"{sent:5} {mode:8}{operation.label}", flush=True)
                except Exception as error:
                    failed += 1
                    print(f"WRONG {mode:8}{operation.label}\n{error}", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(given[0] if given else 200, given[1] if len(given) > 1 else secrets.randbelow(2**32)))
