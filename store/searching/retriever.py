"""The store as a LangChain retriever: what a chain or an agent of somebody else's can search with.

A document's metadata holds the source span (document, start, end, page), the scores of each half, and the trust.
"""

from __future__ import annotations

from typing import Protocol

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, SkipValidation

from state import Passage


class Searchable(Protocol):
    """What is needed of a store: see :class:`store.port.Documents`."""

    def search(self, query: str, *, k: int = 5, filters: dict[str, str] | None = None) -> list[Passage]:
        """At most ``k`` passages, best first."""
        ...

    async def asearch(self, query: str, *, k: int = 5, filters: dict[str, str] | None = None) -> list[Passage]:
        """The same without blocking the event loop."""
        ...


class PassageRetriever(BaseRetriever):
    """``PassageRetriever(store=store, k=4).invoke("…")``, or ``ainvoke``."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: SkipValidation[Searchable]
    k: int = 4
    filters: dict[str, str] | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [as_document(passage) for passage in self.store.search(query, k=self.k, filters=self.filters)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        found = await self.store.asearch(query, k=self.k, filters=self.filters)
        return [as_document(passage) for passage in found]


def as_document(passage: Passage) -> Document:
    """The passage as LangChain's type; its id stays."""
    kept = ("document", "title", "start", "end", "page", "language", "sentences", "scores", "trust")
    return Document(
        id=passage["id"],
        page_content=passage["text"],
        metadata={key: passage[key] for key in kept},  # type: ignore[literal-required]
    )
