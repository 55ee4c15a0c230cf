"""Reviews that are decided together: which may be, and what differs between them. Pure.

The index is all that is asked: an argument that is the same in all of them is said once, those that differ make the
columns of a table. What is decided one by one (words, the highest tier, effects in doubt, what is approved with a
reason) is never among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from checkpoints.index import Listed
from dojang.server.console.arguments import Argument, plain
from dojang.server.console.rows import Row, row_of
from dojang.server.wording import Say, titled
from dojang.vocabulary import EFFECTS
from state import TOP_TIER, Review

LEFT: Final = "digest."
"""What the names of the boxes begin with; the id follows. The value is the digest that was shown."""


@dataclass(frozen=True)
class Line:
    """One review of many. ``cells``: its values of the arguments that differ, in the order of the columns."""

    row: Row
    box: str
    digest: str
    cells: list[str]


@dataclass(frozen=True)
class Together:
    """Reviews of one tool and one tier."""

    tool: str
    letter: str
    tone: str
    effect: str
    reversible: bool
    columns: list[str]
    lines: list[Line]
    same: list[Argument]
    odd: int  # how many have something to look at twice: an untrusted source, an edit before


@dataclass(frozen=True)
class Part:
    """Some of what was selected. ``href``: where they are decided together; "" where they are looked at one by one."""

    label: str
    count: int
    href: str
    rows: list[Row]


def sort_of(review: Review) -> tuple[str, str, int, bool]:
    """What reviews must share to be decided together."""
    return review["kind"], review["action"]["tool"], review["tier"], review.get("wants_reason", False)


def decided_together(review: Review) -> bool:
    """Whether a review may be among many at all."""
    kind, tool, tier, wants_reason = sort_of(review)
    alone = tier >= TOP_TIER or kind == "in_doubt" or wants_reason
    return bool(tool) and not alone and {"approve", "reject"} <= {*review["allowed"]}


def together_of(found: Sequence[Listed], say: Say, now: datetime, query: str) -> Together:
    """The table of reviews that :func:`sort_of` says are of one sort."""
    reviews = [one["review"] for one in found]
    first = reviews[0]["action"]
    names = list(dict.fromkeys(name for review in reviews for name in review["action"]["args"]))
    texts = {name: [_text(review, name) for review in reviews] for name in names}
    columns = [name for name in names if len({*texts[name]}) > 1]
    rows = [row_of(one["review"], say, now, one["progress"], query=query) for one in found]
    lines = [
        Line(row, LEFT + row.id, review["digest"], [texts[name][n] for name in columns])
        for n, (row, review) in enumerate(zip(rows, reviews, strict=True))
    ]
    return Together(
        tool=first["tool"],
        letter=rows[0].letter,
        tone=rows[0].tone,
        effect=titled(say, EFFECTS, first["effect_class"]),
        reversible=first["reversible"],
        columns=columns,
        lines=lines,
        same=[Argument(name, texts[name][0]) for name in names if name not in columns],
        odd=sum(row.untrusted or row.again for row in rows),
    )


def parts_of(found: Sequence[Listed], say: Say, now: datetime, query: str) -> list[Part]:
    """What was selected, by what may be decided together: the largest part first, what goes one by one last."""
    by_sort: dict[tuple[str, str, int, bool], list[Listed]] = {}
    for one in found:
        by_sort.setdefault(sort_of(one["review"]), []).append(one)
    parts = [_part(many, say, now, query) for many in by_sort.values()]
    return sorted(parts, key=lambda part: (not part.href, -part.count))


def _part(many: Sequence[Listed], say: Say, now: datetime, query: str) -> Part:
    rows = [row_of(one["review"], say, now, one["progress"], query=query) for one in many]
    goes = decided_together(many[0]["review"])
    ids = urlencode([("id", row.id) for row in rows])
    label = f"{rows[0].tool or rows[0].kind_label} · {rows[0].letter}"
    return Part(label, len(rows), "/bulk?" + "&".join(p for p in (query, ids) if p) if goes else "", rows)


def _text(review: Review, name: str) -> str:
    args = review["action"]["args"]
    return plain(args[name]) if name in args else "–"
