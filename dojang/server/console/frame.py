"""The left pane: the views of the inbox with their counts, then the other places of the console.

A new place is one line in :data:`PLACES`, and a route, a row in ``access/table.py``, a template and Korean words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dojang.server.wording import Say, titled
from dojang.vocabulary import KINDS, N_


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


PLACES: Final[tuple[Place, ...]] = (
    Place("threads", "/threads", N_("Threads")),
    Place("documents", "/documents", N_("Documents")),
    Place("docs", "/docs", N_("API")),
)


def frame_of(say: Say, counts: Mapping[str, int] | None, section: str, kind: str = "") -> list[Group]:
    """The pane for one page. ``counts``: open reviews by kind; None where they cannot be told."""
    known = counts or {}
    everything = Entry(
        href="/",
        label=say("All open").unescape(),
        current=section == "inbox" and not kind,
        count="" if counts is None else str(sum(known.values())),
        key="all",
    )
    kinds = [
        Entry(f"/?kind={k}", titled(say, KINDS, k), section == "inbox" and kind == k, str(known[k]), key=f"kind-{k}")
        for k in KINDS
        if known.get(k)
    ]
    places = [Entry(p.href, say(p.label).unescape(), section == p.section) for p in PLACES]
    return [
        Group(say("Inbox").unescape(), [everything, *kinds]),
        Group(say("Workplace").unescape(), places),
    ]
