"""Encoded sequences, and a step of them as arrays: padded ids, which places are scored, where copied tokens stand.

A step is made where the rows are encoded, so that beside a card the process that trains only hands arrays on. They
travel between processes as numpy's (torch's would take a shared file each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
WHOLE: Final = 8
"""Rows are as long as a multiple of this."""


@dataclass
class Rows:
    """Encoded sequences that belong together: one, or all readings of a choice.

    ``weights[row][i]`` is the weight of predicting ``ids[row][i]``; in readings 1 marks the request. ``right`` is the
    row that is right, None where nothing is chosen.
    """

    ids: list[list[int]]
    weights: list[list[float]]
    right: int | None = None
    links: list[tuple[int, int, float]] = field(default_factory=list)
    """Where copied tokens stand: (the place that predicts one, the place of its source, weight), of the only row."""

    @property
    def size(self) -> int:
        """Tokens, as if all rows were as long as the longest."""
        return max(len(ids) for ids in self.ids) * len(self.ids)


@dataclass(frozen=True)
class Batch:
    """One step. Places are counted through all rows, ``row · length + place``; integers int32, weights float32.

    ``ids`` (rows, length). ``at``, ``wanted``, ``weight``, ``row`` (scored tokens): the place that predicts one, its
    id, its weight, its row. ``links`` (3, copied tokens): row, place that predicts, place of the source;
    ``links_weight``. Of choices also ``ends`` and ``said`` (rows): the place that predicts the last token, and its id;
    ``counts`` and ``right`` (choices): how many readings each has, and which is right. ``tokens`` without padding,
    ``words`` those that are scored in the right readings.
    """

    ids: Array
    at: Array
    wanted: Array
    weight: Array
    row: Array
    links: Array
    links_weight: Array
    ends: Array
    said: Array
    counts: Array
    right: Array
    tokens: int
    words: int

    @property
    def choices(self) -> bool:
        """Whether something is chosen, or all of it is said."""
        return len(self.counts) > 0

    @property
    def norm(self) -> float:
        """The sum of the weights of what is scored."""
        return float(self.weight.sum())

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """The arrays there, integers as int64; on a card without waiting for what it is doing."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("tokens", "words")}
        tensors = {name: torch.from_numpy(array) for name, array in given.items()}
        if device.type == "cuda":
            tensors = {name: x.pin_memory().to(device, non_blocking=True) for name, x in tensors.items()}
        return {name: x if x.is_floating_point() else x.long() for name, x in tensors.items()}


def pack(rows: list[Rows], fill: int) -> Batch:
    """The arrays of a step: of sequences where something is said, or of readings of choices."""
    flat = [(ids, weights) for r in rows for ids, weights in zip(r.ids, r.weights, strict=True)]
    ids, weights = padded([x for x, _ in flat], fill), padded([w for _, w in flat], 0.0)
    row, place = np.nonzero(weights[:, 1:])
    length, choices = ids.shape[1], rows[0].right is not None
    lasts = np.array([len(x) - 1 for x, _ in flat] if choices else [], np.int32)
    links = [(i, to, source) for i, r in enumerate(rows) for to, source, _ in r.links]
    return Batch(
        ids=ids,
        at=(row * length + place).astype(np.int32),
        wanted=ids[row, place + 1],
        weight=weights[row, place + 1],
        row=row.astype(np.int32),
        links=np.array(links, np.int32).reshape(-1, 3).T.copy(),
        links_weight=np.array([weight for r in rows for *_, weight in r.links], np.float32),
        ends=(np.arange(len(lasts), dtype=np.int32) * length + lasts - 1).astype(np.int32),
        said=ids[np.arange(len(lasts)), lasts],
        counts=np.array([len(r.ids) for r in rows] if choices else [], np.int32),
        right=np.array([r.right for r in rows] if choices else [], np.int32),
        tokens=sum(len(x) for x, _ in flat),
        words=sum(w > 0 for r in rows for w in r.weights[r.right]) if choices else 0,  # type: ignore[index]
    )


def padded(rows: Sequence[Sequence[float]], fill: float) -> Array:
    """Rows filled up on the right to a multiple of ``WHOLE``: int32 where they are of integers, else float32."""
    length = -(-max(map(len, rows)) // WHOLE) * WHOLE
    made = np.full((len(rows), length), fill, np.int32 if isinstance(fill, int) else np.float32)
    for at, row in enumerate(rows):
        made[at, : len(row)] = row
    return made


__all__ = ["Batch", "Rows", "pack", "padded"]
