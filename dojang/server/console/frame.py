"""The left pane: the views of the inbox with their counts, then the other places of the console.

A new place is one line in :data:`PLACES`, and a route, a row in ``access/table.py``, a template and Korean words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dojang.server.access.roles import CURATE, DECIDE, OVERSEE, SEE, Allowed
from dojang.server.console.filters import VIEWS, Chosen, Person, View
from dojang.server.wording import Say, titled
from dojang.vocabulary import KINDS, N_

if TYPE_CHECKING:
    from datetime import datetime

    from checkpoints import ThreadIndex

FIRST: Final[tuple[View, ...]] = ("mine", "unassigned", "soon", "high", "")
LAST: Final[tuple[View, ...]] = ("later", "done")
"""The views above the kinds, and those below."""
URGENT: Final = ("soon",)


@dataclass(frozen=True)
class Entry:
    """One line of the pane."""

    href: str
    label: str
    current: bool
    count: str = ""  # "" where nothing is counted
    urgent: bool = False
    key: str = ""  # by which live updates find its count


@dataclass(frozen=True)
class Group:
    """Lines under one heading."""

    title: str
    entries: list[Entry]


@dataclass(frozen=True)
class Place:
    """A part of the console beside the inbox. ``section`` is what its pages give to ``Desk.page``."""

    section: str
    href: str
    label: str
    allowed: Allowed = SEE


PLACES: Final[tuple[Place, ...]] = (
    Place("threads", "/threads", N_("Threads")),
    Place("documents", "/documents", N_("Documents")),
    Place("adapters", "/adapters", N_("Adapters"), CURATE),
    Place("audit", "/audit", N_("Audit"), OVERSEE),
    Place("shift", "/shift", N_("Shift"), DECIDE),
    Place("docs", "/docs", N_("API")),
)


def counts_of(index: ThreadIndex, person: Person, now: datetime) -> dict[str, int]:
    """How much each view and each kind (``kind-<kind>``) has for this person, from the index as it stands."""
    found: dict[str, int] = {}
    for view in (*FIRST, "later"):
        by_kind = index.count(Chosen(view=view).wanted(person, now))
        found[view] = sum(by_kind.values())
        if not view:
            found |= {f"kind-{kind}": n for kind, n in by_kind.items()}
    return found


def frame_of(
    say: Say,
    counts: Mapping[str, int] | None,
    section: str,
    chosen: Chosen,
    may: Callable[[Allowed], bool] = lambda allowed: True,
) -> list[Group]:
    """The pane for one page. ``counts``: of :func:`counts_of`; None where nothing can be counted.

    ``may``: whether this person has one of some roles.
    """
    known = counts or {}
    here = section == "inbox"
    views = {view: _view(say, known, view, here and chosen.view == view and not chosen.kind) for view in VIEWS}
    kinds = [
        Entry(
            href=Chosen(kind=kind).href(),
            label=titled(say, KINDS, kind),
            current=here and chosen.kind == kind,
            count=str(known.get(f"kind-{kind}", 0)) if counts is not None else "",
            key=f"kind-{kind}",
        )
        for kind in KINDS
    ]
    places = [Entry(p.href, say(p.label).unescape(), section == p.section) for p in PLACES if may(p.allowed)]
    return [
        Group(say("Inbox").unescape(), [views[view] for view in FIRST]),
        Group(say("Kinds").unescape(), [*kinds, *(views[view] for view in LAST)]),
        Group(say("Workplace").unescape(), places),
    ]


def _view(say: Say, known: Mapping[str, int], view: View, current: bool) -> Entry:
    return Entry(
        href=Chosen(view=view).href(),
        label=say(VIEWS[view]).unescape(),
        current=current,
        count=str(known[view]) if view in known else "",
        urgent=view in URGENT and bool(known.get(view)),
        key=f"view-{view or 'all'}",
    )
