"""Finished English messages in the reader's language (docs/adr/0010-messages-in-two-languages.md).

The parts below the shell raise errors and write notes in plain English and know no reader. Here such a text is matched
against the message ids of the catalogue ``messages``, whose blanks are named (``there is no review {review_id}; …``);
what stood in the blanks is translated where it is a message itself, and put into the Korean text. A text that no
message id matches is shown as it is. Times in a message are told on the reader's clock, in either language.

The gate's own sentences (:mod:`nodes.wording`) are in a record in the conversation's language: they are put into the
reader's in the same way, in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from dojang.language import texts_of
from dojang.times import moments

if TYPE_CHECKING:
    from state import Language

HANGUL: Final = re.compile("[가-힣]")
BLANK: Final = re.compile(r"\{(\w+)\}")
LIST: Final = "; "
"""Between several messages in one text."""
DEPTH: Final = 6
"""Messages inside messages that are looked into."""
LONGEST: Final = 500
"""Characters of a message inside another; what is longer is somebody's text."""


@dataclass(frozen=True)
class Pattern:
    """One message id with blanks."""

    template: str
    translated: str

    @cached_property
    def literals(self) -> list[str]:
        """The texts around the blanks, as they appear in a finished message."""
        return [_unescaped(piece) for piece in BLANK.split(self.template)[0::2]]

    @cached_property
    def quoted(self) -> set[str]:
        """Blanks inside “ ”: what somebody else wrote, and what may be sent just so, is never translated."""
        names = BLANK.findall(self.template)
        return {name for name, before in zip(names, self.literals, strict=False) if before.endswith("“")}

    @cached_property
    def weight(self) -> int:
        """How much of a message is not blank: the more, the surer a match."""
        return sum(map(len, self.literals))

    @cached_property
    def anchor(self) -> str:
        """The longest literal; a text without it cannot match."""
        return max(self.literals, key=len)

    def values(self, text: str) -> dict[str, str] | None:
        """What stands in the blanks of a finished message; None where it is another.

        Every literal is taken where it comes first: no backtracking, so that no text of a guest takes long.
        """
        first, *middle, last = self.literals
        if self.anchor not in text or not text.startswith(first) or not text.endswith(last):
            return None
        at, end = len(first), len(text) - len(last)
        found: list[str] = []
        for literal in middle:
            start = text.find(literal, at, end)
            if start < 0:
                return None
            found.append(text[at:start])
            at = start + len(literal)
        if at > end:
            return None
        pairs = list(zip(BLANK.findall(self.template), [*found, text[at:end]], strict=True))
        values = dict(pairs)
        return values if all(values[name] == value for name, value in pairs) else None  # a blank that comes twice

    def rank(self, values: Mapping[str, str]) -> tuple[int, int]:
        """Where the message's own words begin, and how many they are: the lower, the surer."""
        begins = 0 if self.literals[0] else len(next(iter(values.values())))
        return begins, -self.weight

    def filled(self, values: Mapping[str, str]) -> str:
        """The translated message."""
        pieces = BLANK.split(self.translated)
        return "".join(values[piece] if n % 2 else _unescaped(piece) for n, piece in enumerate(pieces))


class Messages:
    """The messages of one language."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.whole = {_unescaped(text): _unescaped(told) for text, told in texts.items() if not BLANK.search(text)}
        self.patterns = [Pattern(text, told) for text, told in texts.items() if BLANK.search(text)]

    def matching(self, text: str) -> Iterator[tuple[Pattern, dict[str, str]]]:
        """The message ids that a text may have come from, the surest first.

        That is the one whose own words begin first (a message goes around those inside it), then the longest.
        """
        found = [(pattern, values) for pattern in self.patterns if (values := pattern.values(text)) is not None]
        yield from sorted(found, key=lambda fit: fit[0].rank(fit[1]))

    def told(self, text: str, depth: int = DEPTH) -> str:
        """The text in this language, as far as it is known; each part of a text that is several."""
        if text in self.whole:
            return self.whole[text]
        if not depth or (depth < DEPTH and len(text) > LONGEST):
            return text
        listed = [(part, self.told(part, depth - 1)) for part in text.split(LIST)] if LIST in text else []
        if listed and all(part != translated for part, translated in listed):
            return LIST.join(translated for _, translated in listed)
        for pattern, values in self.matching(text):
            told = {n: v if n in pattern.quoted else self.told(v, depth - 1) for n, v in values.items()}
            return pattern.filled(told)
        first, joined, rest = text.partition(": ")
        head = self.told(first, depth - 1) if " " in first else first  # one word is a name
        if joined and rest and (parts := (head, self.told(rest, depth - 1))) != (first, rest):
            return ": ".join(parts)
        return LIST.join(translated for _, translated in listed) or text


@lru_cache
def messages(language: Language) -> Messages:
    """English messages in a language; none in English."""
    return Messages({} if language == "en" else texts_of("messages", language))


@lru_cache
def with_the_gate(language: Language) -> Messages:
    """The same, and what the gate wrote in the other language. Loads the graph's vocabulary, which takes a second."""
    from nodes.wording import translations

    if language == "en":
        return Messages(translations("ko", "en"))
    return Messages({**translations("en", "ko"), **texts_of("messages", language)})


def told(text: str, language: Language) -> str:
    """A finished message for a person who reads ``language``, with times on this machine's clock."""
    known = messages(language).told(text)
    if known == text and (language == "ko" or HANGUL.search(text)):
        known = with_the_gate(language).told(text)
    return moments(known, language)


def said(text: str, language: Language) -> str:
    """A reason of another part as a conversation in ``language`` keeps it: for good, so on nobody's clock."""
    return messages(language).told(text)


def skeleton(template: str) -> str:
    """A template whatever its blanks are called: two with one skeleton are one message."""
    pieces = BLANK.split(template)
    named = list(dict.fromkeys(pieces[1::2]))
    return "".join(f"{{{named.index(piece)}}}" if n % 2 else piece for n, piece in enumerate(pieces))


def _unescaped(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")
