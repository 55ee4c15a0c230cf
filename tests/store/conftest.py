"""A cheap embedder and a store on a database of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from state import Language
from store.models.embedding import Vectors, unit_length
from store.store import DocumentStore
from store.text.language import terms
from tests.store.endpoint import Endpoint, serving


class HashEmbedder:
    """A bag of hashed words: texts with common words lie near each other."""

    def __init__(self, name: str = "hash-words", dimension: int = 64) -> None:
        self.name = name
        self.revision = "1"
        self.dimension = dimension
        self.languages: frozenset[Language] = frozenset({"en"})
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.seen += texts
        rows = np.full((len(texts), self.dimension), 1e-3, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in terms(text):
                row[int(hashlib.md5(term.encode()).hexdigest(), 16) % self.dimension] += 1
        return unit_length(rows)


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def store(postgres_dsn: str, embedder: HashEmbedder) -> Iterator[DocumentStore]:
    with DocumentStore(postgres_dsn, embedder) as opened:
        yield opened


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setattr("store.models.endpoints.FIRST_PAUSE_S", 0.0)
    with serving() as made:
        yield made
