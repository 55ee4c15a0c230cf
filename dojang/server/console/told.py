"""What is said of a seeded check once it is over. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dojang.checks import Checked
from dojang.server.console.addresses import review_href
from dojang.server.wording import Say, titled
from dojang.vocabulary import SAID


@dataclass(frozen=True)
class Told:
    """A check that is over."""

    href: str
    summary: str
    seen: bool
    said: str  # how it was decided
    right: str  # how it should have been
    why: str
    by: str  # "" where nobody decided it in time


def told_of(one: Checked, say: Say) -> Told:
    """A check in words."""
    card = one.seeded.card
    return Told(
        href=review_href(one.review_id),
        summary=one.summary,
        seen=one.result == "seen",
        said=titled(say, SAID, one.said),
        right=rights(card.right, say),
        why=card.why,
        by=one.by,
    )


def rights(right: Sequence[str], say: Say) -> str:
    """The right answers in words."""
    return ", ".join(say(SAID[kind]).unescape() for kind in right if kind in SAID)
