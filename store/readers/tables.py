"""Table rows into records: "column: value, column: value.", so that a row can be found and read by itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from store.readers.extract import Builder

FIGURE = re.compile(r"[-+₩$€£¥]?\s?\d[\d,.]*\s?(?:%|원|won|krw|명|개|박|층)?", re.I)

YEAR = re.compile(r"(?:19|20)\d\d(?:년|[.\-/]\d{1,2}월?)?")


def add_table(builder: Builder, rows: Iterable[Sequence[str]], *, header: bool | None = None) -> None:
    """Append a table. ``header`` says whether the first row names the columns; None: to be found out.

    Rows of one cell above a wider one are its captions: paragraphs, not records.
    """
    tidy: Iterator[list[str]] = (cells for row in rows if any(cells := _tidy(row)))
    captions: list[list[str]] = []
    first: list[str] | None = None
    for cells in tidy:
        if header is None and sum(map(bool, cells)) == 1:
            captions.append(cells)
            continue
        first = cells
        break
    if first is None:  # one column all the way
        captions.reverse()
        first, tidy = (captions.pop(), reversed(captions)) if captions else (None, iter(()))
        captions = []
    for caption in captions:
        builder.add(next(cell for cell in caption if cell))
    if first is not None:
        _add_rows(builder, first, tidy, header=_may_name(first) if header is None else header)


def _add_rows(builder: Builder, first: Sequence[str], rest: Iterable[Sequence[str]], *, header: bool) -> None:
    names = first if header else []
    rows = 0
    for cells in rest if header else itertools.chain([first], rest):
        builder.add(line_of(cells, names), record=True)
        rows += 1
    if not rows:  # a header without rows is all that there is
        builder.add(line_of(first, []), record=True)


def line_of(cells: Sequence[str], names: Sequence[str]) -> str:
    """One row in words; cells without a name of a column stand alone."""
    named = list(_named(cells, names))
    if not named:
        return ""
    if not any(names):
        return " | ".join(named)
    line = ", ".join(named)
    return line if line.endswith((".", "!", "?", "。", "…")) else line + "."


def _named(cells: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    for index, cell in enumerate(cells):
        name = names[index] if index < len(names) else ""
        if cell:
            yield f"{name}: {cell}" if name and name != cell else cell


def _tidy(row: Sequence[str]) -> list[str]:
    return [re.sub(r"\s+", " ", cell).strip() for cell in row]


def _may_name(cells: Sequence[str]) -> bool:
    """Columns are named by words and years: a first row with another figure in it is a row like the others."""
    return not any(FIGURE.fullmatch(cell) and not YEAR.fullmatch(cell) for cell in cells if cell)
