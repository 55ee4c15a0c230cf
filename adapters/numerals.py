"""Which numbers a text says: digits, Korean amounts and number words, each whole and with the place where it stands.

A part of a number is another number. So 12만5000 is 125000 and neither 12 nor 5000, 50.50 holds no 50 and BK-2041 no
2041; what is written like one number and cannot be read is none at all, and whoever needs it has to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

LARGEST: Final = 2**53 - 1  # beyond it JSON numbers are not exact
LONGEST: Final = 19  # signs of digits with their marks

CODE: Final = re.compile(r"[A-Za-z0-9]+(?:[@._+-]+[A-Za-z0-9]+)+|[A-Za-z]+\d\w*", re.ASCII)
"""An address, a number with its prefix, a name with a hyphen: one word, copied or read whole or not at all."""
_NO_CODE: Final = re.compile(
    r"\D+|\d+(?:\.\d+)?\.[a-z]{2,}|\d+\.\d+[a-z]*|\d+(?:-[a-z]{3,})+|(?:krw|usd|eur)\d+(?:\.\d+)?", re.IGNORECASE
)
"""Written like a code and none: twenty-one, "50.Thanks", 12.50won, 2-night, KRW50000."""
_PHONE: Final = re.compile(r"(?<![\d.,])(?:\+\d{1,3}[ -]?\d{1,2}|0\d{1,2})[ -]\d{3,4}[ -]\d{4}(?!\d)")

_FIGURES: Final = r"\d+(?:[.,]\d+)*"
_DIGITS: Final = re.compile(_FIGURES)
_WRITTEN: Final = re.compile(
    r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.(?!000$)\d+)?"
)  # 50.000 is 50 to one and 50,000 to another
_POINT_BEFORE: Final = re.compile(r"(?:^|[^\w.])\.$")
_OTHER: Final = re.compile(r"(?:k|m|mn|mil|bn|b)\b|[½¼¾⅓⅔]|\s+and\s+(?:a\s+)?half\b", re.IGNORECASE)
"""What makes another number of the one before it: 20k, 2½, 2 and a half."""

_SMALL: Final = {"천": 1_000, "백": 100, "십": 10}
_BIG: Final = {"조": 10**12, "억": 10**8, "만": 10**4}
_SINO: Final = {sign: Decimal(number) for number, sign in enumerate("일이삼사오육칠팔구", 1)}
_APART: Final = r"(?![가-힣])|(?=원|명|분|인|개|건|점|장|달러|을|를|은|는|이|가|으로|만|도|에|까|쯤|정도|씩|짜리)"
"""Where a word of units ends that is said apart: "3 천원" is an amount, "3 천안" a number and a town."""
_UNITS: Final = re.compile(rf"(?:[억만천백십]+|조(?=\s?원|\s?\d[\d,]*[천백십]*[억만]))|\s(?:[억만천백십]+)(?:{_APART})")
_SPOKEN: Final = r"(?:[일이삼사오육칠팔구]?[억만천백십])+(?:[일이삼사오육칠팔구](?=\s?(?:원|명|개|건)))?"
_GLUED: Final = re.compile(_SPOKEN)
_LOOSE: Final = re.compile(rf"\s{_SPOKEN}(?:{_APART})")
_NEXT: Final = re.compile(rf"(\s?)({_FIGURES})")
_WON: Final = re.compile(r"\s?(?:원|won\b|krw\b)", re.IGNORECASE)
_LETTER: Final = re.compile(r"[가-힣A-Za-z]")

_PARTICLE: Final = "(?:을|은|이|만|의|에|도|요|으로|까지|정도|쯤|짜리|어치|씩|부터|밖에|보다|이에요|입니다|이요|이고)"
_COUNTED: Final = rf"\s?(?:원|명|개|건|장|대|권|인분){_PARTICLE}?{_PARTICLE}?(?![가-힣])"
_WORDS: Final = rf"{_SPOKEN}[일이삼사오육칠팔구]?"
_WORDED: Final = re.compile(rf"(?<![가-힣\w.,])(?<!\d\s)(?P<amount>{_WORDS}(?:\s{_WORDS}){{0,4}})(?={_COUNTED})")
"""A number all in words: 십만 원, 삼만 오천원, 이십 명. Without what is counted 이만 means "enough", 이천 is a town."""

_NATIVE: Final = {
    word: number
    for number, words in enumerate(
        ("한 하나 혼자", "두 둘", "세 셋", "네 넷", "다섯", "여섯", "일곱", "여덟", "아홉"), 1
    )
    for word in words.split()
}
_TENS: Final = {
    **{word: 10 * number for number, word in enumerate("열 스물 서른 마흔 쉰 예순 일흔 여든 아흔".split(), 1)},
    "스무": 20,
}
_KOREAN: Final = re.compile(
    rf"(?<![가-힣])(?:(?:(?P<tens>{'|'.join(_TENS)})\s?)?(?P<ones>{'|'.join(_NATIVE)})(?=\s|명|분|사람|이서|이|$)"
    rf"|(?P<round>{'|'.join(_TENS)})(?=\s?(?:명|분|사람)))"
)

_ENGLISH: Final = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
} | {
    word: 10 * number for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES: Final = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9}
_SCALE: Final = rf"(?:{'|'.join(_SCALES)})s?\b"
_WORD: Final = rf"(?:{'|'.join(sorted(_ENGLISH, key=len, reverse=True))})\b|{_SCALE}|{_FIGURES}(?=\s?{_SCALE})"
_AND: Final = r"(?:(?<=hundred)|(?<=thousand)|(?<=million))\s+and\s+"
_RUN: Final = re.compile(
    rf"(?:\b(?<!half )a\s+(?={_SCALE})|(?<![\w.,])(?!{_SCALE}))(?:{_WORD})(?:(?:[\s-]+|{_AND}|(?<=\d))(?:{_WORD}))*",
    re.IGNORECASE,
)
_PIECE: Final = re.compile(rf"{_FIGURES}|[a-z]+", re.IGNORECASE)
_SHARE: Final = re.compile(
    r"[\s-]+(?:and\s+)?(?:a\s+)?(?:half|halves|thirds?|quarters?|fifths?)\b|\s+point\s", re.IGNORECASE
)
_SOME: Final = re.compile(
    rf"\b(?:(?P<two>a couple of(?!\s+{_SCALE})|both)|a(?!\s+(?:couple|half|{_SCALE}))|single)\b", re.IGNORECASE
)


class Number(NamedTuple):
    """A number and where it stands; None for what is written like one and cannot be read."""

    at: int
    end: int
    value: int | float | None


def numbers_in(text: str) -> list[Number]:
    """The numbers that ``text`` says, in order; none is a part of another one, or of a code."""
    taken = bytearray(len(text))
    for pattern in (CODE, _PHONE):
        for code in pattern.finditer(text):
            if pattern is _PHONE or not _NO_CODE.fullmatch(code.group()):
                taken[code.start() : code.end()] = b"x" * len(code.group())
    found: list[Number] = []
    for read in (_english, _digits, _korean):
        for number in read(text):
            if not any(taken[number.at : number.end]):
                found.append(number)
                taken[number.at : number.end] = b"x" * (number.end - number.at)
    found += [Number(*some.span(), 2 if some["two"] else 1) for some in _SOME.finditer(text)]
    return sorted((number for number in found if number.value is not None), key=lambda number: number[:2])


def _plain(value: Decimal | None) -> int | float | None:
    if value is None or value > LARGEST:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _written(figures: str) -> Decimal | None:
    """Digits as one number; None where their marks make none (1,2500 or 192.168.0.1)."""
    return Decimal(figures.replace(",", "")) if len(figures) <= LONGEST and _WRITTEN.fullmatch(figures) else None


# --------------------------------------------------------------------------------------------- digits, with 만 and 천


def _digits(text: str) -> Iterator[Number]:
    at = 0
    while found := _DIGITS.search(text, at):
        begun, at = found.span()
        parts: list[Decimal | str | None] = [_written(found.group())]
        if units := _UNITS.match(text, at):
            parts, at = [*parts, *units.group().strip()], units.end()
            while more := _more(text, at, parts):
                parts, at = [*parts, *more[0]], more[1]
        broken = _OTHER.match(text, at) or _POINT_BEFORE.search(text[max(begun - 2, 0) : begun])
        yield Number(begun, at, None if broken else _plain(_sum(parts)))


def _more(text: str, at: int, parts: Sequence[Decimal | str | None]) -> tuple[list[Decimal | str | None], int] | None:
    """What goes on with an amount behind its units, and where that ends: the 2천5백 of "3만 2천5백원"."""
    more: list[Decimal | str | None]
    if found := _NEXT.match(text, at):
        apart, end = bool(found[1]), found.end()
        more = [_written(found[2])]
        if units := _UNITS.match(text, end):
            more, end = [*more, *units.group().strip()], units.end()
        elif apart and not _WON.match(text, end) and (len(found[2]) < 3 or _LETTER.match(text, end)):
            return None  # "10만 2명"
    elif found := _GLUED.match(text, at) or _LOOSE.match(text, at):
        apart, end = found.group()[0].isspace(), found.end()
        more = [_SINO.get(sign, sign) for sign in found.group().strip()]
        if apart and not _WON.match(text, end) and _sum([*parts, *more]) is not None:
            return [None], end  # "3만 이천 호텔": an amount, or a town
    else:
        return None
    return None if apart and _sum([*parts, *more]) is None else (more, end)


def _sum(parts: Sequence[Decimal | str | None]) -> Decimal | None:
    """The amount of digits and units in turn, None where they make none: a unit is followed by smaller ones."""
    total = section = Decimal(0)
    number: Decimal | None = None
    least = largest = Decimal(10**16)
    for part in parts:
        if part is None or (number is not None and not isinstance(part, str)):
            return None
        if not isinstance(part, str):
            number = part
        elif part in _SMALL:
            counted = (1 if number is None else number) * _SMALL[part]
            if counted >= least:
                return None
            section, number, least = section + counted, None, Decimal(_SMALL[part])
        else:
            section += number or 0
            if (number or 0) >= least or not 0 < section * _BIG[part] < largest:
                return None
            total, section, number, least = total + section * _BIG[part], Decimal(0), None, Decimal(_BIG[part])
            largest = least
    return None if (number or 0) >= least else total + section + (number or 0)


# ------------------------------------------------------------------------------------------------------- number words


def _korean(text: str) -> Iterator[Number]:
    for found in _WORDED.finditer(text):
        signs = [_SINO.get(sign, sign) for sign in found["amount"] if not sign.isspace()]
        yield Number(*found.span(), _plain(_sum([Decimal(1), *signs] if signs[0] == "만" else signs)))
    for found in _KOREAN.finditer(text):
        value = _TENS.get(found["tens"] or found["round"], 0) + _NATIVE.get(found["ones"], 0)
        yield Number(*found.span(), value)


def _english(text: str) -> Iterator[Number]:
    for found in _RUN.finditer(text):
        pieces = _PIECE.findall(found.group())
        value, share = _plain(_counted(pieces)), _SHARE.match(text, found.end())
        if value is None and not share and all(0 < _ENGLISH.get(piece.lower(), 0) < 10 for piece in pieces):
            for one in _PIECE.finditer(text, *found.span()):  # "for two two rooms"
                yield Number(*one.span(), _ENGLISH[one.group().lower()])
        else:
            yield Number(*found.span(), None if share else value)


def _counted(pieces: Sequence[str]) -> Decimal | None:
    """The number of English words, None where they make none, or more than one ("two three")."""
    total = counted = Decimal(0)
    largest = 10**12
    for place, piece in enumerate(pieces):
        word = piece.lower()
        scale = _SCALES.get(word, 0) or _SCALES.get(word.removesuffix("s"), 0)
        if word in ("a", "and"):
            counted = Decimal(1) if word == "a" else counted
        elif scale and (not counted or scale >= largest or (scale < 1_000 and counted >= 100)):
            return None
        elif scale >= 1_000:
            total, counted, largest = total + counted * scale, Decimal(0), scale
        elif scale:
            counted *= scale
        elif word in _ENGLISH:
            number = _ENGLISH[word]
            free = counted % 100 == 0 or (number < 10 and counted % 100 >= 20 and counted % 10 == 0)
            if not (number and free):
                return None
            counted += number
        else:
            figures = _written(piece)
            if figures is None or counted or (place and not total):
                return None
            counted = figures
    return total + counted


__all__ = ["CODE", "Number", "numbers_in"]
