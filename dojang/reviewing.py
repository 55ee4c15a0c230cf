"""Reviews in numbers: searched through the index, and decided many at a time.

A bulk decision is as many decisions through the same door as there are reviews, with the channel ``bulk``: it shows
that nobody looked at each for long, so it teaches no adapter (``adapters.dataset.mapping``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from dojang.flags import flags_of
from state import TOP_TIER, Decision, DojangError, Progress, Review, UserError

if TYPE_CHECKING:
    from checkpoints import Listed, Wanted
    from dojang.workspace import Workspace

BULK: Final = "bulk"
HIGH: Final = 2
"""From this tier on a review is of high risk: a list of its own, and a quick approval is worth a second look."""
MOST: Final = 200
"""Reviews that one bulk decision may name."""
Status = Literal["open", "claimed", "recorded", "decided", "expired"]


class NotInBulk(UserError):
    """These reviews are not decided together; nothing was recorded."""


def count(workspace: Workspace, wanted: Wanted) -> dict[str, int]:
    """How many reviews are as asked for, by kind."""
    workspace.parts.index.refresh()
    return workspace.parts.index.count(wanted)


def as_row(listed: Listed, now: datetime) -> dict[str, Any]:
    """A review of a list: with its status, its claim, its decision and what makes it one to look at twice."""
    review, progress = listed["review"], listed["progress"]
    status = status_of(progress, now)
    claim = progress["claim"] if status == "claimed" else None
    flags = flags_of(review, progress, now) if progress["decision"] is None else []
    return {**review, "status": status, "claim": claim, "decision": progress["decision"], "flags": flags}


def status_of(progress: Progress, now: datetime) -> Status:
    """How far a review has got, by its record alone."""
    decision, claim = progress["decision"], progress["claim"]
    if decision is None:
        return "claimed" if claim is not None and now < datetime.fromisoformat(claim["until"]) else "open"
    if decision["type"] == "expire":
        return "expired"
    return "decided" if progress["released"] else "recorded"


@dataclass(frozen=True)
class Item:
    """One review of many: its digest says which arguments somebody looked at."""

    id: str
    digest: str


@dataclass
class Bulk:
    """What became of many: the decisions that stand, and why the others do not."""

    decided: list[tuple[Decision, str]] = field(default_factory=list)  # and what the run could not do; "" else
    skipped: list[tuple[str, str]] = field(default_factory=list)  # id and why


def decide_many(workspace: Workspace, items: Sequence[Item], said: Mapping[str, str], *, role: str = "") -> Bulk:
    """Decide reviews of one tool and one tier, one after the other; what changed meanwhile is skipped, and told.

    Args:
        workspace: of whoever decides.
        items: which; each is decided only with the digest that it still has.
        said: ``type`` (approve or reject), and ``reason`` or ``message``.
        role: in which role, where the reviews want one.

    Raises:
        NotInBulk: they are of several tools or tiers, of the top tier, of none, want a reason, or are too many.
            Nothing was recorded.
    """
    made = Bulk()
    together = _checked(workspace, items, made)
    for item in together:
        _decide(workspace, item, said, role, made)
    return made


def _checked(workspace: Workspace, items: Sequence[Item], made: Bulk) -> list[Item]:
    """Those of the reviews that are there, once they are known to belong together."""
    if not items or len(items) > MOST:
        raise NotInBulk(f"name between 1 and {MOST} reviews, not {len(items)}; nothing was recorded")
    if len({item.id for item in items}) < len(items):
        raise NotInBulk("a review is named twice; nothing was recorded")
    known: list[tuple[Item, Review]] = []
    for item in items:
        try:
            known.append((item, workspace.review(item.id)))
        except DojangError as error:
            made.skipped.append((item.id, str(error)))
    sorts = {(review["action"]["tool"], review["tier"]) for _, review in known}
    if len(sorts) > 1:
        told = ", ".join(f"{tool or 'words'} (tier {tier})" for tool, tier in sorted(sorts))
        raise NotInBulk(f"only reviews of one tool and one tier are decided together, not {told}; nothing was recorded")
    for tool, tier in sorts:
        if tier >= TOP_TIER:
            raise NotInBulk(f"reviews of tier {tier} are decided one by one; nothing was recorded")
        if not tool:
            raise NotInBulk("only calls of a tool are decided together, not words; nothing was recorded")
    if any(review.get("wants_reason", False) for _, review in known):
        raise NotInBulk("reviews that are approved with a reason are decided one by one; nothing was recorded")
    return list(_as_seen(known, made))


def _as_seen(known: Sequence[tuple[Item, Review]], made: Bulk) -> Iterator[Item]:
    for item, review in known:
        if item.digest == review["digest"]:
            yield item
        else:
            made.skipped.append((item.id, "its digest is another one: it is not what you looked at"))


def _decide(workspace: Workspace, item: Item, said: Mapping[str, str], role: str, made: Bulk) -> None:
    try:
        result = workspace.decide(item.id, {**said, "digest": item.digest}, role=role, channel=BULK)
        made.decided.append((result.decision, ""))
    except DojangError as error:  # one that fails must not hold back the others, nor hide what is recorded
        with suppress(DojangError):
            stands = workspace.own_decision(item.id)
            if stands is not None and stands["type"] == said["type"] and stands["channel"] == BULK:
                made.decided.append((stands, str(error)))
                return
        made.skipped.append((item.id, str(error)))
