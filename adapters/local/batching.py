"""Several replies decoded together: one forward pass a step for all of them, each under its own grammar and end.

Rows are padded on the left. A step may bring one row a single token and another several (a grammar forced them); the
shorter ones are padded in between, which the mask hides. Rows that are over leave the batch. In float32 each row says
what it would have said alone; in bfloat16 sums are rounded differently in a batch, so that two close candidates can
change places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.local.engine import Engine, Prefix
from adapters.local.matching import Reply
from adapters.local.prefixes import side_by_side


@dataclass
class Row:
    """One reply of a batch. ``ended`` may be set by whoever reads its tokens: a stop string was complete.

    ``failed``: what its decoding ended with; the other rows go on.
    """

    prefix: Prefix
    reply: Reply
    ended: bool = False
    failed: Exception | None = None

    def next(self, logits: Any) -> list[int]:
        """Its next tokens, [] when it is over or has failed."""
        try:
            return [] if self.ended else self.reply.next(logits)
        except Exception as e:
            self.failed = e
            return []


def decode_together(
    engine: Engine, rows: Sequence[Row], *, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, list[int]]]:
    """(row, tokens) as they come, for rows that were read under one adapter; ends when all rows have ended."""
    import torch

    if len({row.prefix.adapter for row in rows}) > 1:
        raise ValueError("the rows of a batch share one adapter")
    device = engine.local.device
    cache, mask = side_by_side(engine.local.model.config, [row.prefix.cache for row in rows])
    alive = list(range(len(rows)))
    logits = [row.prefix.logits for row in rows]
    read = [len(row.prefix.ids) for row in rows]
    while alive and not cancelled():
        steps: list[list[int]] = []
        kept: list[int] = []
        for place, n in enumerate(alive):
            step = rows[n].next(logits[n])
            if step:
                yield n, step
            if step and rows[n].reply.goes_on and not rows[n].ended:
                kept.append(place)
                steps.append(step)
        if not kept:
            return
        if len(kept) < len(alive):
            chosen = torch.tensor(kept, device=device)
            cache.batch_select_indices(chosen)
            mask = mask[chosen]
            alive = [alive[place] for place in kept]
        width = max(len(step) for step in steps)
        ids = torch.zeros((len(steps), width), dtype=torch.long)
        shown = torch.zeros_like(ids)
        places = torch.zeros_like(ids)
        for line, (n, step) in enumerate(zip(alive, steps, strict=True)):
            ids[line, width - len(step) :] = torch.tensor(step)
            shown[line, width - len(step) :] = 1
            places[line, width - len(step) :] = torch.arange(read[n], read[n] + len(step))
            read[n] += len(step)
        mask = torch.cat([mask, shown.to(device)], dim=1)
        out = engine.step(ids.to(device), cache, rows[alive[0]].prefix.adapter, mask=mask, places=places.to(device))
        for line, n in enumerate(alive):
            logits[n] = out[line, -1]
