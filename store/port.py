"""What every store of documents can do: PostgreSQL (``store.store``), Qdrant (``store.qdrant.store``).

Both satisfy it by their shape; ``tests/store/test_port.py`` runs the same tests on both, and says where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from state import Passage, Trust

if TYPE_CHECKING:
    from store.ingesting.ingest import IngestReport, Work
    from store.ingesting.spread import Spread
    from store.models.embedding import Embedder
    from store.models.reranking import Reranker
    from store.searching.search import Ranking
    from store.store import DocumentRow


class Documents(Protocol):
    """Documents: put in, search, read back, correct, take out. See ``DocumentStore`` for what each promises."""

    embedder: Embedder | None
    ranking: Ranking
    reranker: Reranker | None

    def ingest(
        self,
        paths: Sequence[Path | str],
        on_progress: Callable[[str, int, int], None] | None = None,
        trust: Trust = "trusted",
        metadata: Mapping[str, str] | None = None,
        *,
        on_work: Work | None = None,
        spread: Spread | None = None,
    ) -> IngestReport:
        """Put files and folders in; what is there with the same content stays, what cannot be read is reported.

        ``spread``: Ray workers read and embed them. UserError where a store does not have that.
        """
        ...

    def ingest_bytes(
        self,
        name: str,
        data: bytes,
        *,
        trust: Trust = "untrusted",
        metadata: Mapping[str, str] | None = None,
        on_work: Work | None = None,
    ) -> IngestReport:
        """Put one uploaded document in."""
        ...

    def search(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """At most ``k`` passages, best first."""
        ...

    async def asearch(self, query: str, *, k: int = 5, filters: Mapping[str, str] | None = None) -> list[Passage]:
        """The same without blocking the event loop."""
        ...

    def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order, old versions too."""
        ...

    def documents(self) -> list[DocumentRow]:
        """All documents, by name."""
        ...

    def document_text(self, name: str) -> str:
        """The extracted text in which passages' offsets count."""
        ...

    def delete(self, name: str) -> None:
        """Take a document out."""
        ...

    def correct(self, passage: str, text: str, *, author: str, reason: str) -> Passage:
        """A new version of a passage, by a person."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...
