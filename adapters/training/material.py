"""What a run learns: rows of a file, of a dataset of decisions or of the generator, and old text beside them.

One place for the command, the cycle and whoever else trains, so that the same words in make the same adapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapters.training import sft
from adapters.training.recipe import Recipe
from adapters.training.rows import Row, read
from adapters.training.run import Base, Source
from state import UserError

GENERATED_REPLAY = 0.3
"""Share of old text beside generated rows, where nobody said another."""


@dataclass(frozen=True)
class Wanted:
    """Where rows come from: a file or a dataset's folder (``data``), or so many ``generated`` ones.

    ``replay``: share of the base's own text among all rows; ``today``: the day that prompts tell, where they tell one.
    """

    data: Path | None = None
    generated: int | None = None
    replay: float | None = None
    today: str = ""


def gathered(base: Base, recipe: Recipe, wanted: Wanted) -> tuple[list[Row], list[Source]]:
    """The rows, rendered for the base, and where they come from.

    Raises:
        UserError: a row is wrong, there is none, or this base or method has no generated or old text.
    """
    if wanted.generated is not None and recipe.method != "sft":
        raise UserError(f"generated rows are sft rows; give a file of {recipe.method} rows with --data")
    share = wanted.replay if wanted.replay is not None else GENERATED_REPLAY if wanted.generated is not None else 0.0
    if share and not (base.reading and recipe.method == "sft"):
        raise UserError("only bases that Dojang made have text to replay, and only sft can; leave --replay away")
    rows, sources = _told(base, recipe, wanted.data, wanted.today) if wanted.data else _made(recipe, wanted.generated)
    old = [sft.row_of(said) for said in sft.replayed(sft.replays(len(rows), share), recipe.seed)]
    return rows + old, sources + sft.sources(0, len(old))


def _told(base: Base, recipe: Recipe, data: Path, today: str) -> tuple[list[Row], list[Source]]:
    """Rows of a file, or of a dataset's file for this method."""
    dataset = data.name if data.is_dir() else ""
    path = data / f"{recipe.method}.jsonl" if dataset else data
    file = read(path, recipe.method, base.dialect(today))
    told = (len(file.rows), file.sha256, file.licences, dataset, file.unsayable)
    return file.rows, [Source(f"dataset {dataset}" if dataset else path.name, *told)]


def _made(recipe: Recipe, generated: int | None) -> tuple[list[Row], list[Source]]:
    rows = [sft.row_of(said) for said in sft.generated(generated or 0, recipe.seed)]
    return rows, sft.sources(len(rows), 0)


__all__ = ["GENERATED_REPLAY", "Wanted", "gathered"]
