"""Documents: PostgreSQL's life, reading files, passages, vectors, search.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.ingesting.ingest import IngestReport
    from store.models.embedding import Embedder, HuggingFaceEmbedder, MiniLM, OpenAIEmbedder, load_embedder
    from store.postgres.embedded import EmbeddedPostgres
    from store.readers.extract import Extract, Unreadable
    from store.searching.search import Ranking
    from store.store import DocumentRow, DocumentStore, UnknownDocument

__all__ = [
    "DocumentRow",
    "DocumentStore",
    "EmbeddedPostgres",
    "Embedder",
    "Extract",
    "HuggingFaceEmbedder",
    "IngestReport",
    "MiniLM",
    "OpenAIEmbedder",
    "Ranking",
    "UnknownDocument",
    "Unreadable",
    "load_embedder",
]

_HOMES = {
    "postgres.embedded": ("EmbeddedPostgres",),
    "models.embedding": ("Embedder", "HuggingFaceEmbedder", "MiniLM", "OpenAIEmbedder", "load_embedder"),
    "ingesting.ingest": ("IngestReport",),
    "readers.extract": ("Extract", "Unreadable"),
    "searching.search": ("Ranking",),
    "store": ("DocumentRow", "DocumentStore", "UnknownDocument"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"store.{module}"), name)
    raise AttributeError(f"module 'store' has no attribute {name!r}")
