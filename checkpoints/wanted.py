"""What somebody looks for among the reviews, as SQL over the index. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, get_args

from checkpoints.files.folders import folder_name
from state import Kind, person_of

ReviewStatus = Literal["open", "claimed", "decided", "expired", "any"]
Sort = Literal["due", "created", "newest", "tier"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
Key = tuple[str, str]
"""Where a page ended: the value it is sorted by, and the review's id."""
_ORDER: Final[dict[Sort, tuple[str, str]]] = {
    "due": ("due_at", ">"),
    "created": ("created_at", ">"),
    "newest": ("created_at", "<"),
    "tier": ("tier", "<"),
}

_WORDS: Final = (
    "(review_id, folder) IN (SELECT review_id, folder FROM reviews INDEXED BY by_words WHERE instr({}, ?) > 0)"
)
"""Read in an index that has nothing but words: rows are large. A ``+`` keeps SQLite from using another one."""


@dataclass(frozen=True)
class Wanted:
    """Which reviews. "" and None ask for nothing; ``open`` has claimed ones, too.

    ``text``: words that stand in the summary, the question or the arguments. ``due_before``, ``now``: ISO 8601, UTC.
    ``tier_from``: that tier or a higher one. ``unclaimed``: nobody has it, nor was it handed up. ``roles``: what was
    handed up to one of these; with ``assignee``, either of the two. ``without``: ids of reviews to leave out;
    ``only``: the ids among which to look.
    ``sort``: soonest due, oldest, newest, or highest tier first; within the same, by id.
    """

    kind: Kind | None = None
    tool: str = ""
    tier: int | None = None
    status: ReviewStatus = "open"
    assignee: str = ""
    thread_id: str = ""
    text: str = ""
    due_before: str = ""
    now: str = ""
    sort: Sort = "due"
    tier_from: int = 0
    unclaimed: bool = False
    roles: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None

    def where(self, *, sealed: bool) -> tuple[str, list[object]]:
        """Condition and values. ``sealed``: texts are sealed in the file; ``shown`` opens them."""
        shown = "shown({})" if sealed else "{}"
        asked: list[tuple[bool, str, tuple[object, ...]]] = [
            (bool(self.tool), f"{shown.format('tool')} = ?", (self.tool,)),
            (bool(self.thread_id), "folder = ?", (folder_name(self.thread_id),)),
            (self.status == "claimed", "claimed_until > ?", (self.now,)),
            self._whose(shown.format("claimant")),
            (self.unclaimed, "claimed_until <= ? AND role = ''", (self.now,)),
            (self.tier_from > 0, "tier >= ?", (self.tier_from,)),
            (self.only is not None, f"review_id IN ({', '.join('?' * len(self.only or ()))})", self.only or ()),
            (bool(self.without), f"review_id NOT IN ({', '.join('?' * len(self.without))})", self.without),
            (bool(self.due_before), "due_at < ?", (self.due_before,)),
            (bool(self.text), _WORDS.format(shown.format("words")), (folded(self.text),)),
            *((value is not None, f"{self._plus}{column} = ?", (value,)) for column, value in self._plain()),
        ]
        used = [(condition, values) for wanted, condition, values in asked if wanted]
        whole = [] if self.status in ("open", "claimed") else ["has_body = 1"]  # of open ones all are
        conditions = [*whole, *(condition for condition, _ in used)]
        return " AND ".join(conditions), [value for _, values in used for value in values]

    def _whose(self, claimant: str) -> tuple[bool, str, tuple[object, ...]]:
        """Claimed by a person, or handed up to a role of theirs."""
        claimed = (f"(claimed_until > ? AND {claimant} = ?)", (self.now, person_of(self.assignee)))
        handed = (f"role IN ({', '.join('?' * len(self.roles))})", self.roles)
        asked = [one for one, wanted in ((claimed, self.assignee), (handed, self.roles)) if wanted]
        condition = "(" + " OR ".join(text for text, _ in asked) + ")"
        return bool(asked), condition, tuple(value for _, values in asked for value in values)

    def _plain(self) -> list[tuple[str, object]]:
        is_open = {"open": 1, "claimed": 1, "decided": 0, "expired": 0}.get(self.status)
        expired = {"decided": 0, "expired": 1}.get(self.status)
        return [("open", is_open), ("expired", expired), ("kind", self.kind), ("tier", self.tier)]

    def page(self, after: Key | None) -> tuple[str, str, list[object]]:
        """Condition of what comes after a page, order, values."""
        column, sign = _ORDER[self.sort]
        down = "DESC" if sign == "<" else "ASC"
        order = (
            f"{self._plus}{column} {down}, review_id {down}"  # both ways alike: the index is read forwards or backwards
        )
        if after is None:
            return "", order, []
        value: object = int(after[0]) if column == "tier" else after[0]
        return f" AND ({self._plus}{column}, review_id) {sign} (?, ?)", order, [value, after[1]]

    @property
    def _plus(self) -> str:
        return "+" if self.text else ""

    @property
    def column(self) -> str:
        """What pages are sorted by."""
        return _ORDER[self.sort][0]


def folded(text: str) -> str:
    """Text as it is compared: one Unicode form, no case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
