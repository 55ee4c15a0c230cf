"""Finds personal data in Korean and English text: where, and of which type. Runs offline, and judges nothing.

The recognisers are those of Presidio, given patterns that know Korean; no language model, no download. Importing
Presidio costs seconds, so it is imported when a text first has something that could be personal data.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from state import JSON
from tools.pii_patterns import CHECKS, PATTERNS, Sighting
from tools.pii_text import Plain, plain

TYPES = (
    "BANK_ACCOUNT", "CREDIT_CARD", "EMAIL_ADDRESS", "KR_BRN", "KR_DRIVER_LICENSE", "KR_FRN", "KR_PASSPORT", "KR_RRN",
    "PHONE_NUMBER",
)  # fmt: skip
"""Every entity type; the words that a condition over ``pii`` may compare with."""

_DATES = re.compile(r"(?<![\d-])(?:19|20)\d{2}([-./])\d{1,2}\1\d{1,2}(?![\d-])")
_AMOUNTS = re.compile(r"(?<![\d,-])\d{1,3}(?:,\d{3})+(?![\d,-])")
_MAYBE = re.compile(
    r"@|(?:\d[^\w@]{0,3}){7}\d|[MSROD]\d{3}[A-Z]\d{4}|(?:전화|연락처|휴대|phone|mobile|tel)\D{0,16}\d", re.IGNORECASE
)
"""What any text with personal data has: the quick look before Presidio is needed."""
_STRONGER = {"BANK_ACCOUNT": {"PHONE_NUMBER", "CREDIT_CARD", "KR_RRN", "KR_FRN", "KR_DRIVER_LICENSE"},
             "PHONE_NUMBER": {"CREDIT_CARD", "KR_RRN", "KR_FRN", "KR_DRIVER_LICENSE"}}  # fmt: skip
"""Entity type → types that win where both claim the same characters."""
_loading = threading.Lock()


class Entity(NamedTuple):
    """One piece of personal data: its type and the characters [start, end) of the text as it was given."""

    type: str
    start: int
    end: int


def find(text: str) -> list[Entity]:
    """The personal data in ``text``, in order; characters that hide digits (full width, invisible) do not help."""
    seen = plain(text)
    if not _MAYBE.search(_AMOUNTS.sub(" x ", _DATES.sub(" x ", seen.text))):
        return []
    with _loading:
        recognisers = _recognisers()
    kept = [s for s in _sightings(seen, recognisers) if CHECKS.get(s.type, _any)(s)]
    kept = [s for s in kept if not any(_beats(other, s) for other in kept)]
    return sorted({Entity(s.type, *seen.span(s.start, s.end)) for s in kept}, key=lambda e: (e.start, e.end, e.type))


def types_in(texts: Iterable[str]) -> list[str]:
    """The types found in any of the texts, sorted, each once."""
    return sorted({entity.type for text in texts for entity in find(text)})


def texts_of(subject: Mapping[str, Any]) -> Iterator[str]:
    """What a policy's subject says: an answer's text, or every text among a call's arguments (names included).

    Whole numbers are read as text: a card number does not stop being one because a model left out the quotes.
    """
    yield str(subject.get("text") or "")
    yield from _strings(subject.get("args") or {})


def _strings(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(key)
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _any(_: Sighting) -> bool:
    return True


def _beats(other: Sighting, one: Sighting) -> bool:
    """Whether ``other`` is the better reading of the same characters."""
    if other is one or other.end <= one.start or one.end <= other.start:
        return False
    if other.type in _STRONGER.get(one.type, ()):
        return True
    longer = (other.start <= one.start and one.end <= other.end) and other.value != one.value
    return other.type == one.type and longer


def _sightings(seen: Plain, recognisers: list[Any]) -> Iterator[Sighting]:
    from presidio_analyzer import EntityRecognizer

    for recogniser in recognisers:
        for result in recogniser.analyze(seen.text, recogniser.supported_entities, None):
            said = result.analysis_explanation
            found = Sighting(
                _TYPE_OF.get(result.entity_type, result.entity_type),
                said.pattern_name or "",
                seen.text,
                result.start,
                result.end,
                result.score >= EntityRecognizer.MAX_SCORE,
            )
            if result.entity_type != _WORLD or found.value.startswith("+") or _AMERICAN.fullmatch(found.value):
                yield found


_WORLD = "PHONE_ABROAD"
_TYPE_OF = {_WORLD: "PHONE_NUMBER", "OLD_LICENSE": "KR_DRIVER_LICENSE", "IBAN_CODE": "BANK_ACCOUNT"}
_AMERICAN = re.compile(r"(?:\+?\d{1,2}[- ])?(?:\(\d{3}\) ?|\d{3}-)\d{3}-\d{4}")
"""Digits alone could be any number: of the numbers without a country's code only those written like phone numbers."""


@lru_cache(maxsize=1)
def _recognisers() -> list[Any]:
    """Presidio's recognisers with our patterns; the score of a match is the highest where a checksum confirmed it."""
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer.predefined_recognizers import (
        CreditCardRecognizer,
        IbanRecognizer,
        KrBrnRecognizer,
        KrDriverLicenseRecognizer,
        KrFrnRecognizer,
        KrPassportRecognizer,
        KrRrnRecognizer,
        PhoneRecognizer,
    )

    spaces = [("-", ""), (" ", ""), (".", "")]
    with_checksum = {
        "KR_RRN": KrRrnRecognizer,
        "KR_FRN": KrFrnRecognizer,
        "KR_BRN": KrBrnRecognizer,
        "KR_PASSPORT": KrPassportRecognizer,
        "KR_DRIVER_LICENSE": KrDriverLicenseRecognizer,
        "CREDIT_CARD": CreditCardRecognizer,
    }
    made: list[Any] = []
    for kind, regexes in PATTERNS.items():
        for name, regex in regexes.items():  # one a pattern: a recogniser drops what another of its patterns contains
            pattern = [Pattern(name, regex, 0.5)]
            if kind == "KR_PASSPORT":
                made.append(KrPassportRecognizer(patterns=pattern))
            elif kind in with_checksum:
                made.append(with_checksum[kind](patterns=pattern, replacement_pairs=spaces))
            else:
                made.append(PatternRecognizer(supported_entity=kind, patterns=pattern))
    made.append(PhoneRecognizer(supported_entity=_WORLD, supported_regions=("KR", "US"), leniency=1))
    made.append(IbanRecognizer())
    return made


__all__ = ["TYPES", "Entity", "find", "texts_of", "types_in"]
