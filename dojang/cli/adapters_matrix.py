"""adapters matrix: what retrieval, an adapter, and both together are worth, on the same held-out questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.adapters_registry import folder_of
from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.words import N_

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.gate.matrix import Asked, Matrix

CELLS = {
    "none": N_("neither"), "rag": N_("passages alone"), "adapter": N_("adapter alone"), "both": N_("both"),
}  # fmt: skip


def matrix(
    context: typer.Context,
    base: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The base; the one that ships with Dojang if not given.")
    ] = None,
    adapter: Annotated[
        str | None, typer.Option(metavar="DIR|ID", help="The adapter; the one that ships with Dojang if not given.")
    ] = None,
    qa: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also real questions about real paragraphs; see docs/training.md."),
    ] = None,
    qa_n: Annotated[
        int | None, typer.Option("--qa-n", min=1, help="So many of them of each set; all if not given.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it, as PNG.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The result follows from it.")] = 0,
) -> int:
    """Ask held-out questions without and with passages, without and with an adapter; a table, and a picture."""
    call = invocation(context)
    _ = call.terminal.gettext
    from adapters.gate.matrix import draw, measure, plain
    from adapters.training.frontdesk import TOOLS
    from dojang.flywheel.four_ways import sample_asked, speakers

    asked = [*sample_asked(), *(_real(qa, qa_n, seed) if qa else [])]
    with call.terminal.counting(_("asking")) as tell:
        found = measure(
            speakers(base, None if adapter is None else _named(call, adapter)), asked, TOOLS,
            on_progress=lambda done, total, cell: tell(done, total, _(CELLS[cell])),
        )  # fmt: skip
    call.terminal.document(plain(found))
    call.terminal.rows(_rows(_, found), head=["", *(_(CELLS[cell]) for cell in CELLS)])
    call.terminal.note(_("right of asked; 'unknown': says that the documents do not have it"))
    if picture is not None:
        draw(found, picture, {"none": "neither", "rag": "passages", "adapter": "adapter", "both": "both"})
        call.terminal.line(_("the picture is {file}").format(file=picture))
    return Exit.DONE


def _named(call: Any, adapter: str) -> Path:
    return folder_of(call.settings, checked_text(adapter))


def _real(folder: Path, n: int | None, seed: int) -> list[Asked]:
    from adapters.gate.matrix import Asked
    from adapters.training.real_qa import questions
    from store.text.language import sentences

    return [
        Asked(name, one.text, one.language, one.passages, (one.gold, *one.place))
        for name, some in questions(folder, sentences, n=n, seed=seed)
        for one in some
    ]


def _rows(_: Callable[[str], str], found: Matrix) -> list[list[str]]:
    rows = []
    for source, cells in found.items():
        rows.append([source, *(f"{t.answered}/{t.answerable}" for t in cells.values())])
        if any(t.unanswerable for t in cells.values()):
            unknown = _("{source}, unknown").format(source=source)
            rows.append([unknown, *(f"{t.abstained}/{t.unanswerable}" for t in cells.values())])
    return rows


__all__ = ["matrix"]
