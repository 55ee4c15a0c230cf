"""The live part of a card: what there is to press, what a press does, and what came of it. Knows no widget.

A press goes the way of every other decision: the digest that was on the screen, ``Workspace.decide`` with the channel
``notebook``, the door, the record, the audit, and then the run. Whatever a browser sends is text of somebody else's:
what is no press of ours does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from dojang.notebook.cards import Card, card_markup, card_of
from dojang.notebook.shown import part
from dojang.server.console.arguments import differences
from dojang.server.console.editing import edit_of
from dojang.server.wording import CHIPS
from nodes.wire import StaleDecision
from state import Decision, DojangError, UserError

if TYPE_CHECKING:
    from dojang.notebook.reader import Reader
    from dojang.results import RunResult

LONGEST_DWELL_MS: Final = 7 * 24 * 3_600_000
SLACK_MS: Final = 50
"""After the moment until which a decision can be taken back: clocks are read twice."""
DECISIONS: Final = ("approve", "edit", "reject", "answer")


class NotYet(UserError):
    """The form lacks something that the card asks for."""


class OtherCard(UserError):
    """What was on the screen is not what waits now."""


class Bar:
    """The live part of one card; where its thread then asks something else, that card's, too."""

    def __init__(self, book: Reader, review_id: str) -> None:
        self.book, self.review_id = book, review_id
        self._trail: list[Markup] = []  # what was decided here before, and what came of it
        self._told: set[str] = set()
        self._error = self._news = self._changes = ""
        self._held: Mapping[str, str] = {}
        self._turn = 0
        self._first = review_id

    def shown(self) -> dict[str, Any]:
        """What a browser draws: ``markup``; ``turn``, which says that it is news; ``wait_ms`` until it is to call."""
        card = card_of(self.book, self.review_id)
        self._turn += 1
        say = self.book.say
        return {
            "markup": str(self._markup(card)),
            "turn": self._turn,
            "wait_ms": self._wait_ms(card),
            "lang": self.book.language,
            "sent": say("Sent to the kernel…").unescape(),
            "unheard": say(
                "The kernel does not answer: it is busy with another cell, or gone. A decision counts when the seal is "
                "here; `dojang inbox` shows what waits."
            ).unescape(),
        }

    def pressed(self, message: object) -> None:
        """Do what a press says. Whatever is wrong with it is shown on the card; nothing is raised."""
        self._error = self._news = self._changes = ""
        self._held = {}
        press, form, dwell = _read(message)
        try:
            if press in DECISIONS:
                self._held = {"type": press, **form}
                self._decide(press, form, dwell)
                self._held = {}
            elif press == "changes":
                self._held = {"type": "edit", **form}
                self._show_changes(form)
            elif press == "undo":
                self.book.workspace.undo(self.review_id)
            elif press == "go_on":
                thread = self.book.workspace.review(self.review_id)["thread_id"]
                self._follow(self.book.workspace.resume(thread))
        except DojangError as error:
            self._error = self.book.say.told(str(error))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _decide(self, press: str, form: Mapping[str, str], dwell: int | None) -> None:
        workspace = self.book.workspace
        card = self._same(form)
        said = self._said(card, press, form) | {"digest": form.get("digest", ""), "dwell_ms": dwell}
        try:
            result = workspace.decide(self.review_id, said, channel="notebook")
        except StaleDecision as error:
            raise OtherCard(self._stale()) from error
        self._follow(result.run)

    def _same(self, form: Mapping[str, str]) -> Card:
        """The card as it is now, if it is the one that was pressed; whether it is still the same the door says."""
        if form.get("review") != self.review_id:
            raise OtherCard(self._stale())
        return card_of(self.book, self.review_id)

    def _stale(self) -> str:
        return self.book.say("This review is not the one that you looked at. Nothing was recorded.").unescape()

    def _said(self, card: Card, press: str, form: Mapping[str, str]) -> dict[str, Any]:
        say = self.book.say
        if press == "reject":
            chip, note = form.get("chip", ""), form.get("note", "").strip()
            if chip and chip not in CHIPS:
                raise NotYet(say("choose one of the reasons").unescape())
            return {"type": press, "reason": ": ".join(word for word in (chip, note) if word), "message": note}
        if press == "answer":
            return {"type": press, "message": form.get("message", "").strip()}
        if press == "approve":
            if card.item.top_tier and form.get("confirm") != "yes":
                raise NotYet(say("tick the box to confirm: this decision is of the highest tier").unescape())
            return {"type": press, "reason": form.get("reason", "").strip()}
        edit = self._edited(card, form)
        if edit.problems:
            raise NotYet("; ".join(edit.problems))
        if form.get("seen") != edit.seen:  # what is sent has been on the screen
            self._show_changes(form)
            raise NotYet(say("This is what you change. Nothing is recorded yet.").unescape())
        return {"type": press, "edited_args": edit.args, "reason": form.get("reason", "").strip()}

    def _edited(self, card: Card, form: Mapping[str, str]) -> Any:
        own = {key.removeprefix(card.prefix): value for key, value in form.items()}
        toolbox = self.book.workspace.toolbox_of(card.record.review)
        return edit_of(toolbox, card.record.review, own, self.book.say)

    def _show_changes(self, form: Mapping[str, str]) -> None:
        card = self._same(form)
        edit = self._edited(card, form)
        told = [self.book.say.told(problem) for problem in edit.problems]
        made = differences(card.record.review["action"]["args"], edit.args)
        self._changes = part(self.book.language, "changes.html", changes=made, problems=told, seen=edit.seen)

    def _follow(self, run: RunResult) -> None:
        """Keep what came of it; where the thread asks something else now, that is the card."""
        card = card_of(self.book, self.review_id)
        if card.waits or card.record.status == "recorded":  # a vote was counted, or it can still be taken back
            self._news = self.book.say.told(run.note) if card.waits else ""
            return
        if self.review_id not in self._told:
            self._told.add(self.review_id)
            self._trail.append(part(self.book.language, "after.html", item=card.item, run=run))
        if run.reviews:
            self.review_id = run.reviews[0]["id"]

    def _markup(self, card: Card) -> Markup:
        language, pieces = self.book.language, list(self._trail)
        if self.review_id != self._first:
            pieces.append(card_markup(self.book, card))
        held = {"type": "", "chip": "", "note": "", "message": "", "reason": "", **self._held}
        own = {key: value for key, value in self._held.items() if key.startswith(card.prefix)}
        fields = [_held_in(field, own) for field in card.fields]
        if card.waits or not self._trail or self._error:
            pieces.append(
                part(
                    language, "bar.html", item=card.item, fields=fields, held=held, error=self._error, news=self._news,
                    changes=self._changes, waits=card.waits, votes=card.record.progress["votes"],
                )
            )  # fmt: skip
        return Markup("").join(pieces)

    def _wait_ms(self, card: Card) -> int:
        """Until nobody can take the decision back any more; 0 where nothing is to be waited for."""
        decision: Decision | None = card.record.decision
        if decision is None or card.record.status != "recorded" or "held_until" not in decision:
            return 0
        left = datetime.fromisoformat(decision["held_until"]) - self.book.workspace.parts.clock.now()
        return max(1, int(left.total_seconds() * 1000) + SLACK_MS)


def _held_in(field: Any, form: Mapping[str, str]) -> Any:
    """The control as somebody left it, so that after a mistake nothing has to be typed twice."""
    from dataclasses import replace

    return replace(field, shown=form[field.key]) if field.key in form else field


def _read(message: object) -> tuple[str, dict[str, str], int | None]:
    """(press, form, how long the card was looked at) of what a browser sent; "" where it is none of ours."""
    if not isinstance(message, Mapping):
        return "", {}, None
    press, form, dwell = message.get("press"), message.get("form"), message.get("dwell_ms")
    if not isinstance(press, str):
        return "", {}, None
    fields = form.items() if isinstance(form, Mapping) else ()
    text = {str(key): value.replace("\r\n", "\n") for key, value in fields if isinstance(value, str)}
    whole = isinstance(dwell, int) and 0 <= dwell < LONGEST_DWELL_MS  # what else it may be, the door looks at
    return press, text, dwell if whole else None
