"""What a reader gives: the text that every offset counts in, and what is known of its structure. Reads no files."""

from __future__ import annotations

import hashlib
import lzma
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from state import UserError
from store.text.language import clean


class Unreadable(UserError):
    """This file cannot go in; the message names it and says what to do."""


@dataclass(frozen=True)
class Heading:
    """A heading's ``[start, end)`` in the text; level 1 is the outermost."""

    start: int
    end: int
    level: int


@dataclass(frozen=True)
class Record:
    """A table row's ``[start, end)`` in the text."""

    start: int
    end: int
    columns: str = ""  # their names, where the row's own text does not say them
    lead: int = 0  # characters before ``start`` that are the table's header, and no text of their own


@dataclass(frozen=True)
class Extract:
    """The text of a document and what is known of its structure."""

    name: str
    format: str
    digest: str  # SHA-256 of the bytes, hex
    size: int  # bytes of the file
    text: str
    title: str
    headings: tuple[Heading, ...] = ()
    pages: tuple[int, ...] = ()  # where each page starts; empty where the format has no pages
    soft_wrap: bool = False  # whether a line end inside a paragraph is only a wrap
    records: tuple[Record, ...] = ()  # table rows, in order, without overlap


def structure_of(extract: Extract) -> dict[str, Any]:
    """The structure as JSON, for the store: with it and the text the document can be cut again without its file."""
    return {
        "headings": [[one.start, one.end, one.level] for one in extract.headings],
        "pages": list(extract.pages),
        "records": [[one.start, one.end, one.columns, one.lead] for one in extract.records],
        "soft_wrap": extract.soft_wrap,
    }


def with_structure(structure: dict[str, Any], **facts: Any) -> Extract:
    """The extract of stored facts; the inverse of :func:`structure_of`."""
    return Extract(
        **facts,
        headings=tuple(Heading(*one) for one in structure.get("headings", [])),
        pages=tuple(structure.get("pages", [])),
        records=tuple(Record(*one) for one in structure.get("records", [])),
        soft_wrap=bool(structure.get("soft_wrap", False)),
    )


@dataclass
class Builder:
    """Puts blocks together, an empty line between them, and remembers where headings and records are."""

    parts: list[str] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    length: int = 0

    def add(self, text: str, level: int = 0, *, record: bool = False) -> None:
        """Append a block: a heading of ``level`` when that is not 0, a table row when it is a ``record``."""
        text = clean(text).strip()
        if not text:
            return
        span = (self.length, self.length + len(text))
        if level:
            self.headings.append(Heading(*span, level))
        elif record:
            self.records.append(Record(*span))
        self.parts.append(text)
        self.length += len(text) + 2

    def text(self) -> str:
        """The whole text so far."""
        return "\n\n".join(self.parts)

    def first_heading(self) -> str:
        """The text of the first heading; "" where there is none."""
        return self.text()[self.headings[0].start : self.headings[0].end] if self.headings else ""


def extract_of(name: str, data: bytes, format_: str, text: str, *, title: str = "", **more: Any) -> Extract:
    """An extract with what follows from the bytes; a document without a title is called by its name."""
    return Extract(
        name=name,
        format=format_,
        digest=digest_of(data),
        size=len(data),
        text=text,
        title=title.strip() or PurePath(name).stem,
        **more,
    )


def built(name: str, data: bytes, format_: str, builder: Builder, *, title: str = "") -> Extract:
    """The extract of what a builder put together."""
    return extract_of(
        name,
        data,
        format_,
        builder.text(),
        title=title,
        headings=tuple(builder.headings),
        records=tuple(builder.records),
    )


def digest_of(data: bytes) -> str:
    """SHA-256, hex: by it a file is known again."""
    return hashlib.sha256(data).hexdigest()


DAMAGE: Final[tuple[type[Exception], ...]] = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, LookupError, ValueError, TypeError, AttributeError,
    SyntaxError, RuntimeError, EOFError, OSError, OverflowError,
)  # fmt: skip
"""What the Office libraries, and zip under them, raise of a damaged or sealed file."""


def broken(name: str, kind: str, error: Exception) -> Unreadable:
    """The message for a file that its own library does not read."""
    return Unreadable(f"{name} is not a whole {kind} file ({type(error).__name__}): open it, save it again, and retry")
