"""What a grounded field may hold: spans, numbers and dates that stand in given texts, as parts of a grammar.

A field says it in its JSON schema, and without that a default counts::

    "x-dojang-grounded": "conversation"   what people and tools said
    "x-dojang-grounded": "evidence"       the retrieved passages
    "x-dojang-grounded": "citation"       the id of a retrieved passage (an integer: its number, from 1)
    "x-dojang-grounded": "free"           anything of its type ("x-free": true is the older way to say so)

A string is a span that begins and ends where a word or a run of digits does (``forms.spans``), a number stands there
in digits or words, a date is words that can be one, and of listed choices those remain that stand there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from adapters.forms.datewords import date_words
from adapters.forms.spans import Piece, pieces, spans
from adapters.numerals import numbers_in
from adapters.prompt import integers_in
from state import JSON, UserError

Ground: TypeAlias = Literal["conversation", "evidence", "citation", "free"]
GROUND: Final = "x-dojang-grounded"
SPAN_CHARS: Final = 120
LISTED: Final = 400  # spans that are told one by one, where a schema asks for more than a length
_PIECES: Final = 2_000  # of the newest text; beyond this no context of ours reaches


class Unfillable(Exception):
    """No text satisfies this schema under the given texts."""


def ground_of(spec: Mapping[str, Any]) -> Ground | None:
    """What a field says of itself; None where it says nothing. UserError for a word that is none of the four."""
    if spec.get("x-free"):
        return "free"
    told = spec.get(GROUND)
    if told is None or told in get_args(Ground):
        return cast("Ground | None", told)
    raise UserError(f"a field says {GROUND}: {told!r}; it is one of {', '.join(get_args(Ground))}")


class Lexicon:
    """What can be copied from one set of texts.

    Args:
        texts: As the prompt shows them, oldest first: strings come from here.
        numbers: Numbers and dates come from here.
        lines: The grammar that terminals are added to.
        name: Gives a fresh terminal name.
    """

    def __init__(
        self, texts: Sequence[str], numbers: Sequence[str], lines: list[str], name: Callable[[str], str]
    ) -> None:
        self._texts = list(texts)
        self._numbered = list(numbers)
        self._lines = lines
        self._name = name
        self._spans: dict[int, str | None] = {}
        self._raw: str | None = None
        self._raw_done = False
        self._shortest = float("inf")  # characters of the shortest span, escaped

    def string(self, spec: Mapping[str, Any]) -> str:
        """The name of a terminal, or alternatives, for the inside of a JSON string."""
        longest = int(spec.get("maxLength", SPAN_CHARS))
        if int(spec.get("minLength", 1)) > 1 or "pattern" in spec:
            return self._listed(spec, longest)
        span = self._span(longest)
        if span is None:
            raise Unfillable
        return span

    def choices(self, listed: Sequence[JSON]) -> list[JSON]:
        """Those of ``listed`` that stand in the texts as whole words; numbers among the numbers."""
        numbers = self._values("number")
        return [
            choice
            for choice in listed
            if (
                choice in numbers
                if isinstance(choice, int | float)
                else any(_stands(str(choice), t) for t in self._texts)
            )
        ]

    def numbers(self, kind: str, spec: Mapping[str, Any]) -> list[float]:
        """The numbers that may be said, in order of appearance."""
        return [value for value in self._values(kind) if admits(value, spec)]

    def dates(self) -> list[str]:
        """Words that can be a date."""
        return list(dict.fromkeys(word for text in self._numbered for word in date_words(text)))

    def _values(self, kind: str) -> list[float]:
        return list(dict.fromkeys(n for text in self._numbered for n in _numbers(text, kind)))

    def _listed(self, spec: Mapping[str, Any], longest: int) -> str:
        shortest, pattern = int(spec.get("minLength", 1)), re.compile(str(spec.get("pattern", "")))
        found = dict.fromkeys(
            value
            for text in reversed(self._texts)
            for value in sorted(spans(text, longest=longest))
            if len(value) >= shortest and pattern.search(value)
        )
        if not found:
            raise Unfillable
        return f"({' | '.join(literal(inside(value)) for value in list(found)[:LISTED])})"

    def _span(self, longest: int) -> str | None:
        if longest not in self._spans:
            raw = self._all_spans()
            # A terminal without any text would be a dead end in the middle of a call.
            name = self._name("SPAN") if raw and self._shortest <= longest else None
            if name:
                # Counted in characters of the escaped text, so the value is never longer than it may be.
                self._lines.append(rf"{name}: {raw} & /(.|\n){{1,{longest}}}/")
            self._spans[longest] = name
        return self._spans[longest]

    def _all_spans(self) -> str | None:
        """Terminals for every span: one chain a text, shared tails, so the grammar grows with the text alone."""
        if self._raw_done:
            return self._raw
        self._raw_done = True
        starts: list[str] = []
        left = _PIECES
        for text in reversed(self._texts):
            parts = pieces(text)[:left]
            left -= len(parts)
            starts += self._chain(parts)
        if starts:
            self._raw = self._name("RAW")
            self._lines.append(f"{self._raw}: {' | '.join(starts)}")
        return self._raw

    def _chain(self, parts: Sequence[Piece]) -> list[str]:
        starts: list[str] = []
        tail: str | None = None  # the terminal that continues after this piece, if an end can still be reached
        on = 0  # characters from there to the nearest end
        for part in reversed(parts):
            if not part.ends and tail is None:
                continue
            after = "" if tail is None else f" {tail}?" if part.ends else f" {tail}"
            inner = self._name("C")
            rest = 0 if part.ends else on
            if part.starts:
                self._shortest = min(self._shortest, len(inside(part.text)) + rest)
                begin = self._name("S")
                self._lines.append(f"{begin}: {literal(inside(part.text))}{after}")
                starts.append(begin)
            self._lines.append(f"{inner}: {literal(inside(part.gap + part.text))}{after}")
            tail, on = inner, len(inside(part.gap + part.text)) + rest
        return starts


def stands(value: JSON, spec: Mapping[str, Any], said: Sequence[str], sources: Mapping[str, str]) -> bool:
    """Whether a value that nothing constrained keeps what its field says of its grounding; parts of it, too.

    Args:
        value: An argument.
        spec: Its schema.
        said: What people and tools said.
        sources: Id to text of what was retrieved.
    """
    ground = ground_of(spec)
    inherited = {GROUND: spec[GROUND]} if GROUND in spec else {}
    if isinstance(value, list):
        return all(stands(item, {**inherited, **spec.get("items", {})}, said, sources) for item in value)
    if isinstance(value, Mapping):
        return all(stands(v, spec.get("properties", {}).get(k, {}), said, sources) for k, v in value.items())
    if ground in (None, "free") or value is None or isinstance(value, bool):
        return True
    if ground == "citation":
        return 1 <= value <= len(sources) if isinstance(value, int) else value in sources
    texts = said if ground == "conversation" else list(sources.values())
    if isinstance(value, int | float):
        return any(value in _numbers(text, "number") for text in texts)
    dated = spec.get("format") in ("date", "date-time")  # a day of a range stands there in other words
    return any(_stands(value, text) or (dated and value in date_words(text)) for text in texts)


def _numbers(text: str, kind: str) -> list[float]:
    return [*integers_in(text)] if kind == "integer" else [n.value for n in numbers_in(text) if n.value is not None]


def admits(value: float, spec: Mapping[str, Any]) -> bool:
    """Whether a number keeps the limits of its schema."""
    step = spec.get("multipleOf")
    return (
        spec.get("minimum", value) <= value <= spec.get("maximum", value)
        and not value <= spec.get("exclusiveMinimum", float("-inf"))
        and not value >= spec.get("exclusiveMaximum", float("inf"))
        and (step is None or (value / step).is_integer())
    )


def json_text(value: JSON) -> str:
    """``value`` as the model writes it."""
    return json.dumps(value, ensure_ascii=False)


def inside(text: str) -> str:
    """``text`` as it stands between the quotes of a JSON string."""
    return json_text(text)[1:-1].replace("\x7f", "\\u007f")


def literal(text: str) -> str:
    """``text`` as a string literal of the grammar, which reads JSON escapes."""
    return json.dumps(text, ensure_ascii=False)


def _stands(value: str, text: str) -> bool:
    return bool(value) and value in text and value in spans(text, longest=len(value))
