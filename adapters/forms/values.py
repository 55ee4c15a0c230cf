"""Which values can stand in an argument at all, given what was said: dates, numbers, choices, spans of the words.

These are constraints of type, not decisions: a date is a word that can be a date, a number stands in the text, a
choice is one of the schema, a text is copied. Which of them is meant, the model says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from adapters.forms.datewords import date_words, dates_in
from adapters.forms.spans import pieces
from adapters.numerals import CODE, numbers_in
from adapters.prompt import Turn, spaced
from state import JSON

SHORT_CHARS: Final = 120  # a text that may be longer is no name
SHORT_TOKENS: Final = 24
LONG_TOKENS: Final = 96
CHARS: Final = 32  # more than a token has: a value that is longer than so many a token is not followed


_GOES_ON: Final = frozenset("a an the and or but because than my our your their".split())
"""Words after which something has to come: no value ends in one, or is one. "Block A" may."""


_QUOTED: Final = re.compile(
    r"""(?<!\w)(?:'(?=\S)[^']*(?:'\w[^']*)*'(?!\w)|"[^"]+"|“[^”]+”|‘[^’]+’(?!\w)|「[^」]+」|『[^』]+』)"""
)
"""Words in quotation marks, an apostrophe inside a word is none: no value begins before them and ends among them."""


_POINTED: Final = re.compile(r"\d{1,2}\.\d{1,2}")
"""A number with decimals, or a month and a day."""


_DOUBTED: Final = re.compile(r"“([^”]+)”(?: is not clear| *만으로는 분명하지)")
"""What the gate asks about, at the beginning of its question (``nodes.wording``)."""


TITLED: Final = "titled"
"""Where ``property_of`` puts the titles of choices, as pairs of value and title."""
SYNONYMS: Final = "x-synonyms"
"""Where a schema has other words for the choices of an argument, as its tool declares them: each with its choice."""


class Start(NamedTuple):
    """Where a copied value may begin: its longest continuation in tokens, and after how many of them it may end."""

    ids: list[int]
    ends: list[tuple[int, str]]


def property_of(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The arguments of a tool with their plain types: references and optional types resolved.

    A schema may be true or false, too: of an argument either says nothing.
    """
    for name, spec in schema.get("properties", {}).items():
        synonyms = spec.get(SYNONYMS) if isinstance(spec, Mapping) else None
        told = {SYNONYMS: synonyms} if isinstance(synonyms, Mapping) else {}
        yield name, {key: value for key, value in _plain(spec, schema).items() if key != SYNONYMS} | told


def _plain(spec: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    for _ in range(8):
        if isinstance(spec, bool):
            return {}
        listed = spec.get("anyOf") or spec.get("oneOf") or []
        options = [o for o in listed if isinstance(o, bool) or o.get("type") != "null"]
        if options and all(isinstance(o, Mapping) and ("const" in o or "enum" in o) for o in options):
            return _listed(options)
        inner: Any = options[0] if options else spec["allOf"][0] if spec.get("allOf") else None
        if inner is None and "$ref" in spec:
            inner = root
            for part in str(spec["$ref"]).removeprefix("#/").split("/"):
                inner = inner.get(part, {}) if isinstance(inner, Mapping) else {}
        if inner is None:
            break
        spec = inner
    kind = spec.get("type")
    if isinstance(kind, list):
        spec = {**spec, "type": next((k for k in kind if k != "null"), "string")}
    return dict(spec)


def _listed(options: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A choice among constants, each of which may have a title, or among lists, as one list of values."""
    titled = [(o["const"], str(o["title"])) for o in options if o.get("title") and o.get("const") is not None]
    values = [value for o in options for value in ([o["const"]] if "const" in o else o["enum"])]
    return {"enum": values, TITLED: titled}


def is_date(spec: Mapping[str, Any]) -> bool:
    """Whether an argument is a date."""
    return spec.get("format") in ("date", "date-time")


def choices(spec: Mapping[str, Any], texts: Sequence[str]) -> list[JSON] | None:
    """All values that an argument may have, None for text, which is copied (``Spans``); lists stay open."""
    if "const" in spec:
        return [spec["const"]]
    if "enum" in spec:
        return [choice for choice in spec["enum"] if choice is not None]
    kind = spec.get("type", "string")
    if kind == "boolean":
        return [True, False]
    if kind in ("integer", "number"):
        low, high = spec.get("minimum", float("-inf")), spec.get("maximum", float("inf"))
        found = [n for text in texts for n in _undated(text) if kind == "number" or isinstance(n, int)]
        return list(dict.fromkeys(n for n in found if low <= n <= high))
    if is_date(spec):
        return list(dict.fromkeys(word for text in texts for word in date_words(text)))
    return None if kind == "string" else []


def _undated(text: str) -> Iterator[int | float]:
    """The numbers of a text that are no part of a date. 12.25 may be either: the type of the argument says which."""
    dates = [(said.at, said.at + len(said.text), said.text) for said in dates_in(text)]
    for at, end, number in numbers_in(text):
        if number is None:
            continue
        over = [(first, last, words) for first, last, words in dates if first < end and at < last]
        if all(at <= first and last <= end and _POINTED.fullmatch(words) for first, last, words in over):
            yield number


def used_up(value: JSON, values: Mapping[str, JSON], texts: Sequence[str]) -> bool:
    """Whether all mentions of these words are taken by other arguments: what is said once, is said for one."""
    if not isinstance(value, str):
        return False
    others = [other for other in values.values() if isinstance(other, str)]

    def mentions(words: str) -> int:
        return sum(max(text.count(words), sum(date.count(words) for date in _dates(text))) for text in texts)

    inside = sum(other.count(value) for other in others)
    around = any(other in value and mentions(other) < 2 for other in others)
    return around or 0 < mentions(value) <= inside


def _dates(text: str) -> list[str]:
    """The dates that a text says, with repeats: those of a range stand in it in other words."""
    return [word for said in dates_in(text) for word in said.words]


def of_date(value: JSON, dates: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether these words are said as a part of dates only, as the 12 of "12월 3일"; ``dates``: as they are said."""
    if not isinstance(value, str):
        return False
    within = sum(text.count(date) * date.count(value) for text in texts for date in set(dates))
    return 0 < sum(text.count(value) for text in texts) <= within


_AFTER_COPULA: Final = re.compile(r"에요|예요|고|라|며|요|야|니|었|지만|(?:ㅂ|입)니다")


def _copula(value: str, text: str, end: int) -> bool:
    """Whether a value ends inside the word "is" that follows a name: at the 이, 이에 or 입니 of "곽성별이에요"."""
    if value.endswith(("이에", "입니")):
        return True
    if len(value) < 2 or value[-1] != "이" or not "가" <= value[-2] <= "힣":
        return False
    return (ord(value[-2]) - ord("가")) % 28 != 0 and _AFTER_COPULA.match(text, end) is not None


def _kind(code: str) -> str:
    """What kind of code stands there: an address, a number with letters, a number without, or no number at all."""
    if "@" in code:
        return "address"
    if not any(sign.isdigit() for sign in code):
        return ""
    return "lettered" if any(sign.isalpha() for sign in code) else "plain"


def _codes(text: str) -> set[str]:
    return {found.group() for found in CODE.finditer(text)}


def doubted(turns: Sequence[Turn]) -> set[str]:
    """Words that the gate could not read and asked about, and that nobody has said again since.

    Whoever answers "next Tuesday is not clear enough" with a date means that one.
    """
    found: set[str] = set()
    for turn in turns:
        if turn.role == "assistant" and (question := _DOUBTED.match(turn.content)):
            found.add(question[1])
        elif turn.role == "user":
            found = {words for words in found if words not in turn.content}
    return found


def _whole(text: str, at: int, value: str) -> bool:
    """Whether a value that stands there ends where a name or a sentence can end."""
    last = value.rpartition(" ")[2]
    goes_on = last in _GOES_ON or (len(last) > 1 and last.lower() in _GOES_ON)
    return not goes_on and not _copula(value, text, at + len(value))


class Spans:
    """The spans of some texts as token rows; made once a turn.

    ``done``: so many of the texts, the first ones, belong to calls whose results are there. A number or an address of
    those does not stand where the request that follows has one of its own kind: who names a booking after another one
    was found means that one.
    """

    def __init__(self, encode: Callable[[str], list[int]], texts: Sequence[str], *, done: int = 0) -> None:
        self._encode = encode
        self._texts = [" ".join(text.split()) for text in texts]
        fresh = set[str]().union(*(_codes(text) for text in self._texts[done:]))
        named = {_kind(code) for code in fresh} - {""}
        before = set[str]().union(*(_codes(text) for text in self._texts[:done]))
        self._past = {code for code in before - fresh if _kind(code) in named}
        self._made: dict[int, list[Start]] = {}

    def starts(self, longest: int) -> list[Start]:
        """Every place where a value of at most ``longest`` characters (0: no limit) may begin, without repeats."""
        tokens = SHORT_TOKENS if 0 < longest <= SHORT_CHARS else LONG_TOKENS
        if tokens not in self._made:
            found: dict[tuple[int, ...], Start] = {}
            for text in self._texts:
                for start in self._of(text, tokens):
                    found.setdefault(tuple(start.ids), start)
            self._made[tokens] = list(found.values())
        return self._made[tokens]

    def _of(self, text: str, tokens: int) -> Iterator[Start]:
        parts = pieces(text)
        quoted = {place: found.start() for found in _QUOTED.finditer(text) for place in range(*found.span())}
        inside = {at for code in CODE.finditer(text) for at in range(code.start() + 1, code.end())}
        begin = 0
        for i, first in enumerate(parts):
            begin, at = begin + len(first.gap) + len(first.text), begin + len(first.gap)
            if not first.starts or at in inside or text[at] == "@":  # of an address or a name it is no part
                continue
            value = ""
            ids: list[int] = []
            ends: list[tuple[int, str]] = []
            for part in islice(parts, i, None):
                value += part.text if not value else part.gap + part.text
                end = at + len(value)
                if len(value) > CHARS * tokens:
                    break
                if not part.ends or end in inside or value in self._past:
                    continue
                if not _whole(text, at, value) or at < quoted.get(end, at) < end:
                    continue
                longer = self._encode(spaced(value))
                if len(longer) > tokens:
                    break
                if longer[: len(ids)] == ids:  # a span whose tokens do not continue the shorter one's is no span
                    ids = longer
                    ends.append((len(ids), value))
            if ends:
                yield Start(ids, ends)
