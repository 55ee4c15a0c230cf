"""Dates, money and names in sentences, in Korean and English. Pure; the sentences themselves stand with their tools."""

from __future__ import annotations

import unicodedata
from datetime import date

from babel.dates import format_date

from state import JSON, Language

LONGEST_SHOWN = 400
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # includes the signs that turn the direction of writing
_ENDS_IN_CONSONANT = "013678"  # digits as they are read: 영 일 삼 육 칠 팔


def shown(value: JSON) -> JSON:
    """A value as a sentence may show it: one line, nothing that hides or reorders text, long text cut and counted."""
    if not isinstance(value, str):
        return value
    clean = " ".join("".join(" " if unicodedata.category(c) in _HIDDEN else c for c in value).split())
    return clean if len(clean) <= LONGEST_SHOWN else f"{clean[:LONGEST_SHOWN]}… ({len(clean)})"


def wordless(name: str, language: Language) -> str:
    """What is said of a tool that ran and told nothing: whoever reads on must see that it has run."""
    return f"{name} 도구가 아무 말 없이 끝났습니다." if language == "ko" else f"{name} ended without a word."


def day(value: JSON, language: Language) -> str:
    """3 December 2026, 2026년 12월 3일; what is no ISO date is shown as it is."""
    read = _read(value)
    if read is None:
        return str(value if value is not None else "?")
    return str(format_date(read, "d MMMM y" if language == "en" else "y년 M월 d일", locale=language))


def stay(check_in: JSON, check_out: JSON, language: Language) -> str:
    """3–5 December 2026; 2026년 12월 3일~5일."""
    first, last = _read(check_in), _read(check_out)
    if first is None or last is None:
        return f"{day(check_in, language)} – {day(check_out, language)}"
    if language == "ko":
        end = "d일" if (first.year, first.month) == (last.year, last.month) else "M월 d일"
        end = end if first.year == last.year else "y년 M월 d일"
        return f"{day(check_in, 'ko')}~{format_date(last, end, locale='ko')}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(check_out, 'en')}"
    start = format_date(first, "d MMMM" if first.year == last.year else "d MMMM y", locale="en")
    return f"{start} – {day(check_out, 'en')}"


def won(amount: JSON, language: Language) -> str:
    """KRW 180,000; 180,000원."""
    number = f"{amount:,}" if isinstance(amount, int) else str(amount)
    return f"{number}원" if language == "ko" else f"KRW {number}"


def counted(number: JSON, noun: str) -> str:
    """1 guest, 2 guests."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def particle(word: JSON, after_consonant: str, after_vowel: str) -> str:
    """The word with the particle its last sound asks for: 남산스테이를, BK-2041을."""
    text = str(word)
    last = text.rstrip(" )”’'\"")[-1:]
    if "가" <= last <= "힣":
        closed = (ord(last) - ord("가")) % 28 != 0
    elif last.isdigit():
        closed = last in _ENDS_IN_CONSONANT
    else:
        return f"{text}{after_consonant}({after_vowel})"
    return text + (after_consonant if closed else after_vowel)


def _read(value: JSON) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
