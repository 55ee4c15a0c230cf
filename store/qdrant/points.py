"""What a passage and a document are in Qdrant, and back: ids, payloads, sparse vectors, scores. Talks to no server."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from state import Passage
from store.ingesting.preparing import Prepared, passage_id
from store.models.embedding import unit_length
from store.text.language import clean

NAMESPACE: Final = uuid.UUID("6f1a7f6e-52a0-4d0b-9a2e-0d3c7c9d8e51")
DENSE: Final = "text"
SPARSE: Final = "words"
SEPARATOR: Final = "\x1f"


def term_number(term: str) -> int:
    """The index of a term in sparse vectors: 32 bits of its hash."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")


def point_id(kind: str, name: str) -> str:
    """The id of a point: the same name is always the same point."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}\n{clean(name)}"))


def passage_payloads(prepared: Prepared) -> Iterator[tuple[dict[str, Any], Counter[str], Any]]:
    """The payload, the terms and the vector of each passage of a document."""
    extract = prepared.extract
    for piece, counts, vector, flags in zip(
        prepared.chunks, prepared.terms, prepared.vectors, prepared.flags, strict=True
    ):
        text = extract.text[piece.start : piece.end]
        payload = {
            "id": passage_id(extract.digest, extract.name, piece.start, piece.end, text=text),
            "document": extract.name,
            "format": extract.format,
            "trust": prepared.believed,
            "flags": flags,
            "digest": extract.digest,
            "facts": [f"{key}{SEPARATOR}{value}" for key, value in prepared.metadata.items()],
            "title": piece.title,
            "text": text,
            "start": piece.start,
            "end": piece.end,
            "page": None if piece.page is None else str(piece.page),
            "language": piece.language,
            "sentences": [list(span) for span in piece.sentences],
            "current": True,
            "version": 1,
            "author": "",
            "reason": "",
        }
        yield payload, counts, vector


def document_payload(prepared: Prepared) -> dict[str, Any]:
    """The payload of a document: a row of the list of documents, and its text."""
    extract = prepared.extract
    return {
        "name": extract.name,
        "title": extract.title,
        "format": extract.format,
        "source": prepared.source,
        "size": extract.size,
        "passages": len(prepared.chunks),
        "trust": prepared.believed,
        "told": prepared.trust,
        "flagged": sum(map(bool, prepared.flags)),
        "stale": False,
        "digest": extract.digest,
        "ingested_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metadata": dict(prepared.metadata),
        "text": extract.text,
    }


def passage_of(payload: Mapping[str, Any], scores: dict[str, float]) -> Passage:
    """A payload as the shared type."""
    passage = Passage(
        id=payload["id"],
        document=payload["document"],
        title=payload["title"],
        text=payload["text"],
        start=payload["start"],
        end=payload["end"],
        page=None if payload["page"] is None else int(payload["page"]),
        language=payload["language"],
        sentences=payload["sentences"],
        scores=scores,
        trust=payload["trust"],
    )
    if payload.get("flags"):
        passage["flags"] = payload["flags"]
    return passage


def sparse_of(point: Any) -> dict[int, float]:
    """The sparse vector of a point, by term."""
    vector = (point.vector or {}).get(SPARSE)
    return {} if vector is None else dict(zip(vector.indices, vector.values, strict=True))


def idf_of(number: int, points: Sequence[Any], total: int) -> float:
    """From the score of the best passage with that term alone; a term that occurs nowhere counts as in PostgreSQL."""
    value = sparse_of(points[0]).get(number, 0.0) if points else 0.0
    return float(points[0].score) / value if value else float(np.log(1 + (total + 0.5) / 0.5))


def scored(point: Any, lexical: float, vector: Any, lexical_weight: float) -> Passage:
    """A point as a passage with the scores of both halves; ``vector`` is the question's, None where words decide."""
    scores = {"fused": round(lexical, 6), "lexical": round(lexical, 6)}
    if vector is not None:
        own = (point.vector or {}).get(DENSE)
        cosine = 0.0 if own is None else max(0.0, float(unit_length([own])[0] @ vector))
        fused = lexical_weight * lexical + (1 - lexical_weight) * cosine
        scores |= {"fused": round(fused, 6), "vector": round(cosine, 6)}
    return passage_of(point.payload, scores)
