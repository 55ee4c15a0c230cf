"""To what a list is narrowed, as its address says it. Pure.

The query of the page is the whole of it: ``?view=mine&kind=tool&q=tool:issue_refund risk:high seoul``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from urllib.parse import urlencode

from checkpoints.wanted import Key, Wanted
from dojang.reviewing import HIGH
from dojang.vocabulary import KINDS, N_
from state import Kind

View = Literal["", "mine", "unassigned", "soon", "high", "later", "done"]
VIEWS: Final[dict[View, str]] = {
    "mine": N_("Mine"),
    "unassigned": N_("Unassigned"),
    "soon": N_("Due soon"),
    "high": N_("High risk"),
    "": N_("All open"),
    "later": N_("Put off"),
    "done": N_("Done"),
}
SOON: Final = timedelta(hours=1)
RISKS: Final = ("low", "medium", "high")
"""What follows ``risk:`` in the search box."""


@dataclass(frozen=True)
class Person:
    """Whose list it is. ``later``: ids of what they put off."""

    name: str
    roles: tuple[str, ...]
    later: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """What the address asks for. ``after``: where the page before ended."""

    view: View = ""
    kind: Kind | Literal[""] = ""
    q: str = ""
    after: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Chosen:
        """Read an address; what it says that is no wish of ours is passed over."""
        view, kind = query.get("view", ""), query.get("kind", "")
        return cls(
            view=next((known for known in get_args(View) if known == view), ""),
            kind=next((known for known in KINDS if known == kind), ""),
            q=query.get("q", "").strip()[:200],
            after=query.get("after", "")[:200],
        )

    @property
    def query(self) -> str:
        """The address of this list, without its ``?``."""
        parts = {"view": self.view, "kind": self.kind, "q": self.q, "after": self.after}
        return urlencode({name: value for name, value in parts.items() if value})

    def href(self) -> str:
        """The page of the list."""
        return f"/?{self.query}" if self.query else "/"

    def key(self) -> Key | None:
        """Where the page before ended, as the index has it."""
        value, _, review_id = self.after.rpartition("~")
        return (value, review_id) if value and review_id else None

    def words(self) -> tuple[dict[str, str], str]:
        """({name: value} of ``name:value`` in the search box, the other words)."""
        named: dict[str, str] = {}
        free: list[str] = []
        for word in _split(self.q):
            name, colon, value = word.partition(":")
            known = colon and value and name in ("tool", "risk", "thread")
            if known and not (name == "risk" and value not in RISKS):
                named[name] = value
            else:
                free.append(word)
        return named, " ".join(free)

    def chips(self) -> list[tuple[str, Chosen]]:
        """(what it is narrowed to, the list without that), for the search box."""
        named, free = self.words()
        words = [f"{name}:{value}" for name, value in named.items()] + ([free] if free else [])
        return [(word, replace(self, q=" ".join(_quoted(w) for w in words if w != word), after="")) for word in words]

    def wanted(self, person: Person, now: datetime) -> Wanted:
        """The wish for the index."""
        named, free = self.words()
        risk = named.get("risk")
        base = Wanted(
            kind=self.kind or None,
            tool=named.get("tool", ""),
            thread_id=named.get("thread", ""),
            text=free,
            now=now.isoformat(),
            tier={"low": 0, "medium": 1}.get(risk or ""),
            tier_from=HIGH if risk == "high" else 0,
        )
        return of_view(base, self.view, person, now)


def of_view(base: Wanted, view: View, person: Person, now: datetime) -> Wanted:
    """A wish as one of the views has it. What somebody put off is in none but its own, "due soon" and "done"."""
    if view == "done":
        return replace(base, status="decided", sort="newest")
    if view == "soon":
        return replace(base, due_before=(now + SOON).isoformat())
    if view == "later":
        return replace(base, only=person.later)
    open_ = replace(base, without=person.later)
    if view == "mine":
        return replace(open_, assignee=person.name, roles=person.roles)
    if view == "unassigned":
        return replace(open_, unclaimed=True)
    if view == "high":
        return replace(open_, tier_from=max(HIGH, base.tier_from))
    return open_


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a lone quote
        return text.split()


def _quoted(word: str) -> str:
    return shlex.quote(word) if any(c.isspace() for c in word) else word
