"""A thread, a run of it, and a review that waits: handles that look anew each time they are used, and show themselves.

They hold ids and what a run gave back; what is true stands in the session's files.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from langgraph.types import StateSnapshot
from markupsafe import Markup

from dojang.going_back import copy_at
from dojang.notebook.bar import Bar
from dojang.notebook.cards import Card, card_markup, card_of, card_text
from dojang.notebook.drawing import Drawing, way_of
from dojang.notebook.shown import Shown, part
from dojang.notebook.tables import Table, history_of
from dojang.notebook.widget import live_part
from state import JSON, Citation, DecisionType, Outcome, UserError

if TYPE_CHECKING:
    from dojang.notebook.reader import Reader
    from dojang.results import RunResult, Step
    from state import Review as Record


class SeveralWait(UserError):
    """The run waits for more than one review, or for none; ``.reviews`` has them all."""


class Thread:
    """One session with the agent."""

    def __init__(self, book: Reader, thread_id: str) -> None:
        self.book, self.id = book, thread_id

    def __repr__(self) -> str:
        return f"Thread({self.id!r})"

    def ask(self, text: str) -> Run:
        """Send a message. Conflict while a review waits."""
        return Run(self.book, self.book.workspace.ask(text, thread_id=self.id))

    def resume(self) -> Run:
        """Go on: release what was decided, or finish a run that was cut off; else as it stands."""
        return Run(self.book, self.book.workspace.resume(self.id))

    def now(self) -> Run:
        """Where it stands, without running it."""
        return Run(self.book, self.book.workspace.thread(self.id))

    def state(self) -> StateSnapshot:
        """The newest state as LangGraph has it: ``.next``, ``.values``, ``.interrupts``."""
        return self.book.workspace.look(self.id)

    def history(self, *, limit: int | None = None) -> Table[Step]:
        """Its checkpoints, newest first."""
        return history_of(self.book, self.book.workspace.history(self.id, limit=limit))

    def fork(self, step: Step | str | None = None) -> Thread:
        """A thread of its own that has what was said here up to a checkpoint (the newest where none is named).

        Reviews and effects stay where they are. ``.resume()`` goes on where the checkpoint stood, ``.ask(…)`` another
        way from the end of a turn.

        Raises:
            Conflict: a review or a call is on its way at that checkpoint.
        """
        workspace, target = self.book.workspace, f"th_{secrets.token_hex(5)}"
        if step is None:
            workspace.copy_thread(self.id, target)
        else:
            checkpoint = step if isinstance(step, str) else step.checkpoint_id
            copy_at(workspace.parts, self.id, checkpoint, target, workspace.user)
        return Thread(self.book, target)

    def draw(self) -> Drawing:
        """The graph, the way of the newest turn marked, the node at which it waits filled."""
        return Drawing(self.book, way_of(self.book.workspace.history(self.id)))

    def conversation(self) -> list[dict[str, str]]:
        """Who said what, oldest first."""
        return self.book.workspace.conversation(self.id)


class Run(Shown):
    """What a run came to: an answer, or the reviews that it waits for. Its cards are live in a notebook."""

    def __init__(self, book: Reader, record: RunResult) -> None:
        self.book, self.record, self.language = book, record, book.language
        self.thread = Thread(book, record.thread_id)

    @property
    def status(self) -> str:
        """done, paused or busy."""
        return self.record.status

    @property
    def answer(self) -> str:
        """What was said; "" while it waits."""
        return self.record.answer["text"] if self.record.answer else ""

    @property
    def abstained(self) -> bool:
        """Whether it says that it does not know."""
        return bool(self.record.answer and self.record.answer["abstained"])

    @property
    def citations(self) -> list[Citation]:
        """The places that the answer comes from."""
        return self.record.answer["citations"] if self.record.answer else []

    @property
    def outcomes(self) -> list[Outcome]:
        """How this turn's effects ended, as the ledger has it."""
        return self.record.outcomes

    @property
    def reviews(self) -> list[Review]:
        """What it waits for."""
        return [Review(self.book, review["id"]) for review in self.record.reviews]

    @property
    def review(self) -> Review:
        """The one review that it waits for.

        Raises:
            SeveralWait: it waits for none, or for more than one.
        """
        if len(self.record.reviews) != 1:
            raise SeveralWait(f"this run waits for {len(self.record.reviews)} reviews, not one; .reviews has them")
        return self.reviews[0]

    def text(self) -> str:
        """The answer with its places, and the cards."""
        return "\n".join([*self._lines(), *(review.text() for review in self.reviews)]) or self.book.status(self.status)

    def _lines(self) -> list[str]:
        """What it came to, without the cards."""
        lines = [self.answer] if self.answer else []
        lines += [f"  [{c['n']}] {c['document']} {c['start']}–{c['end']}" for c in self.citations if c["document"]]
        lines += [f"  {one['tool']} – {self.book.status(one['status'])}" for one in self.outcomes]
        return lines + ([self.book.say.told(self.record.note)] if self.record.note else [])

    def markup(self) -> Markup:
        """The same for a notebook, without anything to press."""
        cards = [card_markup(self.book, card_of(self.book, review["id"])) for review in self.record.reviews]
        return Markup("").join([run_markup(self.book, self.record), *cards])

    def _ipython_display_(self) -> None:
        lines = self._lines()
        if lines or not self.reviews:
            inside = run_markup(self.book, self.record)
            text = "\n".join(lines) or self.book.status(self.status)
            _display(text, str(part(self.language, "box.html", lang=self.language, inside=inside)))
        for review in self.reviews:
            review._ipython_display_()


class Review(Shown):
    """A review that can be looked at and decided from code. What its card's buttons do, these methods do."""

    def __init__(self, book: Reader, review_id: str) -> None:
        self.book, self.id, self.language = book, review_id, book.language

    @property
    def record(self) -> Record:
        """The review as its thread's state has it."""
        return self.book.workspace.review(self.id)

    @property
    def args(self) -> dict[str, JSON]:
        """The arguments that would run."""
        return dict(self.record["action"]["args"])

    def approve(self, reason: str = "") -> Run:
        """What the card shows is what runs, once."""
        return self._decide("approve", reason=reason)

    def edit(self, reason: str = "", **changes: JSON) -> Run:
        """Approve it with other arguments: ``edit(guests=3)``. It is judged anew."""
        return self._decide("edit", reason=reason, edited_args={**self.args, **changes})

    def reject(self, reason: str) -> Run:
        """Nothing runs; the model is told why."""
        return self._decide("reject", reason=reason, message=reason)

    def answer(self, message: str) -> Run:
        """Answer what it asks."""
        return self._decide("answer", message=message)

    def undo(self) -> None:
        """Take back what you said of it, as long as nothing was released."""
        self.book.workspace.undo(self.id)

    def _decide(self, kind: DecisionType, **said: Any) -> Run:
        decision = {"type": kind, "digest": self.record["digest"], **said}
        return Run(self.book, self.book.workspace.decide(self.id, decision, channel="python").run)

    def bar(self) -> Bar:
        """The live part of the card, without a widget around it."""
        return Bar(self.book, self.id)

    def _card(self) -> Card:
        return card_of(self.book, self.id)

    def text(self) -> str:
        """The card in a terminal."""
        return card_text(self.book, self._card())

    def markup(self) -> Markup:
        """The card without anything to press, and how to decide it from elsewhere."""
        return card_markup(self.book, self._card())

    def _ipython_display_(self) -> None:
        card = self._card()
        inside = card_markup(self.book, card)
        _display(card_text(self.book, card), str(part(self.language, "box.html", lang=self.language, inside=inside)))
        if card.waits and (widget := live_part(self.bar())) is not None:
            _publish(widget._repr_mimebundle_() or {})


def run_markup(book: Reader, record: RunResult) -> Markup:
    """What a run came to, without the cards of what it waits for."""
    return part(book.language, "run.html", run=record)


def _display(text: str, html: str) -> None:
    _publish({"text/plain": text, "text/html": html})


def _publish(bundle: Any) -> None:
    from IPython.display import display

    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
