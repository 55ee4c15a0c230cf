"""A process that embeds anew and is killed: ``python -m tests.store.reembed_child DSN MODEL DIMENSION``."""

from __future__ import annotations

import sys

from store.ingesting.reembedding import reembed
from tests.store.conftest import HashEmbedder


def main() -> None:
    """Says each batch on a line, so that whoever watches can kill it between two."""
    dsn, model, dimension = sys.argv[1:]
    reembed(dsn, HashEmbedder(model, int(dimension)), lambda done, total: print(done, total, flush=True), batch=8)
    print("switched", flush=True)


if __name__ == "__main__":
    main()
