"""Embedding models that workers of an ingest load; each worker imports this."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from store.models.embedding import Embedder, Vectors
from tests.store.conftest import HashEmbedder


class Dying(HashEmbedder):
    """Notes its process, and kills it in the middle of its second batch, once for all of them."""

    def __init__(self, at: Path) -> None:
        super().__init__()
        self._at = at
        (at / f"worker-{os.getpid()}").touch()

    def embed(self, texts: Sequence[str]) -> Vectors:
        (self._at / f"batch-{len(list(self._at.glob('batch-*')))}-{os.getpid()}").touch()
        if len(list(self._at.glob("batch-*"))) >= 2:
            try:
                (self._at / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(texts)


def dying(at: Path) -> Embedder:
    """What a worker loads."""
    return Dying(at)
