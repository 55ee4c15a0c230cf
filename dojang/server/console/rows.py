"""A review as one entry of the list: two lines. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dojang.flags import flags_of
from dojang.server.console.addresses import review_href
from dojang.server.wording import Say, ago, countdown, titled
from dojang.times import left
from dojang.vocabulary import KINDS, SAID
from state import Progress, Review, untouched


@dataclass(frozen=True)
class Row:
    """One review in the list."""

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
    soon: bool  # half of its time is over
    requester: str
    untrusted: bool
    votes: str  # "1/2", where several people are wanted
    claimed: str  # by whom, right now
    from_whom: str  # who had it before and handed it over
    handed: str  # up to which role
    escalated: bool
    again: bool  # the same call was asked about before
    edited: bool  # because somebody edited it
    said: str  # how it was decided; "" while it is open
    said_by: str
    check: bool = False  # it was a seeded check, and that is no secret any more


def row_of(
    review: Review,
    say: Say,
    now: datetime,
    progress: Progress | None = None,
    *,
    query: str = "",
    edited: Collection[str] = (),
    check: bool = False,
) -> Row:
    """A review as one entry of the list that ``query`` says.

    ``edited``: ids of those that come from an edit. ``check``: whether its thread is a seeded check.
    """
    far = progress or untouched()
    flags, claim, handed, decision = flags_of(review, far, now), far["claim"], far.get("assigned"), far["decision"]
    letter, tone = {0: ("L", "low"), 1: ("M", "medium")}.get(review["tier"], ("H", "high"))
    due, late = countdown(say, review["due_at"], now)
    seconds = (datetime.fromisoformat(review["due_at"]) - now).total_seconds()
    if 0 < seconds < 3600:
        due = f"{int(seconds // 60):02}:{int(seconds % 60):02}"
    return Row(
        id=review["id"],
        href=review_href(review["id"], query),
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
        soon="escalated" in flags or now >= datetime.fromisoformat(review["escalate_at"]),
        requester=review.get("requester", ""),
        untrusted="untrusted" in flags,
        votes=f"{len(far['votes'])}/{review['votes_needed']}" if review["votes_needed"] > 1 else "",
        claimed=claim["by"] if claim is not None and "claimed" in flags else "",
        from_whom=claim.get("handed_by", "") if claim is not None and "claimed" in flags else "",
        handed=handed["role"] if handed else "",
        escalated="escalated" in flags,
        again="#" in review["subject"],
        edited=review["id"] in edited,
        said=titled(say, SAID, decision["type"]) if decision else "",
        said_by=decision["by"] if decision else "",
        check=check and far["released"],
    )
