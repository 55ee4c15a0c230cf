"""Reads a request once and says whether it can be understood in one way only. Pure; no model is asked.

Three forms are recognised, each of them precise, in Korean and English; anything else counts as clear:

- *a date in figures* that is two dates ("on 03/04"): in English alone, because Korean writes the month first;
- *two things with "or"* where something shall be done with one of them ("cancel BK-1 or BK-2");
- *a word that refers back* in the first message of a conversation ("cancel it", "그거 취소해 줘").
"""

from __future__ import annotations

import calendar
import re
from typing import Final

from state import Language, Reading

# "3/4" alone may be a share or a measure: a year, or a word before it, has to say that it is a date.
_FIGURES = re.compile(
    r"(?P<before>\b(?:on|by|from|until|till|to|before|after|since|between|and|arriving|leaving|starting)\s+)?"
    r"(?<![\d/.,-])(?P<words>(\d{1,2})/(\d{1,2})(?P<year>/(?:\d{4}|\d{2}))?)(?![\d/]|\s*(?:of\b|%))",
    re.IGNORECASE,
)
_OR = re.compile(
    r"(?<![\w-])([A-Z]{2,}-?\d[A-Za-z0-9-]*)(?:번|을|를)?(?:\s*(?:,|/)?\s*(?:or|또는|혹은|아니면)\s+|(?:이나|나)\s+)([A-Z]{2,}-?\d[A-Za-z0-9-]*)"
)
_BACK: Final[dict[Language, re.Pattern[str]]] = {
    "en": re.compile(
        r"^(?:(?:please|can you|could you|just)\s+)*(?:cancel|change|move|refund|delete|undo|confirm|resend)\s+"
        r"(it|that one|this one|them|the same one)\s*(?:please|now|again|then|for me)?[.!?]?$",
        re.IGNORECASE,
    ),
    "ko": re.compile(
        r"^((?:아까 )?(?:그거|그것|이거|이것|저거|저것))(?:을|를|도|좀)?\s+"
        r"(?:취소|변경|환불|삭제|바꿔|옮겨)\S*(?:\s+\S+){0,2}$"
    ),
}


def read(request: str, language: Language, *, first: bool) -> Reading:
    """The reading of a request; ``first``: nothing was said before it that a word could refer back to."""
    return (
        (_two_dates(request) if language == "en" else None)
        or _two_things(request)
        or (_nothing_said(request, language) if first else None)
        or Reading(grade="clear", words="", readings=[])
    )


def _two_dates(request: str) -> Reading | None:
    for found in _FIGURES.finditer(request):
        one, other = int(found[3]), int(found[4])
        if not (found["before"] or found["year"]):
            continue
        if 1 <= one <= 12 and 1 <= other <= 12 and one != other:
            names = calendar.month_name
            readings = [f"{one} {names[other]}", f"{other} {names[one]}"]
            return Reading(grade="ambiguous", words=found["words"], readings=readings)
    return None


def _two_things(request: str) -> Reading | None:
    found = _OR.search(request)
    if found is None or found[1] == found[2] or request.rstrip().endswith(("?", "？", "까", "나요", "죠")):
        return None  # "is BK-1 or BK-2 paid?" asks about both
    return Reading(grade="ambiguous", words=found[0], readings=[found[1], found[2]])


def _nothing_said(request: str, language: Language) -> Reading | None:
    found = _BACK[language].fullmatch(request.strip())
    return Reading(grade="ambiguous", words=found[1], readings=[]) if found else None
