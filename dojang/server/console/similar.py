"""What was decided before about the same: plain counting over the index, no model.

The same tool, the newest decisions of it; of those the ones that share most argument values with this call. Where no
tool is called there is nothing to compare, and nothing is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from checkpoints.index import Listed
from dojang.server.console.addresses import review_href
from dojang.server.console.stamp import reason_of
from dojang.server.wording import Say, titled
from dojang.vocabulary import SAID
from state import Review

LOOKED_AT: Final = 200
SHOWN: Final = 4


@dataclass(frozen=True)
class Past:
    """One decision on a call of the same tool."""

    href: str
    summary: str
    said: str
    who: str
    at: str
    why: str
    shared: list[str]  # arguments with the very same value


@dataclass(frozen=True)
class Similar:
    """``counted``: (how decided, how often), most often first; ``total`` of them were looked at."""

    total: int
    counted: list[tuple[str, int]]
    nearest: list[Past]


def similar_to(review: Review, before: Sequence[Listed], say: Say) -> Similar | None:
    """Past decisions on calls of the same tool; ``before`` newest first. None where there are none."""
    others = [one for one in before if one["review"]["id"] != review["id"] and one["progress"]["decision"] is not None]
    if not others or not review["action"]["tool"]:
        return None
    ranked = sorted(others, key=lambda one: -len(_shared(review, one["review"])))  # stable: the newest of equals first
    counted = Counter(one["progress"]["decision"]["type"] for one in others if one["progress"]["decision"] is not None)
    return Similar(
        total=len(others),
        counted=[(titled(say, SAID, said), n) for said, n in counted.most_common()],
        nearest=[_past(review, one, say) for one in ranked[:SHOWN]],
    )


def _shared(review: Review, other: Review) -> list[str]:
    theirs = other["action"]["args"]
    return [name for name, value in review["action"]["args"].items() if name in theirs and theirs[name] == value]


def _past(review: Review, one: Listed, say: Say) -> Past:
    decision = one["progress"]["decision"]
    assert decision is not None
    return Past(
        href=review_href(one["review"]["id"]),
        summary=one["review"]["summary"],
        said=titled(say, SAID, decision["type"]),
        who=decision["by"],
        at=decision["at"],
        why=reason_of(decision, say),
        shared=_shared(review, one["review"]),
    )
