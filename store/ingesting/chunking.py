"""Text into passages: two to five whole sentences under one heading, with exact offsets into the extracted text.

``text[passage.start:passage.end]`` is the passage, always; the sentence spans count inside the passage. A heading is
not a passage of its own: it becomes the title that its passages carry. A table row is a passage and a sentence of its
own, whatever stops and dots stand in it; where its text does not name the columns, its title does.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from state import Language
from store.readers.extract import Extract
from store.text.language import Span, language_of, sentences, trimmed

MAX_CHARACTERS = 500
MAX_SENTENCES = 5
WRAP_COLUMNS = 50  # a line that stops earlier was ended on purpose
LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•·▪○●※]|\d{1,3}[.)]|[가-하][.)])[ \t]+")
RULE_OR_FENCE = re.compile(r"[ \t]*(?:```.*|~~~.*|[-=*_]{3,}|\|?[ \t:|-]*-{3}[ \t:|-]*)[ \t]*$")


@dataclass(frozen=True)
class Chunk:
    """A passage before it is stored."""

    start: int
    end: int
    title: str
    page: int | None
    language: Language
    sentences: tuple[Span, ...]  # inside the passage


def chunk(extract: Extract, *, max_characters: int = MAX_CHARACTERS, max_sentences: int = MAX_SENTENCES) -> list[Chunk]:
    """All passages of a document, in order and without overlap. A longer sentence is cut at white space."""
    return list(chunks(extract, max_characters=max_characters, max_sentences=max_sentences))


def chunks(
    extract: Extract, *, max_characters: int = MAX_CHARACTERS, max_sentences: int = MAX_SENTENCES
) -> Iterator[Chunk]:
    """The passages of :func:`chunk`, each as soon as it is cut: a long document never lies in memory whole."""
    starts = [record.start for record in extract.records]
    for title, start, end in _sections(extract):
        first, last = bisect.bisect_left(starts, start), bisect.bisect_left(starts, end)
        position = start
        for record in extract.records[first:last]:
            yield from _prose(
                extract, title, position, max(record.start - record.lead, position), max_characters, max_sentences
            )
            words = [*_pieces(extract.text, record.start, record.end, max_characters)]
            named = " › ".join(word for word in (title, record.columns) if word)
            yield from _passages(extract, named, words, max_characters, 1)
            position = max(record.end, position)
        yield from _prose(extract, title, position, end, max_characters, max_sentences)


def _prose(
    extract: Extract, title: str, start: int, end: int, max_characters: int, max_sentences: int
) -> Iterator[Chunk]:
    """The passages of running text; a paragraph is looked at only when the one before it is done."""
    text = extract.text
    spans = (
        piece
        for block in _blocks(text, start, end, soft_wrap=extract.soft_wrap)
        for begin, stop in sentences(text[block[0] : block[1]])
        for piece in _pieces(text, block[0] + begin, block[0] + stop, max_characters)
    )
    yield from _passages(extract, title, spans, max_characters, max_sentences)


def _passages(
    extract: Extract, title: str, spans: Iterable[Span], max_characters: int, max_sentences: int
) -> Iterator[Chunk]:
    for group in _groups(spans, extract.pages, max_characters, max_sentences):
        first, last = group[0][0], group[-1][1]
        page = bisect.bisect_right(extract.pages, first) if extract.pages else None
        inside = tuple((begin - first, stop - first) for begin, stop in group)
        yield Chunk(first, last, title, page, language_of(extract.text[first:last]), inside)


def _sections(extract: Extract) -> Iterator[tuple[str, int, int]]:
    """Title and ``[start, end)`` of the text under each heading.

    A heading with neither text nor smaller headings below it is a text itself: else its words would be lost.
    """
    text, headings = extract.text, extract.headings
    trail: list[tuple[int, str]] = [(0, extract.title)]
    ends = [*(_line_start(text, heading.start) for heading in headings), len(text)]
    for index, end in enumerate(ends):
        start = headings[index - 1].end if index else 0
        if index:
            heading = headings[index - 1]
            trail = [entry for entry in trail if entry[0] < heading.level]
            trail.append((heading.level, text[heading.start : heading.end].strip()))
        words = [entry[1] for entry in trail if entry[1]]
        title = " › ".join(word for word, _ in itertools.groupby(words))
        if text[start:end].strip(" \t\n#*-="):
            yield title, start, end
        elif index and (index == len(headings) or headings[index].level <= headings[index - 1].level):
            yield title, headings[index - 1].start, headings[index - 1].end
    if not headings and not text.strip(" \t\n#*-="):
        yield extract.title, 0, len(text)


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _blocks(text: str, start: int, end: int, *, soft_wrap: bool) -> Iterator[Span]:
    """Paragraphs, list items and rows: pieces over whose borders no sentence goes."""
    begin: int | None = None
    stop, previous = start, ""
    position = start
    for line in text[start:end].splitlines(keepends=True):
        line_start, position = position, position + len(line)
        words = line.strip()
        marker = LIST_ITEM.match(line)
        rule = not words or RULE_OR_FENCE.match(line.rstrip("\n"))
        goes_on = soft_wrap and not marker and not words.startswith("|") and _columns(previous) >= WRAP_COLUMNS
        if begin is not None and (rule or not goes_on):
            yield begin, stop
            begin = None
        if rule:
            continue
        if begin is None:
            begin = line_start + (marker.end() if marker else 0)
        stop, previous = position, line
    if begin is not None:
        yield begin, stop


def _columns(line: str) -> int:
    return sum(2 if character >= "\u1100" else 1 for character in line.rstrip())


def _pieces(text: str, start: int, end: int, limit: int) -> Iterator[Span]:
    """The sentence, or its parts of at most ``limit`` characters, cut at white space where there is some."""
    while end - start > limit:
        cut = max(text.rfind(" ", start + 1, start + limit), text.rfind("\n", start + 1, start + limit))
        cut = cut if cut > start else start + limit
        part = trimmed(text, start, cut)
        if part[0] < part[1]:
            yield part
        start = cut
    part = trimmed(text, start, end)
    if part[0] < part[1]:
        yield part


def _groups(
    spans: Iterable[Span], pages: tuple[int, ...], max_characters: int, max_sentences: int
) -> Iterator[list[Span]]:
    group: list[Span] = []
    for span in spans:
        full = group and (
            len(group) >= max_sentences
            or span[1] - group[0][0] > max_characters
            or bisect.bisect_right(pages, span[0]) != bisect.bisect_right(pages, group[0][0])
        )
        if full:
            yield group
            group = []
        group.append(span)
    if group:
        yield group
