"""What a card shows of a review: the records that the console's page is made of, in a box of our own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from dojang.notebook.drawing import edges_and_nodes
from dojang.notebook.shown import part
from dojang.reading import as_read
from dojang.results import ReviewCard
from dojang.server.console.forms import Field
from dojang.server.console.item import Around, Item, item_of
from dojang.server.wording import titled
from dojang.vocabulary import KINDS
from nodes.gate import spec_of

if TYPE_CHECKING:
    from dojang.notebook.reader import Reader

STEPS: Final = 60
"""Checkpoints that are looked through for the way to a review."""


@dataclass(frozen=True)
class Card:
    """A review as it is now, and as a person reads it."""

    record: ReviewCard
    item: Item

    @property
    def waits(self) -> bool:
        """Whether it can still be decided."""
        return self.record.status in ("open", "claimed")

    @property
    def prefix(self) -> str:
        """Before the names of its controls: a notebook shows many cards on one page."""
        return f"{self.item.row.id}."

    @property
    def fields(self) -> list[Field]:
        """The controls of an edit."""
        return [replace(field, key=self.prefix + field.key) for field in self.item.fields]


def card_of(book: Reader, review_id: str) -> Card:
    """The card of a review; that it was shown is noted. UnknownReview where there is none."""
    workspace, say = book.workspace, book.say
    record = workspace.show(review_id)
    review = record.review
    read = replace(record, review=as_read(review, workspace.describer, say.language))
    tool = review["action"]["tool"]
    edges, nodes = edges_and_nodes(workspace)
    around = Around(
        spec=spec_of(workspace.toolbox_of(review), tool) if tool else None,
        steps=workspace.history(review["thread_id"], limit=STEPS),
        nodes=nodes,
        edges=edges,
    )
    return Card(record, item_of(read, around, say, workspace.parts.clock.now()))


def card_markup(book: Reader, card: Card) -> Markup:
    """The card without anything to press."""
    return part(book.language, "card.html", item=card.item, waits=card.waits)


def card_text(book: Reader, card: Card) -> str:
    """The same in a terminal: what, with which arguments, why, and how to decide from code."""
    item, review = card.item, card.record.review
    kind = titled(book.say, KINDS, review["kind"])
    lines = [f"{review['id']} · {kind} · {book.status(card.record.status)}", f"  {item.row.summary}"]
    if not item.question:
        lines += [f"  {name} = {json.dumps(v, ensure_ascii=False)}" for name, v in review["action"]["args"].items()]
    lines += [f"  – {why['text']}" for why in item.why]
    if card.waits:
        lines += [f"  .{button.type}(…)  {button.label}" for button in item.buttons]
    if item.stamp:
        lines.append(f"  {item.stamp.word} · {item.stamp.who} · {item.stamp.at}")
    return "\n".join(lines)
