"""Tables that show themselves: a thread's history, what waits, what several speakers say of one question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from markupsafe import Markup

from dojang.notebook.shown import Shown, part
from dojang.server.wording import NODES, label, titled
from dojang.vocabulary import KINDS, N_

if TYPE_CHECKING:
    from dojang.notebook.reader import Reader
    from dojang.results import Step
    from dojang.side_by_side import Said
    from state import Language, Review

Row = TypeVar("Row")
HISTORY: Final = (N_("step"), N_("at"), N_("source"), N_("wrote"), N_("what comes next"))
INBOX: Final = (N_("review"), N_("kind"), N_("due"), N_("what it is about"))
COMPARISON: Final = (N_("who speaks"), N_("answer"), N_("calls"), N_("seconds"))


class Table(Shown, Generic[Row]):
    """Rows of records that can be indexed and gone through, with a head and cells for a person."""

    def __init__(
        self, language: Language, rows: Sequence[Row], head: Sequence[str], cells: Sequence[Sequence[str]]
    ) -> None:
        self.language, self.rows, self.head, self.cells = language, list(rows), list(head), [list(c) for c in cells]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, at: int) -> Row:
        return self.rows[at]

    def text(self) -> str:
        """In columns."""
        lines = [self.head, *self.cells]
        widths = [max(len(line[n]) for line in lines) for n in range(len(self.head))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def markup(self) -> Markup:
        """As a table."""
        return part(self.language, "table.html", head=self.head, cells=self.cells)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts, for ``pandas.DataFrame``."""
        return [dict(row) if isinstance(row, dict) else dict(vars(row)) for row in self.rows]


def table(head: Sequence[str], *rows: Sequence[object], language: Language = "en") -> Table[dict[str, object]]:
    """A table of one's own; each row as long as the head."""
    return Table(
        language,
        [dict(zip(head, row, strict=True)) for row in rows],
        head,
        [[cell if isinstance(cell, str) else f"{cell:,.4g}" if isinstance(cell, float) else str(cell) for cell in row]
         for row in rows],
    )  # fmt: skip


def history_of(book: Reader, steps: Sequence[Step]) -> Table[Step]:
    """The checkpoints of a thread, newest first."""
    say = book.say
    head = [say(t).unescape() for t in HISTORY]
    cells = [
        [
            str(step.number),
            say.moment(step.at, seconds=True),
            step.source,
            ", ".join(step.wrote),
            ", ".join(step.review_ids or [label(say, NODES, n) for n in step.next]) or say("end").unescape(),
        ]
        for step in steps
    ]
    return Table(book.language, steps, head, cells)


def inbox_of(book: Reader, reviews: Sequence[Review]) -> Table[Review]:
    """What waits, soonest deadline first."""
    say = book.say
    head = [say(t).unescape() for t in INBOX]
    cells = [
        [r["id"], titled(say, KINDS, r["kind"]), say.moment(r["due_at"]), r["question"] or book.summary(r)]
        for r in reviews
    ]
    return Table(book.language, reviews, head, cells)


def comparison_of(book: Reader, said: Sequence[Said]) -> Table[Said]:
    """What base, champion and candidate would say."""
    say = book.say
    head = [say(t).unescape() for t in COMPARISON]
    cells = [
        [
            f"{one.who} {one.adapter}".strip(),
            say.told(one.error) if one.error else one.asks or one.text or "–",
            "; ".join(f"{n}({', '.join(f'{k}={v!r}' for k, v in args.items())})" for n, args in one.calls) or "–",
            f"{one.seconds:.1f}",
        ]
        for one in said
    ]
    return Table(book.language, said, head, cells)
