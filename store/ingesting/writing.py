"""Documents into the tables and out of them, by binary COPY. Every function works in the caller's transaction.

An advisory lock on a document's name lets exactly one of several simultaneous writers of it go on; the others then
find it done. Whoever takes several takes them in the order of names, so that nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql
from psycopg.types.json import Jsonb

from state import Trust
from store.database import Connection
from store.ingesting.preparing import INDEX_VERSION, Part, length_of, passage_id
from store.ingesting.reading import Known
from store.models.embedding import Embedder
from store.readers.extract import Extract, structure_of
from store.schema.vectors import VectorTable, write_vectors

Fate = Literal["added", "replaced", "unchanged"]


@dataclass(frozen=True)
class Vectors:
    """What makes vectors and where they go."""

    embedder: Embedder | None
    table: VectorTable


@dataclass(frozen=True)
class Written:
    """What one document came to."""

    number: int
    passages: int
    terms: int  # their lengths together
    flagged: int  # passages that look as if they spoke to the model


def known_documents(connection: Connection, names: Sequence[str]) -> dict[str, Known]:
    """Those of the names that are stored."""
    rows = connection.execute(
        "SELECT name, digest, told_trust, source FROM documents WHERE name = ANY(%s)", (list(names),)
    ).fetchall()
    return {str(row[0]): Known(str(row[1]), row[2], str(row[3])) for row in rows}


def lock(connection: Connection, names: Iterable[str]) -> None:
    """Be the only one who writes these documents, until the transaction ends."""
    for name in sorted(set(names)):
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


def put(
    connection: Connection,
    extract: Extract,
    parts: Iterable[Part],
    table: VectorTable,
    *,
    source: str,
    told: Trust,
    metadata: Mapping[str, str],
) -> Written:
    """Write a document that is not there; parts are taken one after the other. The caller adjusts the corpus."""
    row = connection.execute(
        "INSERT INTO documents (name, title, format, source, digest, size, text, trust, told_trust, metadata, "
        "passages, structure, made_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s) RETURNING id",
        (
            extract.name,
            extract.title,
            extract.format,
            source,
            extract.digest,
            extract.size,
            extract.text,
            told,
            told,
            Jsonb(dict(metadata)),
            Jsonb(structure_of(extract)),
            INDEX_VERSION,
        ),
    ).fetchone()
    assert row is not None
    number = int(row[0])
    passages = lengths = flagged = 0
    for part in parts:
        words = [length_of(counts) for counts in part.terms]
        numbers = _copy_passages(connection, extract, part, words, number)
        write_vectors(connection, table, numbers, part.vectors)
        _copy_postings(connection, part, words, numbers)
        passages += len(numbers)
        lengths += sum(words)
        flagged += _flag(connection, part, numbers)
    trust = trust_said(connection, extract.name, extract.digest) or ("untrusted" if flagged else told)
    connection.execute("UPDATE documents SET passages = %s, trust = %s WHERE id = %s", (passages, trust, number))
    return Written(number, passages, lengths, flagged)


def remove(connection: Connection, name: str) -> tuple[int, int]:
    """Delete the rows; returns how many current passages and terms went. The caller adjusts the corpus."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(p.length), 0) FROM passages p JOIN documents d ON d.id = p.document "
        "WHERE d.name = %s AND p.current",
        (name,),
    ).fetchone()
    connection.execute("DELETE FROM documents WHERE name = %s", (name,))
    return (int(row[0]), int(row[1])) if row else (0, 0)


def delete(connection: Connection, name: str) -> bool:
    """Take the document and everything of it out, in a transaction of its own; False when there is none."""
    with connection.transaction():
        lock(connection, [name])
        if not known_documents(connection, [name]):
            return False
        passages, lengths = remove(connection, name)
        adjust_corpus(connection, -passages, -lengths)
    return True


def flags_of(connection: Connection, passages: Sequence[str]) -> dict[str, list[str]]:
    """Flags of those of the passages that have any."""
    rows = connection.execute(
        "SELECT id, flags FROM passages WHERE id = ANY(%s) AND flags <> '{}'", (list(passages),)
    ).fetchall()
    return {str(row[0]): list(row[1]) for row in rows}


def set_trust(connection: Connection, name: str, trust: Trust, *, author: str, reason: str) -> bool:
    """Change a document's trust by a person's word, with a record; False when there is no such document."""
    lock(connection, [name])
    row = connection.execute(
        "UPDATE documents SET trust = %s WHERE name = %s RETURNING digest", (trust, name)
    ).fetchone()
    if row is None:
        return False
    connection.execute(
        "INSERT INTO trust_decisions (document, digest, trust, author, reason) VALUES (%s, %s, %s, %s, %s)",
        (name, row[0], trust, author, reason),
    )
    return True


def trust_said(connection: Connection, name: str, digest: str) -> Trust | None:
    """What a person said last of this very content, if anybody did."""
    row = connection.execute(
        "SELECT trust FROM trust_decisions WHERE document = %s AND digest = %s ORDER BY n DESC LIMIT 1", (name, digest)
    ).fetchone()
    return row[0] if row is not None else None


def adjust_corpus(connection: Connection, passages: int, lengths: int) -> None:
    """The last statement of a transaction: every ingest meets at this one row, for the length of a commit."""
    connection.execute("UPDATE corpus SET passages = passages + %s, terms = terms + %s", (passages, lengths))


def _flag(connection: Connection, part: Part, numbers: Sequence[int]) -> int:
    """Flags of the few passages that have any; returns how many."""
    flagged = [(flags, number) for number, flags in zip(numbers, part.flags, strict=True) if flags]
    if flagged:
        connection.cursor().executemany("UPDATE passages SET flags = %s WHERE seq = %s", flagged)
    return len(flagged)


def _copy_passages(
    connection: Connection, extract: Extract, part: Part, words: Sequence[int], document: int
) -> list[int]:
    numbers = [
        int(row[0])
        for row in connection.execute(
            "SELECT nextval(pg_get_serial_sequence('passages', 'seq')) FROM generate_series(1, %s)",
            (len(part.chunks),),
        )
    ]
    columns = "seq id document start_at end_at page language title text sentences length".split()
    types = ["int8", "text", "int8", "int4", "int4", "int4", "text", "text", "text", "int4[]", "int4"]
    target = [sql.Identifier(column) for column in columns]
    statement = sql.SQL("COPY passages ({}) FROM STDIN (FORMAT BINARY)").format(sql.SQL(", ").join(target))
    with connection.cursor().copy(statement) as copy:
        copy.set_types(types)
        for number, piece, length in zip(numbers, part.chunks, words, strict=True):
            text = extract.text[piece.start : piece.end]
            row: list[Any] = [
                number,
                passage_id(extract.digest, extract.name, piece.start, piece.end, text=text),
                document,
                piece.start,
                piece.end,
                piece.page,
                piece.language,
                piece.title,
                text,
                [offset for span in piece.sentences for offset in span],
                length,
            ]
            copy.write_row(row)
    return numbers


def _copy_postings(connection: Connection, part: Part, words: Sequence[int], numbers: Sequence[int]) -> None:
    """In the order of the index that they go into: its pages are filled one after the other."""
    rows = [
        (term, number, count, length)
        for number, counts, length in zip(numbers, part.terms, words, strict=True)
        for term, count in counts.items()
    ]
    rows.sort()
    with connection.cursor().copy("COPY postings (term, passage, tf, length) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["text", "int8", "int4", "int4"])
        for row in rows:
            copy.write_row(row)
