"""Word files: paragraphs, headings by style, table rows as records."""

from __future__ import annotations

import io
import re
from typing import Any

from store.readers.extract import DAMAGE, Builder, Extract, broken, built
from store.readers.tables import add_table
from store.text.language import clean

TEXT = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def read_docx(name: str, data: bytes) -> Extract:
    """The body in its order. Headers, footers, footnotes and text boxes are left out."""
    import docx
    from docx.opc.exceptions import OpcError
    from docx.table import Table

    damage: tuple[type[Exception], ...] = (*DAMAGE, OpcError)
    builder = Builder()
    try:
        document = docx.Document(io.BytesIO(data))
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                _add_rows(builder, block)
                continue
            style = (block.style.name if block.style is not None else "") or ""
            level = re.fullmatch(r"(?:heading|제목) ?([1-6])", style.lower())
            builder.add(block.text, int(level.group(1)) if level else 1 if style == "Title" else 0)
        title = str(document.core_properties.title or "")
    except damage as error:
        raise broken(name, "Word", error) from None
    if title in ("", "Word Document"):
        title = builder.first_heading() or title
    return built(name, data, "docx", builder, title=clean(title))


def _add_rows(builder: Builder, table: Any) -> None:
    """Merged cells count once; a row marked "repeat as header row" names the columns."""
    rows, marked = [], None
    for line in table.rows:
        cells: list[str] = []
        seen: list[Any] = []
        for cell in line.cells:  # a merged cell comes once for each column that it covers
            cells.append("" if any(cell._tc is one for one in seen) else _text_of(cell._tc))
            seen.append(cell._tc)
        rows.append(cells)
    if table.rows:
        first = table.rows[0]._tr
        if first.find(f"{TEXT}trPr/{TEXT}tblHeader") is not None:
            marked = True
    if all(len(row) == 1 for row in rows):  # a frame around text
        for row in rows:
            builder.add(row[0])
        return
    add_table(builder, rows, header=marked)


def _text_of(cell: Any) -> str:
    """All paragraphs of a cell, those of tables inside it too."""
    paragraphs = ("".join(text.text or "" for text in p.iter(f"{TEXT}t")) for p in cell.iter(f"{TEXT}p"))
    return " ".join(" ".join(paragraphs).split())
