"""What a run learns: rows of a file, of a dataset of decisions or of the generator, and old text beside them.

One place for the command, the cycle and whoever else trains, so that the same words in make the same adapter.

Old text is what keeps an adapter from forgetting. It costs nothing to make, so every pass over the rows gets text of
its own: the same few hundred old rows in each of six passes are learned by heart, and what they stood for is lost all
the same (docs/log/models.md). An adapter that goes on from one that knows the front desk gets the desk's text, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from adapters.errors import AdapterNotUsable
from adapters.training import sft
from adapters.training.manifest import read_manifest
from adapters.training.recipe import Recipe
from adapters.training.rows import Row, read
from adapters.training.run import Base, Source
from state import UserError

GENERATED_REPLAY: Final = 0.3
"""Share of old text beside generated rows, where nobody said another."""
DECIDED_REPLAY: Final = 0.5
"""The same beside rows of people, where training goes on from an adapter."""
GOING_ON: Final = Recipe(rate=1e-3, epochs=6, batch=16, accumulate=1, heldout=0.0)
"""What rows of people are learned with by a base of ours that goes on from an adapter, where nobody said otherwise."""
DESK: Final = 0.5
"""Share of the desk's own text in the old text of an adapter that knows it."""


@dataclass(frozen=True)
class Wanted:
    """Where rows come from: a file or a dataset's folder (``data``), or so many ``generated`` ones.

    ``replay``: share of old text among all rows; ``today``: the day that prompts tell, where they tell one; ``start``:
    the adapter that training goes on from.
    """

    data: Path | None = None
    generated: int | None = None
    replay: float | None = None
    today: str = ""
    start: Path | None = None


def gathered(base: Base, recipe: Recipe, wanted: Wanted) -> tuple[list[Row], list[Source]]:
    """The rows, rendered for the base, and where they come from.

    Raises:
        UserError: a row is wrong, there is none, or this base or method has no generated or old text.
    """
    if wanted.generated is not None and recipe.method != "sft":
        raise UserError(f"generated rows are sft rows; give a file of {recipe.method} rows with --data")
    share = _share(base, recipe, wanted)
    if share and not (base.reading and recipe.method == "sft"):
        raise UserError("only bases that Dojang made have text to replay, and only sft can; leave --replay away")
    rows, sources = _told(base, recipe, wanted.data, wanted.today) if wanted.data else _made(recipe, wanted.generated)
    old = sft.replays(len(rows), share) * math.ceil(recipe.epochs)
    new = wanted.generated is None  # else the rows are the desk's text already
    desk = round(old * DESK) if new and wanted.start is not None and knows_desk(wanted.start) else 0
    text = [*sft.generated(desk, recipe.seed), *sft.replayed(old - desk, recipe.seed)]
    return rows + [replace(sft.row_of(said), once=True) for said in text], sources + sft.sources(desk, old - desk)


def _share(base: Base, recipe: Recipe, wanted: Wanted) -> float:
    if wanted.replay is not None:
        return wanted.replay
    if wanted.generated is not None:
        return GENERATED_REPLAY
    return DECIDED_REPLAY if wanted.start is not None and base.reading and recipe.method == "sft" else 0.0


def knows_desk(start: Path) -> bool:
    """Whether an adapter says that it was trained on the front desk's text, itself or by way of what came before."""
    try:
        sources = read_manifest(start)["data"]["sources"]
        return any(source["name"] == sft.DESK for source in sources)
    except (AdapterNotUsable, KeyError, TypeError):  # made elsewhere
        return False


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


__all__ = ["DECIDED_REPLAY", "GENERATED_REPLAY", "GOING_ON", "Wanted", "gathered", "knows_desk"]
