"""The seal on a decided item: who decided what, when and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dojang.server.clean import clean
from dojang.server.wording import CHIPS, MARKS, Say, label, titled
from dojang.vocabulary import SAID
from state import Decision


@dataclass(frozen=True)
class Stamp:
    """The seal on a decided item."""

    word: str  # as it stands in a sentence
    mark: str  # as it is cut into the seal
    who: str
    who_short: str
    at: str
    day: str  # 2026.11.26
    type: str
    reason: str
    message: str


def stamp_of(decision: Decision, say: Say) -> Stamp:
    """The seal of a decision."""
    who = clean(decision["by"])
    return Stamp(
        word=titled(say, SAID, decision["type"]),
        mark=label(say, MARKS, decision["type"]),
        who=who,
        who_short=who if len(who) <= 9 else who[:8] + "…",
        at=say.moment(decision["at"]),
        day=f"{datetime.fromisoformat(decision['at']).astimezone():%Y.%m.%d}",
        type=decision["type"],
        reason=reason_of(decision, say),
        message=decision["message"],
    )


def reason_of(decision: Decision, say: Say) -> str:
    """Why it was decided so; the ready-made reasons of the page in the reader's language."""
    chip, colon, note = decision["reason"].partition(": ")
    return f"{label(say, CHIPS, chip)}{colon}{note}"
