"""Pages: the text between the tags, headings, and the rows of data tables as records."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

from store.readers.encodings import decode_declared
from store.readers.extract import Builder, Extract, built
from store.readers.tables import add_table

BLOCK_TAGS = "p li tr h1 h2 h3 h4 h5 h6 pre blockquote dt dd figcaption caption div section article ul ol table".split()
UNSEEN_TAGS = ["script", "style", "noscript", "template", "nav", "head"]
BLOCK, HEADING, CELL, TABLE = "\x1e", "\x1d", "\x1f", "\x01"  # control characters: clean() took them out of the page
MOST_SPANNED = 100  # columns or rows that one cell may cover
MOST_CELLS = 200_000  # of one table after spans; a page may claim more than it has


def read_html(name: str, data: bytes) -> Extract:
    """A page without its scripts, styles and navigation."""
    from bs4 import BeautifulSoup

    text = decode_declared(name, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bs4 warns when the text looks like an address or like XML
        soup = BeautifulSoup(text, "lxml")  # it closes what pages leave open; the standard parser does not
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup.find_all(UNSEEN_TAGS):
        tag.decompose()
    tables = _taken_tables(soup)
    builder = Builder()
    for level, words in _blocks(soup):
        number = re.fullmatch(TABLE + r"(\d+)", words)
        if number:
            rows, header = tables[int(number.group(1))]
            add_table(builder, rows, header=header)
        else:
            builder.add(words, level)
    return built(name, data, "html", builder, title=title or builder.first_heading())


def _taken_tables(soup: Any) -> list[tuple[list[list[str]], bool | None]]:
    """Rows of each table that holds data, and whether its first row names the columns; a mark takes its place.

    A table with another one or with headings in it, or with one column, only lays out the page: its text is prose.
    """
    found: list[tuple[list[list[str]], bool | None]] = []
    for table in soup.find_all("table"):
        if table.find(["table", "h1", "h2", "h3", "h4", "h5", "h6"]):
            continue
        lines = table.find_all("tr")
        rows = _grid(lines)
        if max((len(row) for row in rows), default=0) < 2:
            continue
        first = lines[0].find_all(["td", "th"])
        named = bool(first) and all(cell.name == "th" for cell in first)
        caption = table.find("caption")
        mark = soup.new_tag("p")
        mark.string = f"{TABLE}{len(found)}"
        if caption is not None:
            table.insert_before(caption.extract())
        table.replace_with(mark)
        found.append((rows, True if named or table.find("thead") else None))
    return found


def _grid(lines: list[Any]) -> list[list[str]]:
    """The rows with spanned cells filled in: a cell over three rows is in each of them, over three columns in one."""
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # column: rows that its cell still covers, and its text
    cells = 0
    for line in lines:
        row: list[str] = []
        pending, below = below, {}
        for cell in line.find_all(["td", "th"]):
            _fill(row, pending, below)
            text = re.sub(r"\s+", " ", cell.get_text(" ")).strip()
            down = _span(cell.get("rowspan"))
            for column in range(_span(cell.get("colspan"))):
                if down > 1:
                    below[len(row)] = (down - 1, text if column == 0 else "")
                row.append(text if column == 0 else "")
        _fill(row, pending, below)
        cells += len(row)
        if cells > MOST_CELLS:
            break
        rows.append(row)
    return rows


def _fill(row: list[str], pending: dict[int, tuple[int, str]], below: dict[int, tuple[int, str]]) -> None:
    while len(row) in pending:
        left, text = pending[len(row)]
        if left > 1:
            below[len(row)] = (left - 1, text)
        row.append(text)


def _span(given: Any) -> int:
    digits = re.match(r"\d{1,4}", str(given or "").strip())
    return min(max(int(digits.group()), 1), MOST_SPANNED) if digits else 1


def _blocks(soup: Any) -> Iterator[tuple[int, str]]:
    """Heading level (0: none) and text of each block, in order, text between blocks too.

    Marks are written into the tree and the whole text is cut at them: no recursion, however deep the page nests.
    """
    for tag in soup.find_all(BLOCK_TAGS):
        tag.insert_before(BLOCK)
        tag.insert_after(BLOCK)
        if re.fullmatch(r"h[1-6]", tag.name):
            tag.insert(0, HEADING + tag.name[1])
    for tag in soup.find_all(["td", "th"]):
        tag.insert_after(CELL)
    for tag in soup.find_all("br"):
        tag.insert_after(" ")
    for words in soup.get_text().split(BLOCK):
        level = int(words[1]) if words.startswith(HEADING) else 0
        parts = [re.sub(r"\s+", " ", part.strip(" \n\t")) for part in words[2 if level else 0 :].split(CELL)]
        yield level, " | ".join(part for part in parts if part)
