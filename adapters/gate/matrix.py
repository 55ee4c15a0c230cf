"""RAG × fine-tuning: none, passages alone, an adapter alone, both, on the same held-out questions. Prints nothing.

A question with an answer is right when the reply cites, or says word for word, the sentence that holds it; one without
is right when the reply says that it does not know. So who is shown no passages is right where nothing can be known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import HumanMessage

from state import Language, Passage, ToolSpec

Cell = Literal["none", "rag", "adapter", "both"]
CELLS: Final[tuple[Cell, ...]] = ("none", "rag", "adapter", "both")
TRAINED: Final = frozenset({"adapter", "both"})
SHOWN: Final = frozenset({"rag", "both"})
Progress = Callable[[int, int, str], None]


class Asked(NamedTuple):
    """A held-out question. ``gold``: where the sentence is that answers it (passage id, start, end); None: nowhere."""

    source: str
    text: str
    language: Language
    passages: Sequence[Passage]
    gold: tuple[str, int, int] | None


@dataclass
class Tally:
    """Of one cell and source: questions with an answer and how many were right, and the same of those without one."""

    answerable: int = 0
    answered: int = 0
    unanswerable: int = 0
    abstained: int = 0
    false_abstentions: int = 0

    def add(self, gold: bool, right: bool, silent: bool) -> None:
        """Count one reply."""
        if gold:
            self.answerable += 1
            self.answered += right
            self.false_abstentions += silent
        else:
            self.unanswerable += 1
            self.abstained += silent


Matrix = dict[str, dict[Cell, Tally]]
"""By source of the questions, by cell."""


def measure(
    speakers: Mapping[bool, Any], asked: Sequence[Asked], tools: Sequence[ToolSpec], *, on_progress: Progress
) -> Matrix:
    """Ask the generators (without and with the adapter: False, True) every question without and with its passages."""
    found: Matrix = {}
    total = len(CELLS) * len(asked)
    for number, cell in enumerate(CELLS):
        generator = speakers[cell in TRAINED]
        for at, question in enumerate(asked, 1):
            passages = list(question.passages) if cell in SHOWN else []
            reply = generator.reply(
                [HumanMessage(question.text)], passages=passages, tools=list(tools), language=question.language
            )
            tally = found.setdefault(question.source, {c: Tally() for c in CELLS})[cell]
            tally.add(question.gold is not None, _right(question, reply), bool(reply["abstained"]))
            on_progress(number * len(asked) + at, total, cell)
    return found


def _right(question: Asked, reply: Mapping[str, Any]) -> bool:
    if question.gold is None:
        return bool(reply["abstained"])
    where, start, end = question.gold
    for cited in reply["citations"]:
        if cited["passage"] == where and start <= cited["start"] < end:
            return True
    text = next(p["text"][start:end] for p in question.passages if p["id"] == where)
    return " ".join(text.split()) in " ".join(reply["message"].text.split())


def plain(matrix: Matrix) -> dict[str, dict[str, dict[str, int]]]:
    """For JSON."""
    return {source: {cell: asdict(tally) for cell, tally in cells.items()} for source, cells in matrix.items()}


def draw(matrix: Matrix, path: Path, labels: Mapping[Cell, str]) -> None:
    """The shares of right answers as a picture (PNG): a group of bars a source, a bar a cell."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + 2.2 * len(matrix), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, cell in enumerate(CELLS):
        heights = [cells[cell].answered / max(cells[cell].answerable, 1) for cells in matrix.values()]
        axes.bar([at + 0.2 * number - 0.3 for at in range(len(matrix))], heights, 0.18, label=labels[cell])
    axes.set_xticks(range(len(matrix)), list(matrix))
    axes.set_ylim(0, 1)
    axes.set_ylabel("right of the questions with an answer")
    axes.grid(alpha=0.3, axis="y")
    axes.legend()
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})


__all__ = ["CELLS", "Asked", "Cell", "Matrix", "Tally", "draw", "measure", "plain"]
