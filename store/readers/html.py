"""Pages: the text between the tags, headings, and the rows of data tables as records."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from store.readers.encodings import decode_declared
from store.readers.extract import Builder, Extract, built
from store.readers.tables import add_table, line_of

BLOCK_TAGS = "p li tr h1 h2 h3 h4 h5 h6 pre blockquote dt dd figcaption caption div section article ul ol table".split()
UNSEEN_TAGS = ["script", "style", "noscript", "template", "nav", "head"]
BLOCK, HEADING, CELL, TABLE = "\x1e", "\x1d", "\x1f", "\x01"  # control characters: clean() took them out of the page
NOT_SAID = ["dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6"]
MOST_SPANNED = 100  # columns or rows that one cell may cover
MOST_CELLS = 200_000  # of one table after spans; a page may claim more than it has


class Cell(NamedTuple):
    """A cell's text, and whether it is a ``th``."""

    text: str
    names: bool


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
    _take_definitions(soup, tables)
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
        named = bool(rows[0]) and all(cell.names for cell in rows[0])
        header = True if named or table.find("thead") else None
        facts = None if table.find("thead") else _facts(rows)
        caption = table.find("caption")
        if caption is not None:
            table.insert_before(caption.extract())
        table.replace_with(_mark(soup, len(found)))
        found.append(([[cell.text for cell in row] for row in rows], header) if facts is None else (facts, False))
    return found


def _take_definitions(soup: Any, found: list[tuple[list[list[str]], bool | None]]) -> None:
    """Each term with what is said of it becomes a record "term: said." among ``found``; a mark takes its place.

    With a table, a heading or another list in them they are parts of the page and no definition.
    """
    for term in soup.find_all("dt"):
        before = term.find_previous_sibling(True)
        if term.parent is None or (before is not None and before.name == "dt"):
            continue  # it was looked at with the term before it
        parts = [*_definition(term)]
        if parts[-1].name != "dd" or any(part.find(NOT_SAID) or TABLE in part.get_text() for part in parts):
            continue
        terms, said = ([_words(part) for part in parts if part.name == name] for name in ("dt", "dd"))
        term.insert_before(_mark(soup, len(found)))
        for part in parts:
            part.decompose()
        found.append(([[_defined(_named([", ".join(filter(None, terms))]), [*filter(None, said)])]], False))


def _definition(term: Any) -> Iterator[Any]:
    """A ``dt``, those right below it, and their ``dd``."""
    yield term
    last = "dt"
    for tag in term.next_siblings:
        if tag.name is None:  # the white space between them
            continue
        if tag.name not in ("dt", "dd") or (last, tag.name) == ("dd", "dt"):
            return
        last = tag.name
        yield tag


def _defined(term: str, said: list[str]) -> str:
    if term.endswith(("?", "？")):
        return " ".join([term, *said])
    whole = (" " if any(one.endswith((".", "!", "?", "。")) for one in said) else ", ").join(said)
    return line_of([whole], [term]) or term


def _mark(soup: Any, number: int) -> Any:
    """What stands in the page for the records of this number."""
    mark = soup.new_tag("p")
    mark.string = f"{TABLE}{number}"
    return mark


def _facts(rows: list[list[Cell]]) -> list[list[str]] | None:
    """Rows that each name their own values (th, td), as one cell "name: value."; None where columns may have names.

    A row may say several (th, td, th, td), and one ``th`` over all columns is the title of those below it.
    """
    facts: list[list[str]] = []
    paired = False
    for row in rows:
        texts = [cell.text for cell in row if cell.text]
        if row and all(cell.names for cell in row) and texts == [row[0].text]:
            facts.append(texts)
            continue
        if not row or not row[0].names or row[-1].names:
            return None
        paired = True
        facts.append([_fact(row)])
    return facts if paired else None


def _fact(row: list[Cell]) -> str:
    values: list[str] = []
    names: list[str] = []
    name = ""
    for is_name, cells in itertools.groupby(row, key=lambda cell: cell.names):
        texts = [cell.text for cell in cells if cell.text]
        if is_name:
            name = _named(texts)
        else:
            values += texts
            names += [name, *[""] * len(texts)][: len(texts)]
    return line_of(values, names) or name  # a name without a value is what the page says


def _named(texts: list[str]) -> str:
    return " ".join(texts).rstrip(" :：")


def _grid(lines: list[Any]) -> list[list[Cell]]:
    """The rows with spanned cells filled in: a cell over three rows is in each of them, over three columns in one."""
    rows: list[list[Cell]] = []
    below: dict[int, tuple[int, Cell]] = {}  # column: rows that its cell still covers, and what it is
    cells = 0
    for line in lines:
        row: list[Cell] = []
        pending, below = below, {}
        for cell in line.find_all(["td", "th"]):
            _fill(row, pending, below)
            text = _text(cell)
            down = _span(cell.get("rowspan"))
            for column in range(_span(cell.get("colspan"))):
                filled = Cell(text if column == 0 else "", cell.name == "th")
                if down > 1:
                    below[len(row)] = (down - 1, filled)
                row.append(filled)
        _fill(row, pending, below)
        cells += len(row)
        if cells > MOST_CELLS:
            break
        rows.append(row)
    return rows


def _fill(row: list[Cell], pending: dict[int, tuple[int, Cell]], below: dict[int, tuple[int, Cell]]) -> None:
    while len(row) in pending:
        left, cell = pending[len(row)]
        if left > 1:
            below[len(row)] = (left - 1, cell)
        row.append(cell)


def _words(tag: Any) -> str:
    """The text of a part in one line: words that only their style parts stay together."""
    for inner in tag.find_all([*BLOCK_TAGS, "br"]):
        inner.insert_before(" ")
        inner.insert_after(" ")
    return re.sub(r"\s+", " ", tag.get_text()).strip()


def _text(tag: Any) -> str:
    return re.sub(r"\s+", " ", tag.get_text(" ")).strip()


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
