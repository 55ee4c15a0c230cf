"""Corrections of passages by a person: versions, undo, history, and what becomes of them when the file changes.

The versions of one passage are a chain. Its records, in the table ``corrections``, outlive passages and documents.
Every function works in the caller's transaction, and holds the document's lock where it writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from state import Conflict, UserError
from store.database import Connection
from store.ingesting import writing
from store.ingesting.preparing import embed_known, index_terms, length_of, passage_id
from store.ingesting.writing import Vectors
from store.schema.vectors import remove_vector, write_vectors
from store.text.language import clean, language_of, sentences
from store.text.suspicion import flags_of

LIMIT_CHARACTERS = 20_000


class Version(TypedDict):
    """One record of a chain, oldest first in a list."""

    n: int
    kind: str  # correct, undo, carried (to a changed file), aside (the file says something else now), settled
    document: str
    passage: str  # id of the version that came of it; "" where none did
    replaced: str  # id of the version before
    old_text: str
    text: str
    author: str
    reason: str
    at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Held:
    """A correction that stands when its document is replaced."""

    chain: str
    document: str
    origin_text: str
    text: str
    start: int
    passage: str
    version: int
    author: str
    reason: str
    at: Any


@dataclass
class CarriedOver:
    """What became of the corrections of a document."""

    carried: int = 0
    terms: int = 0  # by how much the corpus grew
    aside: list[str] = field(default_factory=list)  # the corrected texts that no longer fit


@dataclass(frozen=True)
class _Row:
    seq: int
    id: str
    document: int
    name: str
    digest: str
    version: int
    start: int
    end: int
    page: int | None
    title: str
    text: str
    length: int


def correct(connection: Connection, vectors: Vectors, passage: str, text: str, *, author: str, reason: str) -> str:
    """A new version of a passage; returns its id. The old one stays readable by its id but is no longer found.

    Raises:
        UserError: empty or too long text, no author, the same text, or no such passage.
        Conflict: it was corrected before, by whomever.
    """
    text, author, reason = clean(text).strip(), clean(author).strip(), clean(reason).strip()
    if not text or not author:
        raise UserError("a correction needs a text and an author")
    if len(text) > LIMIT_CHARACTERS:
        raise UserError(f"the text has {len(text):,} characters, a passage at most {LIMIT_CHARACTERS:,}: shorten it")
    row = _current(connection, passage)
    if text == row.text:
        raise UserError(f"passage {row.id} says exactly this already: nothing to correct")
    chain = _chain_of(connection, row.id)
    new, terms = _replace(connection, vectors, row, text, author, reason)
    origin = chain[0]["origin_text"] if chain else row.text
    _record(connection, chain[0]["chain"] if chain else row.id, row, "correct", new, origin, text, author, reason)
    writing.adjust_corpus(connection, 0, terms)
    return new


def undo(connection: Connection, vectors: Vectors, passage: str, *, author: str, reason: str = "") -> str:
    """Back to the text before the last correction that stands, as a new version; returns its id.

    Raises:
        UserError: no such passage, no author, or nothing left to undo.
        Conflict: somebody corrected it meanwhile.
    """
    author = clean(author).strip()
    if not author:
        raise UserError("an undo needs an author")
    row = _current(connection, passage)
    chain = _chain_of(connection, row.id)
    standing = _standing(chain)
    if len(standing) < 2:
        raise UserError(f"passage {row.id} stands as its document has it: there is no correction to undo")
    text = standing[-2]
    new, terms = _replace(connection, vectors, row, text, author, clean(reason).strip())
    _record(
        connection, chain[0]["chain"], row, "undo", new, chain[0]["origin_text"], text, author, clean(reason).strip()
    )
    writing.adjust_corpus(connection, 0, terms)
    return new


def history(connection: Connection, passage: str) -> list[Version]:
    """All versions of the passage that ever had this id, oldest first; [] where it was never corrected."""
    return [_version(row) for row in _chain_of(connection, clean(passage))]


def of_document(connection: Connection, name: str) -> list[Version]:
    """All corrections in a document of this name, oldest first."""
    return [_version(row) for row in _rows(connection, "c.document = %s", (name,))]


def set_aside(connection: Connection) -> list[Version]:
    """Corrections that no longer fit their document and that nobody has settled."""
    rows = _rows(
        connection,
        "c.kind = 'aside' AND NOT EXISTS "
        "(SELECT 1 FROM corrections later WHERE later.chain = c.chain AND later.n > c.n)",
        (),
    )
    return [_version(row) for row in rows]


def settle(connection: Connection, number: int, *, author: str, reason: str) -> None:
    """Note that a person looked at a correction that was set aside. UserError where there is no such one."""
    row = next((one for one in set_aside(connection) if one["n"] == number), None)
    if row is None:
        raise UserError(f"no correction {number} is set aside: see `dojang documents aside`")
    connection.execute(
        "INSERT INTO corrections "
        "(chain, document, kind, replaced, passage, origin_text, old_text, text, author, reason) "
        "SELECT chain, document, 'settled', replaced, '', origin_text, old_text, text, %s, %s "
        "FROM corrections WHERE n = %s",
        (clean(author).strip(), clean(reason).strip(), number),
    )


def held(connection: Connection, document: str) -> list[Held]:
    """The corrections of a document that stand: those whose newest version says something else than the file did."""
    rows = connection.execute(
        "SELECT DISTINCT ON (c.chain) c.chain, c.document, c.origin_text, p.text, p.start_at, p.id, p.version, "
        "p.author, p.reason, p.created_at FROM corrections c JOIN passages p ON p.id = c.passage AND p.current "
        "WHERE c.document = %s ORDER BY c.chain, c.n DESC",
        (document,),
    ).fetchall()
    return [one for one in (Held(*row) for row in rows) if one.text != one.origin_text]


def carry_over(connection: Connection, vectors: Vectors, waiting: Sequence[Held], document: int) -> CarriedOver:
    """Put standing corrections on the passages of the document's new content that say what was corrected.

    Where no passage says it any more the correction is set aside; where the new content says what the correction says
    it is settled. Author, reason and time of a correction stay.
    """
    outcome = CarriedOver()
    for one in waiting:
        fitting = connection.execute(
            "SELECT id FROM passages WHERE document = %s AND current AND text = %s "
            "ORDER BY abs(start_at - %s), seq LIMIT 1",
            (document, one.origin_text, one.start),
        ).fetchone()
        if fitting is not None:
            row = _current(connection, str(fitting[0]), locked=True)
            new, terms = _replace(connection, vectors, row, one.text, one.author, one.reason, at=one.at)
            _record(connection, one.chain, row, "carried", new, one.origin_text, one.text, one.author, one.reason)
            outcome.carried += 1
            outcome.terms += terms
            continue
        said = connection.execute(
            "SELECT 1 FROM passages WHERE document = %s AND position(%s IN text) > 0 LIMIT 1", (document, one.text)
        ).fetchone()
        kind = "settled" if said is not None else "aside"
        _note(connection, one, kind)
        if kind == "aside":
            outcome.aside.append(one.text)
    return outcome


def _note(connection: Connection, one: Held, kind: str) -> None:
    connection.execute(
        "INSERT INTO corrections "
        "(chain, document, kind, replaced, passage, origin_text, old_text, text, author, reason) "
        "VALUES (%s, %s, %s, %s, '', %s, %s, %s, %s, %s)",
        (
            one.chain,
            one.document,
            kind,
            one.passage,
            one.origin_text,
            one.origin_text,
            one.text,
            one.author,
            one.reason,
        ),
    )


def _current(connection: Connection, passage: str, *, locked: bool = False) -> _Row:
    """The passage, held against other writers. UserError when it is gone, Conflict when it is not the newest."""
    passage = clean(passage).strip()
    if not locked:
        named = connection.execute(
            "SELECT d.name FROM passages p JOIN documents d ON d.id = p.document WHERE p.id = %s", (passage,)
        ).fetchone()
        if named is not None:
            writing.lock(connection, [str(named[0])])
    row = connection.execute(
        "SELECT p.current, p.seq, p.id, p.document, d.name, d.digest, p.version, p.start_at, p.end_at, p.page, "
        "p.title, p.text, p.length FROM passages p JOIN documents d ON d.id = p.document WHERE p.id = %s "
        "FOR UPDATE OF p",
        (passage,),
    ).fetchone()
    if row is None:
        raise UserError(f"passage {passage} is gone: search again")
    if not row[0]:
        newest = next((one for one in reversed(_chain_of(connection, passage)) if one["passage"]), None)
        if newest is None:
            raise Conflict(f"passage {passage} was corrected meanwhile: search again and correct the newer one")
        author, newer = newest["author"], newest["passage"]
        raise Conflict(
            f"passage {passage} was corrected meanwhile, by {author}, as {newer}: "
            "search again and correct the newer one"
        )
    return _Row(*row[1:])


def _replace(
    connection: Connection, vectors: Vectors, old: _Row, text: str, author: str, reason: str, *, at: Any = None
) -> tuple[str, int]:
    """Write the new version in place of the old one: id, and by how many terms the corpus grew."""
    new_id = passage_id(f"{old.digest}\n{text}", old.name, old.start, old.end, old.version + 1)
    language = language_of(text)
    counts = index_terms(old.title, text)
    length = length_of(counts)
    connection.execute("UPDATE passages SET current = false WHERE seq = %s", (old.seq,))
    connection.execute("DELETE FROM postings WHERE passage = %s", (old.seq,))
    flat = [offset for span in sentences(text) for offset in span]
    row = connection.execute(
        "INSERT INTO passages (id, document, version, start_at, end_at, page, language, title, text, sentences, "
        "length, flags, author, reason, created_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, now())) RETURNING seq",
        (
            new_id,
            old.document,
            old.version + 1,
            old.start,
            old.end,
            old.page,
            language,
            old.title,
            text,
            flat,
            length,
            flags_of(text),
            author,
            reason,
            at,
        ),
    ).fetchone()
    assert row is not None
    connection.cursor().executemany(
        "INSERT INTO postings VALUES (%s, %s, %s, %s)",
        [(term, row[0], count, length) for term, count in counts.items()],
    )
    remove_vector(connection, vectors.table, old.seq)
    write_vectors(connection, vectors.table, [row[0]], embed_known(vectors.embedder, [(language, old.title, text)]))
    return new_id, length - old.length


def _record(
    connection: Connection,
    chain: str,
    old: _Row,
    kind: str,
    passage: str,
    origin_text: str,
    text: str,
    author: str,
    reason: str,
) -> None:
    connection.execute(
        "INSERT INTO corrections "
        "(chain, document, kind, replaced, passage, origin_text, old_text, text, author, reason) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (chain, old.name, kind, old.id, passage, origin_text, old.text, text, author, reason),
    )


def _standing(chain: Sequence[dict[str, Any]]) -> list[str]:
    """The texts that stand one upon the other: what the document says, and each correction that is not undone."""
    if not chain:
        return []
    texts = [str(chain[0]["origin_text"])]
    for one in chain:
        if one["kind"] == "correct":
            texts.append(str(one["text"]))
        elif one["kind"] == "undo" and len(texts) > 1:
            texts.pop()
    return texts


def _chain_of(connection: Connection, passage: str) -> list[dict[str, Any]]:
    return _rows(
        connection,
        "c.chain = (SELECT chain FROM corrections WHERE passage = %s OR replaced = %s ORDER BY n DESC LIMIT 1)",
        (passage, passage),
    )


def _rows(connection: Connection, condition: Any, values: Sequence[Any]) -> list[dict[str, Any]]:
    from psycopg import sql
    from psycopg.rows import dict_row

    statement = sql.SQL(
        "SELECT n, chain, origin_text, kind, document, passage, replaced, old_text, text, author, reason, "
        "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at FROM corrections c WHERE {} ORDER BY n"
    ).format(sql.SQL(condition))
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, values).fetchall()


def _version(row: dict[str, Any]) -> Version:
    return Version(**{key: row[key] for key in Version.__annotations__})  # type: ignore[typeddict-item, no-any-return]
