"""csv and xlsx: a sheet is a section, a row is a record."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from store.readers.cells import shown
from store.readers.encodings import decode
from store.readers.extract import DAMAGE, Builder, Extract, broken, built
from store.readers.tables import add_table
from store.text.language import clean

USUAL_SHEET = re.compile(r"(?:sheet|시트) ?1", re.I)


def read_csv(name: str, data: bytes) -> Extract:
    """Rows of a table in text; its delimiter is found out."""
    text = decode(name, data)
    dialect: type[csv.Dialect] | csv.Dialect = csv.excel
    try:
        dialect = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if "\t" in text[:8192] else csv.excel
    builder = Builder()
    try:
        add_table(builder, csv.reader(io.StringIO(text, newline=""), dialect), header=_headed(text, dialect))
    except csv.Error as error:
        raise broken(name, "CSV", error) from None
    return built(name, data, "csv", builder)


def _headed(text: str, dialect: type[csv.Dialect] | csv.Dialect) -> bool | None:
    """A csv has a header unless its first row is one cell (a caption, to be found out) or figures."""
    first = next((row for row in csv.reader(io.StringIO(text, newline=""), dialect) if any(row)), [])
    return None if sum(bool(cell.strip()) for cell in first) < 2 else not all(_figure(cell) for cell in first if cell)


def _figure(cell: str) -> bool:
    return bool(re.fullmatch(r"[-+\d.,:/\s%]+", cell))


def read_xlsx(name: str, data: bytes) -> Extract:
    """The visible sheets, with the values that formulas had when the file was saved."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    builder = Builder()
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            for sheet in sheets:
                if len(sheets) > 1 or not USUAL_SHEET.fullmatch(sheet.title):
                    builder.add(sheet.title, 1)
                add_table(builder, _rows(sheet))
            title = str(book.properties.title or "")
        finally:
            book.close()
    except (*DAMAGE, InvalidFileException) as error:
        raise broken(name, "Excel", error) from None
    if len(builder.headings) == len(builder.parts):
        builder = Builder()  # names of empty sheets are no text
    return built(name, data, "xlsx", builder, title=clean(title))


def _rows(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # files claim sizes that they do not have
    for row in sheet.iter_rows():
        yield [shown(cell.value, getattr(cell, "number_format", "General") or "General") for cell in row]
