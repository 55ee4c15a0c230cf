"""Times as people read them: this machine's time zone, to the minute, in the reader's manner.

Records, JSON and the HTTP API keep ISO 8601 in UTC; only what a person reads goes through here.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from state import Language

PATTERNS: Final[dict[Language, str]] = {"en": "d MMM y, HH:mm", "ko": "y년 M월 d일 HH:mm"}
TO_THE_SECOND: Final[dict[Language, str]] = {"en": "d MMM y, HH:mm:ss", "ko": "y년 M월 d일 HH:mm:ss"}
UNITS: Final[tuple[tuple[int, int, Literal["day", "hour", "minute"]], ...]] = (
    (172_800, 86_400, "day"),
    (3600, 3600, "hour"),
    (60, 60, "minute"),
)
"""(seconds from which on the unit is used, its length in seconds, its name): 47 hours, then 2 days."""
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
"""A time of a record, with seconds and a zone. An example in a hint (``2026-11-22T09:00``) is none."""


def moment(at: str, language: Language, *, seconds: bool = False) -> str:
    """An ISO 8601 time on this machine's clock: 26 Nov 2026, 16:25; 2026년 11월 26일 16:25. Other text as it is.

    ``seconds``: for waits of a few seconds, and for rows that happened within one minute.
    """
    try:
        read = datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):
        return at
    from babel.dates import format_datetime  # it looks at 600 files of time zones when it is imported

    pattern = (TO_THE_SECOND if seconds else PATTERNS)[language]
    return str(format_datetime(read, pattern, tzinfo=read.tzinfo, locale=language))


def moments(text: str, language: Language) -> str:
    """The text with every time of a record in it told as :func:`moment` does."""
    return _MOMENT.sub(lambda found: moment(found[0], language), text)


def left(until: str, now: datetime, language: Language) -> str:
    """How long until an ISO 8601 time, in its largest unit: in 23 hours, 23시간 남음; 2 hours late, 2시간 지남."""
    try:
        seconds = (datetime.fromisoformat(until) - now).total_seconds()
    except ValueError:
        return ""
    from babel.dates import format_timedelta

    whole = int(abs(seconds))
    for least, length, unit in UNITS:
        if whole >= least:
            span = format_timedelta(timedelta(seconds=whole // length * length), unit, threshold=10**9, locale=language)
            break
    else:
        span = format_timedelta(timedelta(seconds=whole), "second", threshold=10**9, locale=language)
    if language == "ko":
        return f"{span} 남음" if seconds >= 0 else f"{span} 지남"
    return f"in {span}" if seconds >= 0 else f"{span} late"


def due(until: str, now: datetime, language: Language) -> str:
    """A deadline and how long is left: 26 Nov 2026, 16:25 (in 23 hours)."""
    rest = left(until, now, language)
    return f"{moment(until, language)} ({rest})" if rest else moment(until, language)
