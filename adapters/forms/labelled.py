"""For which argument a number was said, where a word of the argument's own stands by it: "5 copies", 쪽수는 12.

A tool of one's own has arguments that no base has read of. What says which of two numbers is the floor is then the word
floor beside it (``forms.labels``).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from adapters.forms.labels import SAYS_NOTHING, WORD, named, own_phrases, own_words
from adapters.forms.phrases import said_in
from adapters.forms.values import property_of
from adapters.numerals import Number, numbers_in
from state import ToolSpec

REACH: Final = 2
"""Words from a number to its label, "as the number of" and the like not counted: "2 red bicycles"."""
FAR: Final = 80  # characters within which a label is looked for
_STOPS: Final = re.compile(r"[,.;!?()\n\d]|\band\b|그리고")
_RIGHT: Final = re.compile(
    r"\s?(?:원|명|개|건|장|대|권|분|won\b|krw\b|%)?(?:을|를|은|는|이|가|로|으로)?\(?", re.IGNORECASE
)
"""What belongs to a number behind it; a bracket that opens right there is about it, too: 3개(의자)."""
_AS: Final = re.compile(r"\s*as (?:the |an? )?", re.IGNORECASE)
"""Between a number and its label, which nothing can be nearer to: "371,000 as the budget by 5"."""
_CLOCK: Final = re.compile(r"(?<![\d:.])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])")
_HOURS: Final = re.compile(r"hour|minute|second", re.IGNORECASE)
"""In the name of an argument that a time of day may give its number."""


class _Label(NamedTuple):
    """A word or phrase of an argument's own in a text."""

    at: int
    end: int
    name: str


class _Beside(NamedTuple):
    """A label near a number: how many characters lie between, where it stands, which number it is, whose the label."""

    gap: int
    at: int
    number: int
    name: str


class Owned(NamedTuple):
    """Numbers by what they were said for.

    Attributes:
        of: Those that were said for an argument.
        free: Those that may be anybody's.
        clock: Those of a time of day, 14:30.
    """

    of: Mapping[str, frozenset[int | float]]
    free: frozenset[int | float]
    clock: frozenset[int | float]

    def elsewhere(self, name: str) -> frozenset[int | float]:
        """The numbers that were said for other arguments than this one, or of a time alone, which is no number."""
        clock = frozenset[int | float]() if _HOURS.search(name) else self.clock
        return clock.union(*self.of.values()) - self.free - self.of.get(name, frozenset())


def owned(tool: ToolSpec, texts: Sequence[str]) -> Owned:
    """For which of a tool's arguments each number in ``texts`` was said.

    The nearest pairs of a number and a word come first, and each word is for one number ("copies 5 pages 12"). A number
    that has a word of one argument before it and as near one of another behind it is nobody's.
    """
    names = _numbers(tool)
    words, phrases = own_words(tool, names), own_phrases(tool, names)
    of: dict[str, set[int | float]] = {}
    free, clock = set[int | float](), set[int | float]()
    for text in texts:
        times = {at for time in _CLOCK.finditer(text) for at in range(*time.span())}
        told = [found for found in numbers_in(text) if found.value is not None]
        numbers = [found for found in told if found.at not in times]
        clock.update(found.value for found in told if found.at in times and found.value is not None)
        whose = _named(text, numbers, sorted(_labels(text, words, phrases))) if numbers and names else {}
        for i, found in enumerate(numbers):
            assert found.value is not None
            (of.setdefault(whose[i], set()) if i in whose else free).add(found.value)
    return Owned({name: frozenset(values) for name, values in of.items()}, frozenset(free), frozenset(clock))


def _named(text: str, numbers: Sequence[Number], labels: Sequence[_Label]) -> dict[int, str]:
    """Whose each number is, by its place in the list; those that are nobody's are not in it."""
    pairs = sorted(pair for i, found in enumerate(numbers) for pair in _beside(text, i, found, labels))
    names: dict[int, str] = {}
    gaps: dict[int, int] = {}
    taken: set[int] = set()
    for pair in pairs:
        if pair.number not in names and pair.at not in taken:
            names[pair.number], gaps[pair.number] = pair.name, pair.gap
            taken.add(pair.at)
    unclear = {
        pair.number
        for pair in pairs
        if pair.at not in taken and pair.gap == gaps.get(pair.number) and pair.name != names[pair.number]
    }
    return {i: name for i, name in names.items() if i not in unclear}


def _numbers(tool: ToolSpec) -> list[str]:
    """The arguments that are numbers."""
    plain = property_of(tool["parameters"])
    return [name for name, spec in plain if spec.get("type") in ("integer", "number") and "enum" not in spec]


def _labels(text: str, words: Mapping[str, frozenset[str]], phrases: Sequence[tuple[str, str]]) -> Iterator[_Label]:
    """What a text has of the arguments' own; a word inside a phrase is none beside it."""
    said = said_in(text, phrases)
    yield from (_Label(found.at, found.end, name) for found, name in said)
    inside = {at for found, _ in said for at in range(found.at, found.end)}
    for word in WORD.finditer(text):
        if word.start() not in inside:
            for name, own in words.items():
                if named(word.group(), own):
                    yield _Label(word.start(), word.end(), name)


def _beside(text: str, number: int, found: Number, labels: Sequence[_Label]) -> Iterator[_Beside]:
    """Those of ``labels``, which stand in order, that nothing parts from a number, before and behind it."""
    if text[found.at : found.end].lower() == "a":  # "a room guest" is no guest, in number
        return
    begun, over = max(found.at - FAR, 0), found.end + FAR
    before, unit = text[begun : found.at].removesuffix("("), _RIGHT.match(text, found.end)
    start = begun + max((stop.end() for stop in _STOPS.finditer(before)), default=0)
    end = unit.end() if unit else found.end
    stop = _STOPS.search(text, end, over)
    until = stop.start() if stop else over
    for label in labels[bisect_left(labels, (start,)) : bisect_left(labels, (until,))]:
        if label.end <= found.at:
            between = text[label.end : found.at]
        elif end <= label.at and label.end <= until:
            between = text[end : label.at]
        else:
            continue
        if sum(word.lower() not in SAYS_NOTHING for word in WORD.findall(between)) < REACH:
            gap = 0 if _AS.fullmatch(between) else max(label.at - found.end, found.at - label.end)
            yield _Beside(gap, label.at, number, label.name)


__all__ = ["Owned", "owned"]
