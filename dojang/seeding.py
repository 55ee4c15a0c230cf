"""Seeded checks: a card that is written, a check that is put between the reviews, whoever decided it told.

What a check is and why nothing of it runs, :mod:`dojang.checking` says; its files are :mod:`dojang.checks`'.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from checkpoints.wanted import Wanted
from dojang.checking import message_of
from dojang.checks import CHECK, RIGHTS, Card, Checked, Seeded, checked
from dojang.trying import Tried, tried
from nodes.door import good_name
from nodes.readings import read
from state import JSON, TOP_TIER, UserError, language_of, person_of

if TYPE_CHECKING:
    from dojang.workspace import Workspace

SEEDED: Final = "check.seeded"
CHANGED: Final = "checks.changed"
TEXT_MOST: Final = 2_000
"""Characters of what is asked for."""


class NoCheck(UserError):
    """This would be no check: nobody would be asked, or several people, or not about the call."""


@dataclass(frozen=True)
class Written:
    """What somebody wrote on a card."""

    text: str
    asked_by: str
    tool: str
    args: Mapping[str, JSON]
    right: Sequence[str]
    why: str


def fields_of(workspace: Workspace, written: Written, *, people: Sequence[str]) -> dict[str, Any]:
    """The fields of a card, looked at as the graph would; ``people``: names that are somebody's.

    Raises:
        NoCheck: naming what is amiss; nothing was written.
    """
    text, why, name = written.text.strip(), written.why.strip(), written.asked_by.strip()
    right = [kind for kind in RIGHTS if kind in written.right]
    language = language_of(text)
    if not text or len(text) > TEXT_MOST:
        raise NoCheck(f"write what is asked for, in at most {TEXT_MOST} characters")
    if not right or not why:
        raise NoCheck("say what the right answer is, and why: whoever decides is told afterwards")
    if not good_name(name) or person_of(name) in map(person_of, people):
        raise NoCheck(f"{name[:40]!a} is no name for whoever asks in a check: take one that is nobody's")
    if read(text, language, first=True)["grade"] != "clear":
        raise NoCheck("this request can be read in two ways: the agent would ask back instead of calling the tool")
    found = tried(
        workspace.parts.policy.guarding(), workspace.parts.describer(),
        Tried(written.tool, dict(written.args), requester=name), language,
    )  # fmt: skip
    verdict = found.verdict
    if found.notes:
        raise NoCheck(f"these arguments are none that the tool takes: {'; '.join(found.notes)}")
    if verdict["outcome"] != "ask":
        raise NoCheck(f"nobody would be asked about this call: the rules say {verdict['outcome']}")
    if verdict["tier"] >= TOP_TIER or verdict["votes"] > 1:
        raise NoCheck("this call would take the time of several people: a check is one that one person decides")
    args = workspace.parts.describer().check(written.tool, dict(written.args))["args"]
    return {"text": text, "asked_by": name, "tool": written.tool, "args": args, "right": right, "why": why}


def seed(workspace: Workspace, card: Card) -> Seeded:
    """Put a check between the reviews: noted, then begun.

    Raises:
        NoCheck: it asked nobody about its call: the rules are others by now. It stays known as a check.
    """
    parts = workspace.parts
    now = parts.clock.now().isoformat()
    seeded = Seeded(f"th_{secrets.token_hex(5)}", card, now)
    parts.checks.put(seeded)
    facts: dict[str, JSON] = {"card": card.id, "right": list(card.right), "tool": card.tool}
    parts.audit.note(None, SEEDED, card.by, seeded.thread_id, facts, {"text": card.text, "args": card.args})
    run = workspace.begin_program(CHECK, message_of(card), thread_id=seeded.thread_id)
    if not any(review["action"]["tool"] == card.tool for review in run.reviews):
        parts.checks.told(seeded.thread_id)
        raise NoCheck(f"card {card.id} asked nobody about {card.tool}: look at it again")
    return seeded


def seed_perhaps(workspace: Workspace) -> Seeded | None:
    """After a decision: perhaps a check, by chance, as the setting says."""
    card = workspace.parts.checks.drawn()
    return seed(workspace, card) if card is not None else None


def went(workspace: Workspace, seeded: Seeded) -> Checked | None:
    """How a check went so far."""
    found = workspace.parts.index.find(Wanted(thread_id=seeded.thread_id, status="any", sort="newest"), limit=20)
    return checked(seeded, reversed(found))


def untold(workspace: Workspace) -> list[Checked]:
    """Checks that this workspace's user decided and cannot take back any more, and was not told of; they are now."""
    files, found = workspace.parts.checks, []
    for seeded in files.waiting():
        workspace.parts.index.refresh(seeded.thread_id)
        one = went(workspace, seeded)
        if one is None or not one.final:
            continue
        mine = person_of(one.by) == person_of(workspace.user)
        if mine or one.result == "nobody":
            files.told(seeded.thread_id)
        if mine:
            found.append(one)
    return found
