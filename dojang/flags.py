"""What makes a review one to look at twice: the same words for lists, cards, commands and the API."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from state import Progress, Review

Flag = Literal["untrusted", "irreversible", "top_tier", "hard_rule", "claimed", "escalated", "late"]
FLAGS: Final[tuple[Flag, ...]] = get_args(Flag)
"""In the order in which they are told:

``untrusted``     some of the evidence does not come from the house
``irreversible``  what it is about cannot be undone
``top_tier``      of the tier that no single key or click approves
``hard_rule``     a rule asks for it that no file relaxes
``claimed``       somebody has it right now
``escalated``     half of its time is over
``late``          its time is over; the next look ends it
"""


def flags_of(review: Review, progress: Progress, now: datetime) -> list[Flag]:
    """The flags of a review, in the order of :data:`FLAGS`."""
    from state import TOP_TIER  # here, because the words of the flags are wanted where no graph is

    claim = progress["claim"]
    holds: dict[Flag, bool] = {
        "untrusted": any(passage["trust"] == "untrusted" for passage in review["evidence"]),
        "irreversible": bool(review["action"]["tool"]) and not review["action"]["reversible"],
        "top_tier": review["tier"] >= TOP_TIER,
        "hard_rule": any(why["hard"] and not why["rule_id"].startswith("built-in:") for why in review["why"]),
        "claimed": claim is not None and now < datetime.fromisoformat(claim["until"]),
        "escalated": bool(progress["escalated_at"]),
        "late": review["kind"] != "in_doubt" and now > datetime.fromisoformat(review["due_at"]),
    }
    return [flag for flag in FLAGS if holds[flag]]
