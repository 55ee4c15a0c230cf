"""The front desk's adapter: generated dialogues, and some of what the base was trained on so that it stays.

``dojang adapters train --generated 1500 --base DIR --out DIR`` (or ``python -m adapters.training adapter``). Rows of
decisions take the same way through ``adapters.training.run``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.prompt import EOT
from adapters.training.corpus import FRONT_DESK, SHARES, SHORT_FIRST, Shares, item_at, reading
from adapters.training.encoding import encode
from adapters.training.examples import Said
from adapters.training.processes import Progress
from adapters.training.recipe import Recipe
from adapters.training.rows import Row
from adapters.training.run import Source, open_base, train

REPLAY_SEED: Final = 7_919
ROWS_SEED: Final = 104_729
LICENCE: Final = "Apache-2.0"
DESK: Final = "generated front desk"
"""What rows of the desk are called in a manifest."""
RECIPE: Final = Recipe(rate=1e-3, batch=16, accumulate=1, heldout=0.0, every=100)
"""What the shipped adapter was trained with."""


@dataclass(frozen=True)
class AdapterReport:
    """What a training run did."""

    rows: int
    dropped_too_long: int
    replayed: int
    steps: int
    loss: float | None
    seconds: float
    base_fingerprint: str


def generated(n: int, seed: int) -> list[Said]:
    """``n`` rows of the front desk."""
    return _rows(seed + ROWS_SEED, n, FRONT_DESK)


def replayed(n: int, seed: int) -> list[Said]:
    """``n`` rows of what the base was trained on, so that an adapter does not forget it."""
    return _rows(seed + REPLAY_SEED, n, SHARES)


def replays(rows: int, share: float) -> int:
    """How many rows make up ``share`` of the whole beside so many of one's own."""
    return round(rows * share / max(1 - share, 0.1))


def _rows(seed: int, n: int, shares: Shares) -> list[Said]:
    """Items from where they are no longer short on; a choice is read as plain language."""
    items = (item_at(seed, SHORT_FIRST + index, shares) for index in range(n))
    return [item if isinstance(item, Said) else reading(item) for item in items]


def row_of(said: Said) -> Row:
    """What is the model's own to say is learned, and which tool it is that is called."""
    ends_itself = said.pieces[-1][0].endswith("\n")
    names = ends_itself and len(said.pieces) > 1
    pieces = [(text, own or (names and at == 0)) for at, (text, own) in enumerate(said.pieces)]
    return Row(said.prompt, ([*pieces, (EOT, not ends_itself)],), generated=True)


def train_adapter(
    base: Path,
    out: Path,
    rows: Iterable[Said],
    *,
    rank: int = 16,
    alpha: int = 32,
    rate: float = 1e-3,
    batch: int = 16,
    epochs: float = 1.0,
    replay: float = 0.3,
    seed: int = 0,
    max_length: int = 1_024,
    resume: bool = True,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> AdapterReport:
    """Train an adapter of ``base`` on ``rows`` and ``replay`` as a share of the base's own kind; see ``run.train``.

    Raises:
        UserError: No row is left to learn from, ``out`` exists, or something else that ``run.train`` checks.
    """
    wanted = list(rows)
    old = replayed(replays(len(wanted), replay), seed)
    recipe = Recipe(
        rank=rank, alpha=alpha, rate=rate, batch=batch, accumulate=RECIPE.accumulate, epochs=epochs, seq=max_length,
        heldout=RECIPE.heldout, every=RECIPE.every, seed=seed, device=device,
    )  # fmt: skip
    told = train(
        open_base(base, recipe.quantization), out, [row_of(said) for said in [*wanted, *old]], recipe,
        sources=sources(len(wanted), len(old)), resume=resume, on_progress=on_progress,
    )  # fmt: skip
    return AdapterReport(
        told["counts"]["trained"], told["counts"]["dropped_too_long"], len(old), told["steps"],
        told["loss"]["last"], told["duration_s"], told["base"]["fingerprint"],
    )  # fmt: skip


def sources(rows: int, old: int) -> list[Source]:
    """For the manifest: both are made by this repository."""
    found = [Source(DESK, rows, licences=(LICENCE,)), Source("replayed", old, licences=(LICENCE,))]
    return [source for source in found if source.rows]


def _encode(tok: Any, said: Said) -> dict[str, list[int]]:
    """Ids and labels as the trainer gets them."""
    ids = encode(tok, row_of(said))
    labels = [i if own else -100 for i, own in zip(ids.answers[0], ids.learned, strict=True)]
    return {"input_ids": ids.prompt + ids.answers[0], "labels": [-100] * len(ids.prompt) + labels}


__all__: Sequence[str] = [
    "DESK", "RECIPE", "AdapterReport", "generated", "replayed", "replays", "row_of", "sources", "train_adapter",
]  # fmt: skip
