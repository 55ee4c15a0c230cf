"""Tables of a PDF page without lines, from where its letters stand: only what can hardly be anything else.

At least three lines one below the other with equally many cells that stand clear of each other, one column of figures
beside the first, no long texts. A line above them that fits into the columns names them. Everything else stays text: a
table that is not recognised can still be read, a text that is torn into cells cannot.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from store.readers.pdf_lines import Grid
from store.readers.tables import FIGURE

LEAST_ROWS = 3  # with figures
GAP = 0.8  # times the height of the line: more white than between words
CLEAR = 0.3  # times that height between two columns
LEADING = 2.5  # times that height from one line to the next
CELL_CHARACTERS = 40
LINE_CHARACTERS = 200

Box = tuple[float, float, float, float]
"""``(left, bottom, right, top)`` in points."""


@dataclass(frozen=True)
class Cell:
    """What stands together in a line."""

    text: str
    box: Box


@dataclass(frozen=True)
class Row:
    """A line with more than one cell."""

    cells: Sequence[Cell]
    height: float  # from its lowest to its highest letter

    @property
    def bottom(self) -> float:
        """Of its lowest letter."""
        return min(cell.box[1] for cell in self.cells)

    @property
    def top(self) -> float:
        """Of its highest letter."""
        return max(cell.box[3] for cell in self.cells)


def unruled_grids(text_page: Any, whole: str) -> list[Grid]:
    """Tables among the lines of the page's text; letters are where ``text_page`` says."""
    found = []
    for group in _groups(_rows(text_page, whole)):
        while len(group) > LEAST_ROWS and not _figures(group[1:]):
            group = group[1:]  # lines of words above: the one that names the columns is the last of them
        body = group if _figures(group) else group[1:]
        if len(body) >= LEAST_ROWS and _figures(body):
            found.append(_grid(group))
    return found


def _rows(text_page: Any, whole: str) -> Iterator[Row | None]:
    """A row for each line that has cells; None for what parts tables: any other line."""
    lines = list(_lines(text_page, whole))
    digits = [any(whole[index].isdigit() for index in line) for line in lines]
    for number, line in enumerate(lines):
        near = digits[number] or (number + 1 < len(lines) and digits[number + 1])  # the next may be the first row
        yield _row(text_page, whole, line) if near and 1 < len(line) <= LINE_CHARACTERS else None


def _lines(text_page: Any, whole: str) -> Iterator[list[int]]:
    """The letters of each line, by number. PDFium ends a line before a short text far to the right of it."""
    line: list[int] = []
    at = 0
    for part in whole.split("\n"):
        letters = [at + index for index, one in enumerate(part) if not one.isspace()]
        at += len(part) + 1
        if letters and line and not _goes_on(text_page, line, letters[0]):
            yield line
            line = []
        line += letters
    if line:
        yield line


def _goes_on(text_page: Any, line: Sequence[int], letter: int) -> bool:
    """Whether a letter stands at the right of a line, on its height."""
    _, bottom, right, top = text_page.get_charbox(line[-1], loose=True)
    left, low, _, high = text_page.get_charbox(letter, loose=True)
    return bool(left > right and low < (bottom + top) / 2 < high)


def _row(text_page: Any, whole: str, line: Sequence[int]) -> Row | None:
    boxes = [text_page.get_charbox(index) for index in line]
    height = max(max(box[3] for box in boxes) - min(box[1] for box in boxes), 1.0)
    ends = [n for n in range(1, len(line)) if boxes[n][0] - boxes[n - 1][2] > GAP * height]
    cells = []
    for first, end in itertools.pairwise([0, *ends, len(line)]):
        text = " ".join(whole[line[first] : line[end - 1] + 1].split())
        left, bottom, right, top = zip(*boxes[first:end], strict=True)
        cells.append(Cell(text, (min(left), min(bottom), max(right), max(top))))
    in_order = all(left.box[2] < right.box[0] for left, right in itertools.pairwise(cells))
    fits = len(cells) >= 2 and in_order and all(len(cell.text) <= CELL_CHARACTERS for cell in cells)
    return Row(cells, height) if fits else None


def _groups(rows: Iterator[Row | None]) -> Iterator[list[Row]]:
    """Rows one below the other whose cells stand in the same columns."""
    group: list[Row] = []
    for row in rows:
        if row is not None and group and _below(group[-1], row) and _clear([*group, row]):
            group.append(row)
            continue
        yield group
        group = [row] if row is not None else []
    yield group


def _below(above: Row, row: Row) -> bool:
    distance = above.bottom - row.bottom
    return len(above.cells) == len(row.cells) and 0 < distance <= LEADING * max(above.height, row.height)


def _clear(rows: Sequence[Row]) -> bool:
    """Whether no cell of a column reaches into the next column."""
    white = CLEAR * rows[-1].height
    return all(right - left >= white for left, right in _gutters(rows))


def _gutters(rows: Sequence[Row]) -> Iterator[tuple[float, float]]:
    for column in range(len(rows[0].cells) - 1):
        yield max(row.cells[column].box[2] for row in rows), min(row.cells[column + 1].box[0] for row in rows)


def _figures(rows: Sequence[Row]) -> bool:
    """Whether a column beside the first has nothing but figures."""
    columns = range(1, len(rows[0].cells)) if rows else range(0)
    return any(all(FIGURE.fullmatch(row.cells[column].text) for row in rows) for column in columns)


def _grid(rows: Sequence[Row]) -> Grid:
    """Lines are put half-way between the cells, as if they had been drawn."""
    left = min(row.cells[0].box[0] for row in rows)
    right = max(row.cells[-1].box[2] for row in rows)
    xs = [left - 1, *((before + after) / 2 for before, after in _gutters(rows)), right + 1]
    between = [(above.bottom + below.top) / 2 for above, below in itertools.pairwise(rows)]
    return Grid(xs, [rows[0].top + 1, *between, rows[-1].bottom - 1])
