"""What a document's rows need, computed before they are written: passages, their terms, flags and vectors.

Knows no database. A part is as much of a document as lies in memory at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from state import Trust
from store.ingesting.chunking import Chunk, chunks
from store.models.embedding import Embedder
from store.readers.extract import Extract
from store.text.language import BIGRAM, syllable_pairs, terms
from store.text.suspicion import flags_of

INDEX_VERSION = 3
"""Raised when reading, cutting or indexing changes, so that `dojang documents` can say what to index again."""
PART_PASSAGES = 2_000
EMBED_AT_ONCE = 128

OnEmbedded = Callable[[int], None]
"""Hears how many more passages were embedded."""


@dataclass(frozen=True)
class Part:
    """Passages of a document, with all that is stored of them; lists of one length."""

    chunks: list[Chunk]
    terms: list[Counter[str]]
    vectors: list[npt.NDArray[np.float32] | None]
    flags: list[list[str]]

    @property
    def with_vector(self) -> int:
        """How many of them have a vector."""
        return sum(vector is not None for vector in self.vectors)


@dataclass(frozen=True)
class Prepared(Part):
    """A whole document."""

    extract: Extract
    source: str
    trust: Trust  # what the ingest said
    metadata: Mapping[str, str]

    @property
    def believed(self) -> Trust:
        """The trust that the document gets: what speaks to the model is not trusted."""
        return "untrusted" if any(self.flags) else self.trust


def prepare(
    extract: Extract, embedder: Embedder | None, *, source: str, trust: Trust, metadata: Mapping[str, str]
) -> Prepared:
    """Cut, analyse and embed all of it. Only passages in a language that the model knows get a vector."""
    part = analysed(extract, list(chunks(extract)))
    embedded = embed_parts(embedder, [(extract, part)])[0]
    return Prepared(
        chunks=embedded.chunks,
        terms=embedded.terms,
        vectors=embedded.vectors,
        flags=embedded.flags,
        extract=extract,
        source=source,
        trust=trust,
        metadata=metadata,
    )


def parts_of(extract: Extract, *, at_once: int = PART_PASSAGES) -> Iterator[Part]:
    """The document part by part, not embedded yet. The cutting goes on as parts are asked for."""
    cut = chunks(extract)
    while some := list(itertools.islice(cut, at_once)):
        yield analysed(extract, some)


class Spool:
    """Parts on disk until they are written: a long document is cut and embedded before its transaction begins."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="dojang-parts-")

    def put(self, part: Part) -> None:
        """Append a part."""
        pickle.dump(part, self._file, pickle.HIGHEST_PROTOCOL)  # read back by this very process only

    def __iter__(self) -> Iterator[Part]:
        self._file.seek(0)
        with contextlib.suppress(EOFError):
            while True:
                yield pickle.load(self._file)

    def close(self) -> None:
        """Free the disk."""
        self._file.close()


def analysed(extract: Extract, some: list[Chunk]) -> Part:
    """Terms and flags of passages; no vectors."""
    texts = [extract.text[piece.start : piece.end] for piece in some]
    indexed = [index_terms(piece.title, text) for piece, text in zip(some, texts, strict=True)]
    return Part(some, indexed, [None] * len(some), [flags_of(text) for text in texts])


def embed_parts(
    embedder: Embedder | None, given: Sequence[tuple[Extract, Part]], on_embedded: OnEmbedded | None = None
) -> list[Part]:
    """The same parts with vectors; passages of all of them share the model's batches."""
    if embedder is None:
        return [part for _, part in given]
    triples = [
        (piece.language, piece.title, extract.text[piece.start : piece.end])
        for extract, part in given
        for piece in part.chunks
    ]
    vectors: list[npt.NDArray[np.float32] | None] = []
    for start in range(0, len(triples), EMBED_AT_ONCE):
        some = triples[start : start + EMBED_AT_ONCE]
        vectors += embed_known(embedder, some)
        if on_embedded is not None:
            on_embedded(len(some))
    made = iter(vectors)
    return [
        Part(part.chunks, part.terms, list(itertools.islice(made, len(part.chunks))), part.flags) for _, part in given
    ]


def passage_id(digest: str, name: str, start: int, end: int, version: int = 1, text: str = "") -> str:
    """Stable across ingests of the same content under the same name; changes when the text does.

    ``text`` belongs to it where it can differ although the file is the same: newer code reads more out of it.
    """
    key = f"{digest}\n{name}\n{start}\n{end}\n{version}\n{text}"
    return "p" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def index_terms(title: str, text: str) -> Counter[str]:
    """Terms of a passage with their counts; its title counts like a sentence of it."""
    whole = f"{title}\n{text}"
    return Counter(terms(whole)) + Counter(syllable_pairs(whole))


def length_of(counts: Counter[str]) -> int:
    """A passage's length in words; the pairs of syllables are the same words again."""
    return sum(count for term, count in counts.items() if not term.startswith(BIGRAM))


def embed_known(
    embedder: Embedder | None, passages: Sequence[tuple[str, str, str]]
) -> list[npt.NDArray[np.float32] | None]:
    """Vectors for ``(language, title, text)`` triples; None where the model does not know the language."""
    vectors: list[npt.NDArray[np.float32] | None] = [None] * len(passages)
    if embedder is None:
        return vectors
    known = [index for index, (language, _, _) in enumerate(passages) if language in embedder.languages]
    if known:
        made = embedder.embed([f"{passages[index][1]}\n{passages[index][2]}" for index in known])
        for index, vector in zip(known, made, strict=True):
            vectors[index] = vector
    return vectors
