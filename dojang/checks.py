"""Seeded checks: reviews with a known answer between the real ones, to see whether people still look. The files of it.

Under ``DOJANG_HOME/checks/``: ``deck.json`` (how often, and the cards), replaced as a whole; ``open/`` and ``told/``, a
small file for each check that was seeded, moved when whoever decided it was told. What was decided is in the session,
as of any review; that a session is a check, its file here says, and the session itself (ADR 32).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from filelock import FileLock

from checkpoints.files.folders import replace_file
from state import JSON, UserError

if TYPE_CHECKING:
    from checkpoints.index import Listed
    from state import Progress, Review

CHECK: Final = "program:check"
"""The program that speaks in a check (``dojang.checking``)."""
RIGHTS: Final = ("approve", "edit", "reject")
"""What may be the right answer to a call."""
MOST_CARDS: Final = 200
OPEN_MOST: Final = 3
"""Checks that wait at the same time."""
RAREST: Final = 1_000
Result = Literal["open", "seen", "missed", "nobody"]
"""``seen``: decided as is right; ``nobody``: its time was over first."""


class UnknownCard(UserError):
    """There is no card with this id (any more)."""


@dataclass(frozen=True)
class Card:
    """A call with a known answer. ``right``: types of decision, one of which is right; ``why``: told afterwards."""

    id: str
    text: str  # what somebody asks for
    asked_by: str
    tool: str
    args: dict[str, JSON]
    right: list[str]
    why: str
    by: str  # who wrote it
    at: str


@dataclass(frozen=True)
class Deck:
    """The cards. ``every``: on average, a check comes after so many decisions; 0: never."""

    every: int = 0
    cards: list[Card] = field(default_factory=list)


@dataclass(frozen=True)
class Seeded:
    """A check that was put between the reviews, in a thread of its own, with the card as it was then."""

    thread_id: str
    card: Card
    at: str


@dataclass(frozen=True)
class Checked:
    """How a check went."""

    seeded: Seeded
    review_id: str
    summary: str
    result: Result
    by: str  # who decided; "" for nobody
    said: str  # the type of the decision
    at: str
    final: bool  # it cannot be taken back any more, and may be talked about


class Checks:
    """The files in ``folder``; safe from many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- the deck -------------------------------------------------------------------------------------------------

    def deck(self) -> Deck:
        """The setting and the cards."""
        found = _read(self.folder / "deck.json")
        return Deck(every=found.get("every", 0), cards=[Card(**card) for card in found.get("cards", [])])

    def set_every(self, every: int) -> Deck:
        """After how many decisions a check comes, on average; 0 for never. UserError where that is no such number."""
        if not 0 <= every <= RAREST:
            raise UserError(f"a check comes after 1 to {RAREST} decisions, or never (0); not after {every}")
        with self._writing():
            return self._write(replace(self.deck(), every=every))

    def add(self, card: Card) -> Deck:
        """One more card. UserError where there are too many."""
        with self._writing():
            deck = self.deck()
            if len(deck.cards) >= MOST_CARDS:
                raise UserError(f"there are {MOST_CARDS} cards already; take one out before another is written")
            return self._write(replace(deck, cards=[*deck.cards, card]))

    def remove(self, card_id: str) -> Card:
        """Take a card out; checks that were seeded with it stay. Raises UnknownCard."""
        with self._writing():
            deck = self.deck()
            card = next((card for card in deck.cards if card.id == card_id), None)
            if card is None:
                raise UnknownCard("there is no such card any more; open the page again")
            self._write(replace(deck, cards=[one for one in deck.cards if one.id != card_id]))
            return card

    def drawn(self) -> Card | None:
        """Perhaps a card, by chance as the setting says; None where enough checks wait already."""
        deck, waiting = self.deck(), {one.card.id for one in self.waiting()}
        cards = [card for card in deck.cards if card.id not in waiting]
        if not deck.every or not cards or len(waiting) >= OPEN_MOST or secrets.randbelow(deck.every):
            return None
        return secrets.choice(cards)

    # -- what was seeded ------------------------------------------------------------------------------------------

    def put(self, seeded: Seeded) -> None:
        """Write down that a thread is a check, on the disk on return: before there is such a thread."""
        _replace(self._path("open", seeded.thread_id), asdict(seeded))

    def knows(self, thread_id: str) -> bool:
        """Whether a thread is a check."""
        return any(self._path(state, thread_id).exists() for state in ("open", "told"))

    def among(self, thread_ids: Iterable[str]) -> set[str]:
        """Those of the threads that are checks."""
        names = {path.name for state in ("open", "told") for path in self._files(state)}
        return {one for one in thread_ids if _name(one) in names} if names else set()

    def of(self, thread_id: str) -> Seeded | None:
        """The check that a thread is; None for any other thread."""
        for state in ("open", "told"):
            if found := _read(self._path(state, thread_id)):
                return _seeded(found)
        return None

    def waiting(self) -> list[Seeded]:
        """Checks that nobody has decided, or whose decider was not told yet."""
        return list(self._all("open"))

    def all(self) -> list[Seeded]:
        """Every check, oldest first."""
        return sorted((*self._all("open"), *self._all("told")), key=lambda one: one.at)

    def told(self, thread_id: str) -> None:
        """Whoever decided it knows by now; or nobody did, and there is nobody to tell."""
        (self.folder / "told").mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.replace(self._path("open", thread_id), self._path("told", thread_id))
        except FileNotFoundError:
            return  # another page was quicker

    # -- inside ---------------------------------------------------------------------------------------------------

    def _all(self, state: str) -> Iterator[Seeded]:
        for path in self._files(state):
            if found := _read(path):  # another page may have moved it meanwhile
                yield _seeded(found)

    def _files(self, state: str) -> list[Path]:
        return sorted((self.folder / state).glob("*.json"))

    def _path(self, state: str, thread_id: str) -> Path:
        return self.folder / state / _name(thread_id)

    def _writing(self) -> FileLock:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(self.folder / "deck.lock")

    def _write(self, deck: Deck) -> Deck:
        _replace(self.folder / "deck.json", asdict(deck))
        return deck


def checked(seeded: Seeded, listed: Iterable[Listed]) -> Checked | None:
    """How a check went, from what the index has of its thread; None where nobody was asked.

    What counts is what was said first: an edit may be asked about again.
    """
    for one in listed:
        review = one["review"]
        if review["thread_id"] == seeded.thread_id and "#" not in review["subject"]:
            return how(seeded, review, one["progress"])
    return None


def how(seeded: Seeded, review: Review, progress: Progress) -> Checked:
    """How a check went, by what is recorded of its review."""
    decision = progress["decision"]
    result: Result = "open"
    if decision is not None and decision["type"] == "expire":
        result = "nobody"
    elif decision is not None:
        result = "seen" if decision["type"] in seeded.card.right else "missed"
    return Checked(
        seeded=seeded,
        review_id=review["id"],
        summary=review["summary"],
        result=result,
        by=decision["by"] if decision is not None else "",
        said=decision["type"] if decision is not None else "",
        at=decision["at"] if decision is not None else "",
        final=decision is not None and progress["released"],
    )


def new_card(fields: Mapping[str, Any], by: str, at: datetime) -> Card:
    """A card of checked fields: text, asked_by, tool, args, right, why."""
    return Card(id=f"ck_{secrets.token_hex(6)}", by=by, at=at.isoformat(), **fields)


def _name(thread_id: str) -> str:
    return hashlib.sha256(thread_id.encode("utf-8", "surrogatepass")).hexdigest()[:32] + ".json"


def _seeded(found: Mapping[str, Any]) -> Seeded:
    return Seeded(found["thread_id"], Card(**found["card"]), found["at"])


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


def _replace(path: Path, value: Mapping[str, Any]) -> None:
    """The file as a whole, on the disk on return."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, json.dumps(value, ensure_ascii=False).encode())
