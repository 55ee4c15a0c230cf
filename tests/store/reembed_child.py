"""A process that embeds anew and is killed: ``python -m tests.store.reembed_child DSN MODEL DIMENSION BATCHES``."""

from __future__ import annotations

import sys
import time

from store.ingesting.reembedding import reembed
from tests.store.conftest import HashEmbedder


def main() -> None:
    """Says each batch on a line, and after so many it waits until whoever watches kills it."""
    dsn, model, dimension, batches = sys.argv[1:]
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        told += 1
        print(done, total, flush=True)
        while told == int(batches):
            time.sleep(60)

    reembed(dsn, HashEmbedder(model, int(dimension)), tell, batch=8)
    print("switched", flush=True)


if __name__ == "__main__":
    main()
