"""For which argument a number was said, where a word of the argument's own stands by it: "5 copies", 쪽수는 12.

A tool of one's own has arguments that no base has read of. What says which of two numbers is the floor is then the word
floor beside it. Words come from the name of an argument and, where that is a few words, from its title and description;
words of the tool's own name say nothing ("refund 2 towels" is no refund of 2), nor do those that several numbers share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapters.forms.values import property_of
from adapters.numerals import Number, numbers_in
from state import ToolSpec

DESCRIBED: Final = 4
"""Words of a description that is a label; a longer one is a sentence, whose words stand beside anything."""
REACH: Final = 2
"""Words from a number to its label, "as the number of" and the like not counted: "2 red bicycles"."""
FAR: Final = 80  # characters within which a label is looked for
STEM_CHARS: Final = 6
_SAYS_NOTHING: Final = frozenset(
    """a an the of in on at to for as is are be with by and or per should how many much number numbers no num count
    counts total amount value quantity integer optional required won krw usd 값 개수 숫자 이하 이상 최대 최소""".split()
)
_WORD: Final = re.compile(r"[A-Za-z]+|[가-힣]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[_\W]+")
_STOPS: Final = re.compile(r"[,.;!?()\n\d]|\band\b|그리고")
_RIGHT: Final = re.compile(
    r"\s?(?:원|명|개|건|장|대|권|분|won\b|krw\b|%)?(?:을|를|은|는|이|가|로|으로)?", re.IGNORECASE
)


class _Beside(NamedTuple):
    """A word of an argument's near a number: how many characters lie between, where it stands, which number it is."""

    gap: int
    at: int
    number: int
    name: str


class Owned(NamedTuple):
    """Numbers that were said for an argument, and those that may be anybody's."""

    of: Mapping[str, frozenset[int | float]]
    free: frozenset[int | float]


def owned(tool: ToolSpec, texts: Sequence[str]) -> Owned:
    """For which of a tool's arguments each number in ``texts`` was said.

    The nearest pairs of a number and a word come first, and each word is for one number ("copies 5 pages 12"). A number
    that has a word of one argument before it and as near one of another behind it is nobody's.
    """
    labels = _labels(tool)
    of: dict[str, set[int | float]] = {}
    free: set[int | float] = set()
    for text in texts:
        numbers = [found for found in numbers_in(text) if found.value is not None]
        names = _named(text, numbers, labels) if labels else {}
        for i, found in enumerate(numbers):
            assert found.value is not None
            (of.setdefault(names[i], set()) if i in names else free).add(found.value)
    return Owned({name: frozenset(values) for name, values in of.items()}, frozenset(free))


def _named(text: str, numbers: Sequence[Number], labels: Mapping[str, frozenset[str]]) -> dict[int, str]:
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


def _labels(tool: ToolSpec) -> dict[str, frozenset[str]]:
    """The words of each argument that is a number, without those of others and of the tool itself."""
    schema = tool["parameters"]
    raw: Mapping[str, Any] = schema.get("properties", {})
    own = {
        name: _stems(f"{name} {_described(raw[name])}") - _stems(tool["name"])
        for name, spec in property_of(schema)
        if spec.get("type") in ("integer", "number") and "enum" not in spec
    }
    return {
        name: frozenset(words - set[str]().union(*(other for key, other in own.items() if key != name)))
        for name, words in own.items()
    }


def _described(spec: Any) -> str:
    told = [str(spec.get(key, "")) for key in ("title", "description")] if isinstance(spec, Mapping) else []
    return " ".join(words for words in told if len(words.split()) <= DESCRIBED)


def _stems(text: str) -> set[str]:
    words = (word for part in _CAMEL.split(text) for word in _WORD.findall(part))
    return {_stem(word) for word in words if word.lower() not in _SAYS_NOTHING and (word.isascii() or len(word) > 1)}


def _stem(word: str) -> str:
    """The beginning of an English word, without the s of several; a Korean one whole."""
    word = word.lower()
    return word.removesuffix("s")[:STEM_CHARS] if word.isascii() else word


def _beside(text: str, number: int, found: Number, labels: Mapping[str, frozenset[str]]) -> Iterator[_Beside]:
    """The words of arguments near a number, before and behind it, as far as nothing parts them from it."""
    if text[found.at : found.end].lower() == "a":  # "a room guest" is no guest, in number
        return
    begun, over = max(found.at - FAR, 0), found.end + FAR
    before, unit = text[begun : found.at], _RIGHT.match(text, found.end)
    start = begun + max((stop.end() for stop in _STOPS.finditer(before)), default=0)
    end = unit.end() if unit else found.end
    stop = _STOPS.search(text, end, over)
    left, right = _WORD.finditer(text, start, found.at), _WORD.finditer(text, end, stop.start() if stop else over)
    for words in (list(left)[::-1], list(right)):
        telling = [word for word in words if word.group().lower() not in _SAYS_NOTHING]
        for word in telling[:REACH]:
            gap = found.at - word.end() if word.start() < found.at else word.start() - found.end
            for name, own in labels.items():
                if _names(word.group(), own):
                    yield _Beside(gap, word.start(), number, name)


def _names(word: str, own: frozenset[str]) -> bool:
    """Whether a word is one of an argument's own; a Korean one may go on with a particle."""
    stem = _stem(word)
    return stem in own if word.isascii() else any(stem.startswith(label) for label in own)


__all__ = ["Owned", "owned"]
