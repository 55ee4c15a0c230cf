"""txt and md: the text is the file itself, so that offsets are offsets into what a person opens."""

from __future__ import annotations

import re

from store.readers.encodings import decode
from store.readers.extract import Extract, Heading, Record, extract_of

FENCE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)[ \t]*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
# the line under a table's header, which has at least one bar or the whole would be a rule or an underlined heading
DELIMITER = re.compile(r"^[ \t]*(?=[^\n]*\|)\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE)


def read_txt(name: str, data: bytes) -> Extract:
    """Plain text; a short first line over an empty one is its heading."""
    text = decode(name, data)
    first, _, rest = text.lstrip().partition("\n")
    headings = title_line(text) if rest.startswith("\n") else ()
    return extract_of(name, data, "txt", text, title=first if headings else "", headings=headings, soft_wrap=True)


def title_line(text: str) -> tuple[Heading, ...]:
    """The first line, when it is short and no sentence."""
    first = text.lstrip().partition("\n")[0].rstrip()
    start = len(text) - len(text.lstrip())
    is_title = 0 < len(first) <= 80 and not first.endswith((".", "!", "?", ":", ",", "다"))
    return (Heading(start, start + len(first), 1),) if is_title else ()


def read_md(name: str, data: bytes) -> Extract:
    """Markdown as it is written; headings and table rows are found outside of fenced code."""
    text = decode(name, data)
    fenced = [match.span() for match in FENCE.finditer(text)]
    headings = tuple(
        Heading(match.start(2), match.end(2), len(match.group(1)))
        for match in HEADING.finditer(text)
        if not _within(match.start(), fenced)
    )
    title = text[headings[0].start : headings[0].end] if headings else ""
    records = tuple(_records(text, fenced))
    return extract_of(name, data, "md", text, title=title, headings=headings, soft_wrap=True, records=records)


def _within(position: int, spans: list[tuple[int, int]]) -> bool:
    return any(start <= position < end for start, end in spans)


def _records(text: str, fenced: list[tuple[int, int]]) -> list[Record]:
    """Each row below a table's delimiter line; the header above the first one leads to it."""
    found: list[Record] = []
    for delimiter in DELIMITER.finditer(text):
        above = text.rfind("\n", 0, max(delimiter.start() - 1, 0)) + 1
        header = text[above : max(delimiter.start() - 1, above)]
        if "|" not in header or _within(above, fenced) or (found and above < found[-1].end):
            continue
        columns = " | ".join(cell.strip() for cell in re.split(r"(?<!\\)\|", header) if cell.strip())
        position = delimiter.end() + 1
        lead = above
        while position < len(text):
            end = text.find("\n", position)
            line = text[position : end if end >= 0 else len(text)]
            if "|" not in line or not line.strip(" \t|"):
                break
            start = position + len(line) - len(line.lstrip())
            found.append(Record(start, position + len(line.rstrip()), columns, start - lead))
            position += len(line) + 1
            lead = position
    return found
