"""A review as one entry of the list. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dojang.flags import flags_of
from dojang.server.console.addresses import review_href
from dojang.server.wording import Say, ago, countdown, titled
from dojang.times import left
from dojang.vocabulary import KINDS
from state import Progress, Review, untouched


@dataclass(frozen=True)
class Row:
    """One open review in the list."""

    id: str
    href: str
    kind: str
    kind_label: str
    summary: str
    tool: str
    letter: str
    tone: str
    age: str
    due: str
    due_at: str
    left: str  # until then, in words
    late: bool
    untrusted: bool
    votes: str  # "1/2", where several people are wanted
    claimed: str  # by whom, right now
    escalated: bool


def row_of(review: Review, say: Say, now: datetime, progress: Progress | None = None) -> Row:
    """A review as one line of the list."""
    far = progress or untouched()
    flags, claim = flags_of(review, far, now), far["claim"]
    letter, tone = {0: ("L", "low"), 1: ("M", "medium")}.get(review["tier"], ("H", "high"))
    due, late = countdown(say, review["due_at"], now)
    return Row(
        id=review["id"],
        href=review_href(review["id"]),
        kind=review["kind"],
        kind_label=titled(say, KINDS, review["kind"]),
        summary=review["question"] or review["summary"],
        tool=review["action"]["tool"],
        letter=letter,
        tone=tone,
        age=ago(say, review["created_at"], now),
        due=due,
        due_at=review["due_at"],
        left=left(review["due_at"], now, say.language),
        late=late,
        untrusted="untrusted" in flags,
        votes=f"{len(far['votes'])}/{review['votes_needed']}" if review["votes_needed"] > 1 else "",
        claimed=claim["by"] if claim is not None and "claimed" in flags else "",
        escalated="escalated" in flags,
    )
