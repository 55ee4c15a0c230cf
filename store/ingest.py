"""One document into the tables, in one transaction, by binary COPY.

Cutting, analysing and embedding happen before the transaction; in it, an advisory lock on the document's name lets
exactly one of several simultaneous ingests of the same file write, and the others find it done.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from psycopg import sql
from psycopg.types.json import Jsonb

from state import Trust
from store.chunking import Chunk, chunk
from store.database import Connection
from store.embedding import Embedder
from store.language import BIGRAM, syllable_pairs, terms
from store.reading import Extract
from store.vectors import VectorTable, write_vectors

Fate = Literal["added", "replaced", "unchanged"]


@dataclass
class IngestReport:
    """What became of a batch; names in the order of ingest."""

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)  # name and the message for a person
    passages: int = 0  # written by this batch


@dataclass(frozen=True)
class Prepared:
    """A document with everything computed that its rows need."""

    extract: Extract
    source: str
    trust: Trust
    metadata: Mapping[str, str]
    chunks: list[Chunk]
    terms: list[Counter[str]]
    vectors: list[npt.NDArray[np.float32] | None]


def passage_id(digest: str, name: str, start: int, end: int, version: int = 1) -> str:
    """Stable across re-ingests of the same content under the same name; changes when the text does."""
    key = f"{digest}\n{name}\n{start}\n{end}\n{version}"
    return "p" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def prepare(
    extract: Extract, embedder: Embedder | None, *, source: str, trust: Trust, metadata: Mapping[str, str]
) -> Prepared:
    """Cut, analyse and embed. Only passages in a language that the model knows get a vector."""
    chunks = chunk(extract)
    texts = [extract.text[piece.start : piece.end] for piece in chunks]
    indexed = [index_terms(piece.title, text) for piece, text in zip(chunks, texts, strict=True)]
    vectors = embed_known(embedder, [(p.language, p.title, t) for p, t in zip(chunks, texts, strict=True)])
    return Prepared(extract, source, trust, metadata, chunks, indexed, vectors)


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


def stored_digest(connection: Connection, name: str) -> tuple[str, str, str] | None:
    """Digest, trust and source of the document under this name."""
    row = connection.execute("SELECT digest, trust, source FROM documents WHERE name = %s", (name,)).fetchone()
    return (str(row[0]), str(row[1]), str(row[2])) if row else None


def write(connection: Connection, prepared: Prepared, table: VectorTable) -> Fate:
    """Put the document in, in place of the one of the same name. All or nothing."""
    extract = prepared.extract
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (extract.name,))
        known = stored_digest(connection, extract.name)
        if known is not None and known[:2] == (extract.digest, prepared.trust):
            return "unchanged"
        removed = remove(connection, extract.name) if known is not None else (0, 0)
        document = _write_document(connection, prepared)
        numbers = _copy_passages(connection, prepared, document)
        write_vectors(connection, table, numbers, prepared.vectors)
        _copy_postings(connection, prepared, numbers)
        lengths = sum(length_of(counts) for counts in prepared.terms)
        _adjust_corpus(connection, len(numbers) - removed[0], lengths - removed[1])
    return "replaced" if known is not None else "added"


def delete(connection: Connection, name: str) -> bool:
    """Take the document and everything of it out; False when there is none."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
        if stored_digest(connection, name) is None:
            return False
        passages, lengths = remove(connection, name)
        _adjust_corpus(connection, -passages, -lengths)
    return True


def remove(connection: Connection, name: str) -> tuple[int, int]:
    """Delete the rows; returns how many current passages and terms went. The caller adjusts the corpus size."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(p.length), 0) FROM passages p JOIN documents d ON d.id = p.document "
        "WHERE d.name = %s AND p.current",
        (name,),
    ).fetchone()
    connection.execute("DELETE FROM documents WHERE name = %s", (name,))
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _adjust_corpus(connection: Connection, passages: int, lengths: int) -> None:
    """The last statement of a transaction: every ingest meets at this one row, for the length of a commit."""
    connection.execute("UPDATE corpus SET passages = passages + %s, terms = terms + %s", (passages, lengths))


def _write_document(connection: Connection, prepared: Prepared) -> int:
    extract = prepared.extract
    row = connection.execute(
        "INSERT INTO documents (name, title, format, source, digest, size, text, trust, metadata, passages) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            extract.name,
            extract.title,
            extract.format,
            prepared.source,
            extract.digest,
            extract.size,
            extract.text,
            prepared.trust,
            Jsonb(dict(prepared.metadata)),
            len(prepared.chunks),
        ),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _copy_passages(connection: Connection, prepared: Prepared, document: int) -> list[int]:
    extract = prepared.extract
    numbers = [
        int(row[0])
        for row in connection.execute(
            "SELECT nextval(pg_get_serial_sequence('passages', 'seq')) FROM generate_series(1, %s)",
            (len(prepared.chunks),),
        )
    ]
    columns = "seq id document start_at end_at page language title text sentences length".split()
    types = ["int8", "text", "int8", "int4", "int4", "int4", "text", "text", "text", "int4[]", "int4"]
    target = [sql.Identifier(column) for column in columns]
    statement = sql.SQL("COPY passages ({}) FROM STDIN (FORMAT BINARY)").format(sql.SQL(", ").join(target))
    with connection.cursor().copy(statement) as copy:
        copy.set_types(types)
        for number, piece, counts in zip(numbers, prepared.chunks, prepared.terms, strict=True):
            row: list[Any] = [
                number,
                passage_id(extract.digest, extract.name, piece.start, piece.end),
                document,
                piece.start,
                piece.end,
                piece.page,
                piece.language,
                piece.title,
                extract.text[piece.start : piece.end],
                [offset for span in piece.sentences for offset in span],
                length_of(counts),
            ]
            copy.write_row(row)
    return numbers


def _copy_postings(connection: Connection, prepared: Prepared, numbers: Sequence[int]) -> None:
    with connection.cursor().copy("COPY postings (term, passage, tf, length) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "int8", "int4", "int4"])
        for number, counts in zip(numbers, prepared.terms, strict=True):
            length = length_of(counts)
            for term, count in counts.items():
                copy.write_row((term, number, count, length))
