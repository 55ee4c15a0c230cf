"""What a workspace does with documents: taken in, searched, corrected, taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dojang.acting import Acting
from state import Passage, Trust, UserError

if TYPE_CHECKING:
    from dojang.cited import CitedBy
    from store import DocumentRow, DocumentStore, IngestReport
    from store.ingesting.corrections import Version
    from store.ingesting.reindexing import ReindexReport
    from store.ingesting.spread import Spread


class Documents(Acting):
    """The documents of one home."""

    def ingest(
        self,
        paths: Sequence[Path],
        *,
        trust: Trust = "trusted",
        on_progress: Callable[[str, int, int], None] | None = None,
        on_work: Callable[[Any, int], None] | None = None,
        ray: int = 0,
    ) -> IngestReport:
        """Read files (folders are walked) into passages; files that cannot be read are reported, the rest goes in.

        ``ray``: by so many Ray workers; 0: by this process.
        """
        spread = self._spread(ray) if ray else None
        return self.parts.store.ingest(paths, on_progress, trust, on_work=on_work, spread=spread)

    def _spread(self, workers: int) -> Spread:
        from dojang.chosen import embedder_options
        from store import load_embedder
        from store.ingesting.spread import Spread

        settings = self.parts.settings
        load = partial(load_embedder, settings.embedding, **embedder_options(settings))
        return Spread(workers, load, settings.ray_address)

    def delete(self, document: str) -> None:
        """Take a document out, which is noted first. UserError when there is no such one."""
        if any(row["name"] == document for row in self.documents()):
            self.parts.audit.note(None, "document.deleted", self.user, document)
        self.parts.store.delete(document)

    def reindex(
        self, documents: Sequence[str] = (), *, on_progress: Callable[[str, int, int], None] | None = None
    ) -> ReindexReport:
        """Cut and index documents again with today's code, all where none is named."""
        return self._kept().reindex(documents, on_progress)

    def set_trust(self, document: str, trust: Trust, *, reason: str, by: str | None = None) -> None:
        """What a person says of a document's trust, until its content changes."""
        self._kept().set_trust(document, trust, author=by or self.user, reason=reason)

    def correct(self, passage: str, text: str, *, reason: str, by: str | None = None) -> Passage:
        """A new version of a passage. UserError, or Conflict where somebody was first."""
        return self.parts.store.correct(passage, text, author=by or self.user, reason=reason)

    def undo_correction(self, passage: str, *, reason: str = "", by: str | None = None) -> Passage:
        """Back to the text before, as a new version."""
        return self._kept().undo_correction(passage, author=by or self.user, reason=reason)

    def versions(self, passage: str) -> list[Version]:
        """As :meth:`passage_history`, and [] where documents have no history (Qdrant)."""
        return self.passage_history(passage) if self.settings.store == "postgres" else []

    def document_history(self, document: str) -> list[Version]:
        """What people corrected in a document, oldest first; [] where documents have no history."""
        return self._kept().corrections_of(document) if self.settings.store == "postgres" else []

    def passages_of(self, document: str, *, after: tuple[int, str] = (-1, ""), limit: int = 100) -> list[Passage]:
        """The current passages of a document, in their order. UnknownDocument; UserError in Qdrant."""
        return self._kept().passages_of(document, after=after, limit=limit)

    def passage_history(self, passage: str) -> list[Version]:
        """The versions of a passage, oldest first; [] where it was never corrected."""
        return self._kept().history(passage)

    def set_aside(self) -> list[Version]:
        """Corrections that no longer fit their document and that nobody has settled."""
        return self._kept().set_aside()

    def settle(self, number: int, *, reason: str = "", by: str | None = None) -> None:
        """Note that a person looked at a correction that was set aside."""
        self._kept().settle(number, author=by or self.user, reason=reason)

    def cited(self, passage: str) -> list[CitedBy]:
        """The answers that cited this passage, in any of its versions, by thread."""
        chain = self._kept().history(passage) if self.settings.store == "postgres" else []
        ids = [one["replaced"] for one in chain] + [one["passage"] for one in chain if one["passage"]]
        return self.parts.cited.of([passage, *ids])

    def search(self, query: str, *, k: int = 5, filters: dict[str, str] | None = None) -> list[Passage]:
        """The passages that match best. UserError where there is no word to look for."""
        if not any(character.isalnum() for character in query):
            raise UserError("the question is empty: write at least one word to search for")
        return self.parts.store.search(query, k=k, filters=filters)

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order; those that are gone are left out."""
        return self.parts.store.fetch(ids)

    def documents(self) -> list[DocumentRow]:
        """What has been ingested."""
        return self.parts.store.documents()

    def source(self, document: str, start: int, end: int) -> str:
        """The characters that a citation names, read back from the stored document. UserError when it is gone."""
        return self.parts.store.document_text(document)[start:end]

    def _kept(self) -> DocumentStore:
        """The documents where they have a history. UserError where they lie in Qdrant."""
        from store import DocumentStore

        store = self.parts.store
        if not isinstance(store, DocumentStore):
            raise UserError("documents in Qdrant have no history: this needs DOJANG_STORE=postgres")
        return store
