"""How much of what a run learned is kept, so that old text is hardly read worse than before it.

A run that goes on from an adapter moves its matrices away from where they were. Points on the straight line between
start and end keep most of what was learned and lose less of what was known (WiSE-FT, Wortsman et al. 2022, section 3,
there for whole models). The farthest one is kept at which old text, made anew from a seed that no run learns from, is
read worse by ``forgetting`` of its loss at most. Only for bases of this project: their old text can be made.

Two kinds are judged, each by itself: calls, by the surprise of what is written, and choices, by how likely the right
candidate is as the decoder weighs it. Knows no trainer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor

from adapters.training.batches import Rows, padded
from adapters.training.corpus import (
    SHORT_FIRST,
    Item,
    Shares,
    aspect,
    desk,
    disguised,
    fact,
    item_at,
    question,
    request,
)
from adapters.training.examples import Choice, Said
from adapters.training.feeding import encode
from adapters.training.pretrain import verdict

FACTORS: Final = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
"""Places on the line from start (0) to end (1) that are tried, farthest first."""
ITEMS: Final = 48
"""Of each kind."""
LITTLE: Final = 0.5
"""A loss below so many nats counts as so many: a tenth of next to nothing is noise, and no reply hangs on it."""
BATCH_TOKENS: Final = 2_048
SEED: Final = 15_485_863
KINDS: Final[dict[str, Shares]] = {
    "calls": [(0.8, desk), (0.2, disguised)],
    "choices": [(0.3, request), (0.4, question), (0.15, aspect), (0.15, fact)],
}
Matrices = Mapping[str, Tensor]


@dataclass(frozen=True)
class Held:
    """Where on the line the adapter is, and the mean loss of old text by kind: at the start, there, and at the end."""

    factor: float
    within: bool
    """Whether that is within what was allowed; if not even the nearest place is, that one is taken."""
    start: dict[str, float]
    kept: dict[str, float]
    end: dict[str, float]

    def told(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def matrices(model: Any) -> dict[str, Tensor]:
    """A copy of all that is trained, float32."""
    return {name: p.detach().float().clone() for name, p in model.named_parameters() if p.requires_grad}


def hold(model: Any, tokenizer: Any, start: Matrices, *, forgetting: float, verdict_weight: float) -> Held:
    """Put the trained matrices of ``model`` on the line between ``start`` and where they are.

    Args:
        model: A PEFT model; its trained parameters are changed in place.
        tokenizer: The base's.
        start: What ``matrices`` gave before the training.
        forgetting: How much of its loss old text may lose, as a share; of ``LITTLE`` where the loss is less.
        verdict_weight: The decoder's, see ``Decoding``.
    """
    drawn = {kind: items(tokenizer, kind) for kind in KINDS}

    def measured() -> dict[str, float]:
        return {kind: loss(model, rows, verdict_weight) for kind, rows in drawn.items()}

    return placed(model, start, measured, forgetting)


def placed(model: Any, start: Matrices, measured: Callable[[], dict[str, float]], forgetting: float) -> Held:
    """The farthest place on the line at which no kind that is ``measured`` grew by more than is allowed."""
    end, trained = matrices(model), model.training
    model.eval()
    _move(model, start, end, 0.0)
    before, found, factor = measured(), {}, FACTORS[0]
    for factor in FACTORS:
        _move(model, start, end, factor)
        found[factor] = measured()
        if _within(before, found[factor], forgetting):
            break
    model.train(trained)
    return Held(factor, _within(before, found[factor], forgetting), before, found[factor], found[FACTORS[0]])


def _within(before: Mapping[str, float], now: Mapping[str, float], forgetting: float) -> bool:
    return all(now[kind] <= loss + forgetting * max(loss, LITTLE) for kind, loss in before.items())


def _move(model: Any, start: Matrices, end: Matrices, factor: float) -> None:
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in end:
                p.copy_(end[name] if factor == 1.0 else torch.lerp(start[name].to(p.device), end[name], factor))


def items(tokenizer: Any, kind: str) -> list[Rows]:
    """Old text that no run learns from, encoded; the same for every run."""
    return [encode(tokenizer, _chosen(item_at(SEED, SHORT_FIRST + index, KINDS[kind]))) for index in range(ITEMS)]


def _chosen(item: Item) -> Item:
    """A call's tool is chosen among those that are offered: new names that are likelier cost an old desk nothing."""
    return item if isinstance(item, Choice) else Said(item.prompt, [(item.pieces[0][0], False), *item.pieces[1:]])


def loss(model: Any, rows: Sequence[Rows], verdict_weight: float) -> float:
    """The mean surprise, in nats: of all that is written, or of the right candidate."""
    return math.fsum(_loss(model, some, verdict_weight) for some in _batches(rows)) / len(rows)


def _batches(rows: Sequence[Rows]) -> list[list[Rows]]:
    made: list[list[Rows]] = []
    for row in sorted(rows, key=lambda r: max(map(len, r.ids))):
        if not made or sum(r.size for r in made[-1]) + row.size > BATCH_TOKENS:
            made.append([])
        made[-1].append(row)
    return made


@torch.no_grad()
def _loss(model: Any, rows: list[Rows], verdict_weight: float) -> float:
    each = [ids for row in rows for ids in row.ids]
    ids = torch.from_numpy(padded(each, 0)).long()  # no mask: what is filled in stands right of everything
    weights = torch.from_numpy(padded([w for row in rows for w in row.weights], 0.0))
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        logits = model(input_ids=ids.to(device)).logits[:, :-1]
    said = torch.log_softmax(logits.float(), -1).gather(-1, ids[:, 1:, None].to(device))[..., 0].cpu()
    read = (said * (weights[:, 1:] > 0)).sum(1)
    if rows[0].right is None:
        return -float(read.sum())
    total, at = 0.0, 0
    for row in rows:
        some = slice(at, at + len(row.ids))
        fits = torch.stack([said[at + i, len(x) - 2] for i, x in enumerate(row.ids)])
        worth = read[some] - read[at] + verdict_weight * verdict(fits)
        worth[0] = 0.0  # nothing
        total -= float(torch.log_softmax(worth, 0)[row.right])
        at += len(row.ids)
    return total


__all__ = ["FACTORS", "KINDS", "Held", "Matrices", "hold", "items", "loss", "matrices", "placed"]
