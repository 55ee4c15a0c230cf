"""Files into text: txt, md, html, pdf, docx, csv. What cannot be read is told with the file's name and the way out.

The extracted text is what every offset in the store counts in; it is NFC, without NUL and lone surrogates. For txt
and md it is the file itself. This module cuts no passages and writes nothing.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from state import UserError
from store.language import HANGUL, clean

LIMIT_BYTES = 20 * 2**20
UNPACKED_LIMIT_BYTES = 10 * LIMIT_BYTES
CONTROL_SHARE = 0.02
MAGIC = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip or Office file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\x1f\x8b": "a gzip archive",
    b"\xd0\xcf\x11\xe0": "an old Office file (.doc, .xls or .hwp)",
}
BLOCK_TAGS = "p li tr h1 h2 h3 h4 h5 h6 pre blockquote dt dd figcaption div section article ul ol table".split()


class Unreadable(UserError):
    """This file cannot go in; the message names it and says what to do."""


@dataclass(frozen=True)
class Heading:
    """A heading's ``[start, end)`` in the text; level 1 is the outermost."""

    start: int
    end: int
    level: int


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


@dataclass
class _Builder:
    """Puts blocks together, an empty line between them, and remembers where headings are."""

    parts: list[str] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    length: int = 0

    def add(self, text: str, level: int = 0) -> None:
        text = clean(text).strip()
        if not text:
            return
        if level:
            self.headings.append(Heading(self.length, self.length + len(text), level))
        self.parts.append(text)
        self.length += len(text) + 2

    def text(self) -> str:
        return "\n\n".join(self.parts)


def read(path: Path, *, name: str | None = None, limit_bytes: int = LIMIT_BYTES) -> Extract:
    """Read a file. A file over ``limit_bytes`` is refused by its size, unread. Raises Unreadable."""
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise _too_large(str(path), size, limit_bytes)
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        reason = {"FileNotFoundError": "there is no such file", "IsADirectoryError": "it is a folder"}
        why = reason.get(type(error).__name__, error.strerror or "the system refuses")
        raise Unreadable(f"{path} cannot be read: {why}; check the path and its permissions") from None
    return read_bytes(name or path.name, data, limit_bytes=limit_bytes)


def read_bytes(name: str, data: bytes, *, limit_bytes: int = LIMIT_BYTES) -> Extract:
    """Read a document from memory; the ending of ``name`` tells its format. Raises Unreadable."""
    if len(data) > limit_bytes:
        raise _too_large(name, len(data), limit_bytes)
    suffix = PurePath(name).suffix.lower()
    reader = READERS.get(suffix)
    if reader is None:
        known = " ".join(sorted(READERS))
        raise Unreadable(f"{name}: files of kind {suffix or '(no ending)'} are not read; convert it to one of {known}")
    if not data.strip():
        raise Unreadable(f"{name} is empty: leave it out or put text into it")
    extract = reader(name, data)
    if not extract.text.strip():
        hint = "; a scanned PDF needs text recognition (OCR) first" if extract.format == "pdf" else ""
        raise Unreadable(f"{name} holds no text{hint}: leave it out or convert it")
    return extract


def decode(name: str, data: bytes) -> str:
    """Text of unknown encoding: BOM, UTF-8, UTF-16, CP949, then the best guess of charset-normalizer."""
    for magic, what in MAGIC.items():
        if data.startswith(magic):
            raise Unreadable(f"{name} is {what}, not text: give it its right ending or convert it to text")
    for bom, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(bom):
            return _checked(name, data.decode(encoding, errors="replace"))
    guesses: list[Callable[[bytes], str | None]] = [_utf8, _utf16, _cp949, _best_guess]
    for guess in guesses:
        text = guess(data)
        if text is not None:
            return _checked(name, text)
    raise Unreadable(f"{name} has an unknown encoding or is binary: save it as UTF-8 text")


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _utf16(data: bytes) -> str | None:
    """Without a BOM: UTF-16 text has its ASCII characters' NULs all on one side."""
    if len(data) % 2:
        return None
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if max(even, odd) < len(data) // 2 * 0.02 or min(even, odd) > max(even, odd) * 0.05:
        return None
    try:
        return data.decode("utf-16-be" if even > odd else "utf-16-le")
    except UnicodeDecodeError:
        return None


def _cp949(data: bytes) -> str | None:
    """CP949 (EUC-KR and more); believed when most of what is not ASCII comes out as Hangul."""
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return None
    beyond = sum(ord(character) > 127 for character in text)
    return text if beyond and len(HANGUL.findall(text)) / beyond > 0.6 else None


def _best_guess(data: bytes) -> str | None:
    import charset_normalizer

    best = charset_normalizer.from_bytes(data[: 2**18]).best()
    return data.decode(best.encoding, errors="replace") if best is not None else None


def _checked(name: str, text: str) -> str:
    strange = len(re.findall(r"[\x00-\x08\x0e-\x1f\ufffd]", text))
    if strange > 1 and strange / len(text) > CONTROL_SHARE:
        raise Unreadable(f"{name} looks like a binary or damaged file: convert it to text or leave it out")
    return clean(text.removeprefix("\ufeff"))


def _extract(name: str, data: bytes, format_: str, text: str, **more: object) -> Extract:
    title = str(more.pop("title", "") or "").strip() or PurePath(name).stem
    digest = hashlib.sha256(data).hexdigest()
    return Extract(name=name, format=format_, digest=digest, size=len(data), text=text, title=title, **more)  # type: ignore[arg-type]


def _read_txt(name: str, data: bytes) -> Extract:
    text = decode(name, data)
    first, _, rest = text.lstrip().partition("\n")
    headings = _title_line(text) if rest.startswith("\n") else ()
    return _extract(name, data, "txt", text, title=first if headings else "", headings=headings, soft_wrap=True)


def _title_line(text: str) -> tuple[Heading, ...]:
    """The first line, when it is short and no sentence."""
    first = text.lstrip().partition("\n")[0].rstrip()
    start = len(text) - len(text.lstrip())
    is_title = 0 < len(first) <= 80 and not first.endswith((".", "!", "?", ":", ",", "다"))
    return (Heading(start, start + len(first), 1),) if is_title else ()


def _read_md(name: str, data: bytes) -> Extract:
    text = decode(name, data)
    fenced = [match.span() for match in re.finditer(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)]
    headings = tuple(
        Heading(match.start(2), match.end(2), len(match.group(1)))
        for match in re.finditer(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", text, re.MULTILINE)
        if not any(start <= match.start() < end for start, end in fenced)
    )
    title = text[headings[0].start : headings[0].end] if headings else ""
    return _extract(name, data, "md", text, title=title, headings=headings, soft_wrap=True)


def _read_html(name: str, data: bytes) -> Extract:
    from bs4 import BeautifulSoup

    declared = re.search(rb"charset=[\"']?([\w-]+)", data[:4096])
    text = _utf8(data)
    if text is None and declared is not None:
        label = declared.group(1).decode().lower()
        try:
            text = data.decode("cp949" if label in ("euc-kr", "ks_c_5601-1987") else label)
        except (LookupError, UnicodeDecodeError):
            text = None
    text = _checked(name, text) if text is not None else decode(name, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bs4 warns when the text looks like an address or like XML
        soup = BeautifulSoup(text, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup.find_all(["script", "style", "noscript", "template", "nav", "head"]):
        tag.decompose()
    built = _Builder()
    for level, words in _html_blocks(soup):
        built.add(words, level)
    if not title and built.headings:
        title = built.text()[built.headings[0].start : built.headings[0].end]
    return _extract(name, data, "html", built.text(), title=title, headings=tuple(built.headings))


def _html_blocks(soup: Any) -> Iterator[tuple[int, str]]:
    """Heading level (0: none) and text of each block, in order, text between blocks too; a table row is one block.

    Marks are written into the tree and the whole text is cut at them: no recursion, however deep the page nests. They
    are control characters, which :func:`clean` took out of the page itself.
    """
    block, heading, cell = "\x1e", "\x1d", "\x1f"
    for tag in soup.find_all(BLOCK_TAGS):
        tag.insert_before(block)
        tag.insert_after(block)
        if re.fullmatch(r"h[1-6]", tag.name):
            tag.insert(0, heading + tag.name[1])
    for tag in soup.find_all(["td", "th"]):
        tag.insert_after(cell)
    for tag in soup.find_all("br"):
        tag.insert_after(" ")
    for words in soup.get_text().split(block):
        level = int(words[1]) if words.startswith(heading) else 0
        parts = [re.sub(r"\s+", " ", part).strip() for part in words[2 if level else 0 :].split(cell)]
        yield level, " | ".join(part for part in parts if part)


def _read_pdf(name: str, data: bytes) -> Extract:
    import logging

    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it reports every oddity of every file
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable(f"{name} is locked by a password: save it without one")
        texts = [clean(page.extract_text()).strip() for page in reader.pages]
        title = str(reader.metadata.get("/Title") or "") if reader.metadata else ""
    except Unreadable:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        raise _broken(name, "PDF", error) from None
    starts, position = [], 0
    for text in texts:
        starts.append(position)
        position += len(text) + 2
    text = "\n\n".join(texts)
    first = text.lstrip().partition("\n")[0].strip()
    headings = _title_line(text) if title and clean(title).strip() == first else ()
    return _extract(name, data, "pdf", text, title=clean(title), headings=headings, pages=tuple(starts), soft_wrap=True)


def _read_docx(name: str, data: bytes) -> Extract:
    import docx
    from docx.opc.exceptions import OpcError
    from docx.table import Table

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > UNPACKED_LIMIT_BYTES:
                raise Unreadable(f"{name} unpacks to more than {UNPACKED_LIMIT_BYTES // 2**20} MB: split it")
        document = docx.Document(io.BytesIO(data))
        built = _Builder()
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                for row in block.rows:
                    built.add(" | ".join(cell.text.strip() for cell in row.cells))
                continue
            style = (block.style.name if block.style is not None else "") or ""
            level = re.fullmatch(r"(?:heading|제목) ?([1-6])", style.lower())
            built.add(block.text, int(level.group(1)) if level else 1 if style == "Title" else 0)
        title = document.core_properties.title or ""
    except Unreadable:
        raise
    except (zipfile.BadZipFile, OpcError, KeyError, ValueError, TypeError, SyntaxError, NotImplementedError) as error:
        raise _broken(name, "Word", error) from None
    if built.headings and title in ("", "Word Document"):
        title = built.text()[built.headings[0].start : built.headings[0].end]
    return _extract(name, data, "docx", built.text(), title=clean(title), headings=tuple(built.headings))


def _read_csv(name: str, data: bytes) -> Extract:
    """Each row becomes one line "column: value, column: value" so that it can be read and found by itself."""
    text = decode(name, data)
    dialect: type[csv.Dialect] | csv.Dialect = csv.excel
    try:
        dialect = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        pass
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _broken(name, "CSV", error) from None
    built = _Builder()
    for line in _csv_lines(rows):
        built.add(line)
    return _extract(name, data, "csv", built.text())


def _csv_lines(rows: list[list[str]]) -> Iterable[str]:
    if not rows:
        return
    head, *body = rows
    for row in body or [head]:
        cells = [(column, cell.strip()) for column, cell in zip([*head, *[""] * len(row)], row, strict=False)]
        named = [f"{column.strip()}: {cell}" if body and column.strip() else cell for column, cell in cells if cell]
        yield ", ".join(named) + "."


def _too_large(name: str, size: int, limit: int) -> Unreadable:
    return Unreadable(
        f"{name} has {size / 2**20:.0f} MB, the limit is {limit / 2**20:.0f} MB: split it or raise the limit"
    )


def _broken(name: str, kind: str, error: Exception) -> Unreadable:
    return Unreadable(f"{name} is not a whole {kind} file ({type(error).__name__}): open it, save it again, and retry")


READERS: dict[str, Callable[[str, bytes], Extract]] = {
    ".txt": _read_txt,
    ".text": _read_txt,
    ".md": _read_md,
    ".markdown": _read_md,
    ".html": _read_html,
    ".htm": _read_html,
    ".pdf": _read_pdf,
    ".docx": _read_docx,
    ".csv": _read_csv,
}
