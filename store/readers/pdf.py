"""PDF by PDFium: text in reading order with its pages, headings by their size, rows of tables as records.

PDFium is not thread-safe: one file is read at a time in a process. Text without a text layer (a scan) is not read.
"""

from __future__ import annotations

import re
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from store.readers.extract import Builder, Extract, Heading, Record, Unreadable, broken, extract_of
from store.readers.pdf_columns import unruled_grids
from store.readers.pdf_lines import Grid, grids_of
from store.readers.plain import title_line
from store.readers.tables import add_table
from store.text.language import clean

MOST_PAGES = 5_000
HEADING_SIZE = 1.15  # times the size of most of the text
HEADING_CHARACTERS = 80
NO_TITLE = re.compile(r"\(?(?:anonymous|untitled|제목 ?없음)\)?|.*\.\w{2,5}|microsoft \w+ - .*", re.I)
WRONG_PASSWORD = 4  # FPDF_ERR_PASSWORD

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Line:
    """A line of a page as it is read, or a whole table in its place."""

    text: str
    size: float = 0.0  # of its letters, in points
    table: Grid | None = None


def pages_in(name: str, data: bytes) -> int:
    """How many pages a PDF has. Unreadable when the file is locked by a password or is damaged."""
    with _opened(name, data) as document:
        return len(document)


@contextmanager
def _opened(name: str, data: bytes) -> Iterator[Any]:
    """The document, alone in PDFium; Unreadable where that does not open it."""
    import pypdfium2

    with _one_at_a_time:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", 0) == WRONG_PASSWORD or "assword" in str(error):
                raise Unreadable(f"{name} is locked by a password: save it without one") from None
            raise broken(name, "PDF", error) from None
        try:
            yield document
        finally:
            document.close()


def read_pdf(name: str, data: bytes) -> Extract:
    """All pages. Unreadable when the file is locked by a password or is damaged."""
    import pypdfium2

    with _opened(name, data) as document:
        if len(document) > MOST_PAGES:
            raise Unreadable(f"{name} has {len(document)} pages, at most {MOST_PAGES} are read: split it")
        try:
            pages = [_lines_of(document, number) for number in range(len(document))]
            title = _told_title(str(document.get_metadata_dict().get("Title") or ""))
        except (pypdfium2.PdfiumError, ValueError, OSError) as error:
            raise broken(name, "PDF", error) from None
    return _extract(name, data, pages, title)


def _extract(name: str, data: bytes, pages: list[list[Line]], title: str) -> Extract:
    sizes = [
        line.size for page in pages for line in page if line.table is None for _ in range(len(line.text) // 10 + 1)
    ]
    usual = statistics.median(sizes) if sizes else 0.0
    levels = _levels(pages, usual)
    texts: list[str] = []
    headings: list[Heading] = []
    records: list[Record] = []
    starts: list[int] = []
    position = 0
    for page in pages:
        starts.append(position)
        builder = Builder(length=position)
        for block in _blocks(page, levels):
            if isinstance(block, list):
                add_table(builder, block)
            else:
                builder.add(block.text, levels.get(block.size, 0) if _may_head(block) else 0)
        texts.append(builder.text())
        headings += builder.headings
        records += builder.records
        position += len(texts[-1]) + 2
    text = "\n\n".join(texts)
    if not headings and title and text.lstrip().partition("\n")[0].strip() == title:
        headings += title_line(text)
    first = text[headings[0].start : headings[0].end] if headings else ""
    return extract_of(
        name,
        data,
        "pdf",
        text,
        title=title or first,
        headings=tuple(headings),
        pages=tuple(starts),
        soft_wrap=True,
        records=tuple(records),
    )


def _told_title(title: str) -> str:
    """The title that the file carries, unless its program only put the name of a file or nothing there."""
    title = clean(title).strip()
    return "" if NO_TITLE.fullmatch(title) else title


def _blocks(page: list[Line], levels: dict[float, int]) -> Iterator[Line | list[list[str]]]:
    """Tables, headings, and between them the lines of running text together, as they stand."""
    running: list[str] = []
    for line in page:
        heads = line.table is None and line.size in levels and _may_head(line)
        if running and (line.table is not None or heads):
            yield Line("\n".join(running))
            running = []
        if line.table is not None:
            yield line.table.rows
        elif heads:
            yield line
        else:
            running.append(line.text)
    if running:
        yield Line("\n".join(running))


def _levels(pages: list[list[Line]], usual: float) -> dict[float, int]:
    """Heading level of each larger size: the largest is 1. A page in many sizes is no text with headings."""
    larger = sorted(
        {line.size for page in pages for line in page if line.size >= usual * HEADING_SIZE and _may_head(line)},
        reverse=True,
    )
    return {size: level for level, size in enumerate(larger, start=1)} if 0 < len(larger) <= 6 else {}


def _may_head(line: Line) -> bool:
    words = line.text.strip()
    return (
        line.table is None
        and 0 < len(words) <= HEADING_CHARACTERS
        and any(character.isalpha() for character in words)
        and not words.endswith((".", ",", "다"))
    )


def _lines_of(document: Any, number: int) -> list[Line]:
    page = document[number]
    try:
        grids = grids_of(page)
        text_page = page.get_textpage()
        try:
            return list(_placed(text_page, grids))
        finally:
            text_page.close()
    finally:
        page.close()


def _placed(text_page: Any, grids: list[Grid]) -> Iterator[Line]:
    """Lines in reading order; a table's letters are taken out and the table stands where its first letter stood."""
    from pypdfium2 import raw

    count = text_page.count_chars()
    whole = text_page.get_text_range(0, count) if count else ""
    if len(whole) != count:  # letters beyond the basic plane: PDFium counts their halves
        whole = "".join(chr(raw.FPDFText_GetUnicode(text_page, index)) for index in range(count))
    grids = grids + [one for one in unruled_grids(text_page, whole) if not any(_overlap(one, grid) for grid in grids)]
    told: set[int] = set()
    line: list[str] = []
    size = 0.0
    for index, character in enumerate(whole):
        if character in "\r\n":
            yield from _finished(line, size)
            line, size = [], 0.0
            continue
        inside = _grid_at(text_page, index, grids) if grids else None
        if inside is not None:
            inside[1].put(inside[2], character, index)
            if inside[0] not in told:
                told.add(inside[0])
                yield from _finished(line, size)
                line, size = [], 0.0
                yield Line("", table=inside[1])
            continue
        line.append(character)
        if size == 0.0 and not character.isspace():
            size = round(raw.FPDFText_GetFontSize(text_page, index) * _scale(text_page, index), 1)
    yield from _finished(line, size)


def _overlap(one: Grid, other: Grid) -> bool:
    """Whether two tables share room on the page."""
    beside = one.xs[-1] <= other.xs[0] or other.xs[-1] <= one.xs[0]
    apart = one.ys[-1] >= other.ys[0] or other.ys[-1] >= one.ys[0]
    return not (beside or apart)


def _finished(line: list[str], size: float) -> Iterator[Line]:
    text = re.sub(r"[\ufffe\xad\x02]", "-", "".join(line)).strip()  # how PDFium marks a hyphen at the end of a line
    if text:
        yield Line(text, size)


def _scale(text_page: Any, index: int) -> float:
    """How much larger than its font's size a letter is drawn: some programs set size 1 and a matrix."""
    import ctypes

    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(text_page, index, ctypes.byref(matrix)):
        return 1.0
    return float(abs(matrix.d) or abs(matrix.b) or 1.0)


def _grid_at(text_page: Any, index: int, grids: list[Grid]) -> tuple[int, Grid, tuple[int, int]] | None:
    """Number of the table, the table, and the cell in which a letter lies by its middle."""
    left, bottom, right, top = text_page.get_charbox(index)
    for number, grid in enumerate(grids):
        cell = grid.cell_at((left + right) / 2, (bottom + top) / 2)
        if cell is not None:
            return number, grid, cell
    return None
