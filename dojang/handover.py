"""A shift that is handed over: whose turn it is goes to a colleague, and what they have to know is kept.

Each claim moves by compare-and-set in the log of its conversation. The handover itself, and that it was taken over, are
records of the home's chain and nothing else: what is shown of them is read back from there, so the note that goes with
one cannot be erased afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from checkpoints.wanted import Wanted
from nodes.door import NAME_MAX, NotEntitled, good_name
from state import Conflict, UserError, person_of

if TYPE_CHECKING:
    from dojang.reviews import Reviews
    from dojang.workspace import Workspace
    from state import Review

HANDED: Final = "shift.handed_over"
TAKEN: Final = "shift.taken_over"
LONGEST: Final = 1_000
"""Characters of a note."""
PAGE: Final = 500


@dataclass(frozen=True)
class Handover:
    """Who handed over to whom, when (ISO 8601, UTC). ``taken_at``: when the receiver said that they have it; "" so far.

    ``reviews`` moved with it. At that moment ``open`` waited in the whole home, of which ``overdue`` should have been
    decided and ``handed_up`` were for a role; ``standing`` are approvals in advance that the giver gave and that still
    held: the receiver looks whether they should.
    """

    id: str
    by: str
    to: str
    at: str
    note: str
    reviews: list[str]
    open: int
    overdue: int
    handed_up: int
    standing: list[str]
    taken_at: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def hand_over(workspace: Workspace, to: str, note: str = "") -> tuple[Handover, list[tuple[str, str]]]:
    """Hand all reviews that this workspace's user has claimed over to a colleague, and keep a record of it.

    A claim that ended or was lost in the same moment stays where it is.

    Returns:
        The handover; and the reviews that did not move, each with why.

    Raises:
        UserError: no name, one's own, or too long a note. NotEntitled: they have no say in reviews.
    """
    me, to, note = workspace.user, to.strip(), note.replace("\r\n", "\n").strip()
    _check(workspace, to, note)
    now = workspace.parts.clock.now()
    moved, left = [], []
    for review in claimed(workspace):
        try:
            workspace.parts.decisions.hand_over(review["thread_id"], review["id"], me, to, now)
        except Conflict as lost:
            left.append((review["id"], str(lost)))
        else:
            moved.append(review)
    index = workspace.parts.index
    index.refresh()
    facts: dict[str, Any] = {
        "to": to, "note": note, "reviews": [review["id"] for review in moved],
        "open": sum(index.count(Wanted()).values()),
        "overdue": sum(index.count(Wanted(due_before=now.isoformat())).values()),
        "handed_up": sum(index.count(Wanted(roles=tuple(workspace.roles_above()))).values()),
        "standing": [
            one.id
            for one in workspace.parts.standing.all()
            if one.status(now) == "active" and person_of(one.by) == person_of(me)
        ],
    }  # fmt: skip
    made = f"ho_{secrets.token_hex(4)}"
    workspace.parts.audit.note(None, HANDED, me, made, facts)
    for review in moved:
        _tell(workspace, review, made, to)
    workspace.parts.notice.send()
    return Handover(id=made, by=me, at=now.isoformat(), **facts), left


def claimed(workspace: Reviews) -> list[Review]:
    """The open reviews that this workspace's user has claimed right now."""
    index, found = workspace.parts.index, []
    index.refresh()
    wanted, after = Wanted(assignee=workspace.user, now=workspace.parts.clock.now().isoformat()), None
    while page := index.find(wanted, limit=PAGE, after=after):
        found += [one["review"] for one in page]
        after = page[-1]["key"]
    return found


def take_over(workspace: Workspace, handover_id: str) -> Handover:
    """Say that one has taken over what was handed over to one.

    Raises:
        UserError: there is no such handover. NotEntitled: it is somebody else's. Conflict: it was said before.
    """
    found = next((one for one in handovers(workspace) if one.id == handover_id), None)
    if found is None:
        raise UserError(f"there is no handover {handover_id!r}; `dojang shift list` shows those that there are")
    if person_of(found.to) != person_of(workspace.user):
        raise NotEntitled(f"{found.by} handed over to {found.to}, not to {workspace.user}; nothing was recorded")
    facts: dict[str, Any] = {"from": found.by}
    if not workspace.parts.audit.note(None, TAKEN, workspace.user, handover_id, facts, once=True):
        raise Conflict(f"{found.to} has taken over {handover_id} already, at {found.taken_at}")
    return next(one for one in handovers(workspace) if one.id == handover_id)


def handovers(workspace: Reviews, *, since: datetime | None = None, of: str | None = None) -> list[Handover]:
    """Those since a moment, newest first. ``of``: only those by or to this person."""
    return [
        one
        for one in reversed(list(_read(workspace)))
        if (since is None or datetime.fromisoformat(one.at) >= since)
        and (of is None or person_of(of) in (person_of(one.by), person_of(one.to)))
    ]


def _read(workspace: Reviews) -> Iterator[Handover]:
    records = workspace.parts.audit.records(None)
    taken = {record["subject"]: record["at"] for record in records if record["event"] == TAKEN}
    for record in records:
        if record["event"] == HANDED:
            facts: dict[str, Any] = dict(record["facts"])
            one = record["subject"]
            yield Handover(id=one, by=record["actor"], at=record["at"], taken_at=taken.get(one, ""), **facts)


def _check(workspace: Workspace, to: str, note: str) -> None:
    if not workspace.decides:
        raise NotEntitled(f"{workspace.user} has no role that decides reviews; nothing was handed over")
    if not good_name(to):
        raise UserError(
            f"{to[:40]!a} is no name for a person: write it in the letters of one alphabet, without hidden signs, in "
            f"at most {NAME_MAX} characters"
        )
    if person_of(to) == person_of(workspace.user):
        raise UserError("a shift is handed over to somebody else; nothing was handed over")
    if len(note) > LONGEST:
        raise UserError(f"the note has {len(note)} characters; write at most {LONGEST}")


def _tell(workspace: Workspace, review: Review, handover_id: str, to: str) -> None:
    """The hook hears of each review that somebody has now."""
    facts: dict[str, Any] = {
        "review_id": review["id"], "summary": review["summary"], "by": workspace.user, "to": to,
        "handover": handover_id,
    }  # fmt: skip
    key = f"{review['id']}:handed:{handover_id}"
    workspace.parts.notice.put(review["thread_id"], key, "review.handed_over", facts)
