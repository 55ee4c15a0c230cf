"""The network that says how alike a request and a candidate are: attention over what their words mean.

A unit of a text (a word, a number, marks) is the sum of what its pieces mean to us, which is taught, and of what the
word means in the world (``meanings``), turned by a matrix that is taught: so words that no text of ours holds still lie
near those that it does. A unit's neighbours and layers of attention change it; a text is the weighted sum of its
units, and the likeness of two texts their cosine. Requests and candidates have tables, matrices and layers of their own
("two towers", Huang et al. 2013; answers among those of others, Henderson et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from adapters.alike.meanings import WIDTH as MEANING

WIDTH: Final = 192
HEADS: Final = 4
LAYERS: Final = 2
SCALE: Final = 16.0
EVEN: Final = 0.3
"""Where the scale and the cosine of nothing begin; both are learned."""
SHARES: Final = (0.4, 0.7, 0.9)
"""Where texts, the shortest first, are cut into parts of about one length."""
FEW: Final = 64
"""Fewer texts are one part."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Texts:
    """Texts as arrays, the shortest first: ``order`` (texts) says which each was, ``lengths`` (texts) their units.

    ``units`` (all places, text after text): which of the different units stands there. Of the different units:
    ``pieces`` one after another, ``begins`` (units) where each one's begin, and ``meanings`` (units, ``MEANING``),
    zeros where nothing is known.
    """

    order: Array
    lengths: Array
    units: Array
    pieces: Array
    begins: Array
    meanings: Array

    def parts(self) -> list[tuple[int, int]]:
        """Where texts of about one length begin and end: padding a short one to the longest costs as much again."""
        n = len(self.lengths)
        cuts = [0, *(int(share * n) for share in SHARES), n] if n >= FEW else [0, n]
        return [(a, b) for a, b in pairwise(cuts) if a < b]


@dataclass(frozen=True)
class Part:
    """Texts of about one length: ``[first, last)`` of their places, and of each the text and where in it."""

    first: int
    last: int
    row: Tensor
    place: Tensor
    lengths: Tensor
    size: int


@dataclass(frozen=True)
class Given:
    """``Texts`` where a network is."""

    order: Tensor
    units: Tensor
    pieces: Tensor
    begins: Tensor
    meanings: Tensor
    parts: list[Part]


def given(texts: Texts, device: torch.device) -> Given:
    """The arrays there; integers as int64, numbers as float32. A card is not waited for."""

    def on(array: Array) -> Tensor:
        x = torch.from_numpy(array)
        x = x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x
        return x.float() if x.is_floating_point() else x.long()

    ends = np.cumsum([0, *texts.lengths])
    parts = []
    for a, b in texts.parts():
        lengths = texts.lengths[a:b]
        row = np.repeat(np.arange(b - a), lengths)
        place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        parts.append(Part(int(ends[a]), int(ends[b]), on(row), on(place), on(lengths), int(lengths.max())))
    rest = [on(array) for array in (texts.order, texts.units, texts.pieces, texts.begins, texts.meanings)]
    order, units, pieces, begins, meanings = rest
    return Given(order, units, pieces, begins, meanings, parts)


def packed(
    texts: Sequence[Sequence[str]], pieces: Mapping[str, Sequence[int]], meanings: Array, at: dict[str, int]
) -> Texts:
    """Texts as units; ``at`` says in which row of ``meanings`` a unit's is, in the order of ``pieces``."""
    lengths = np.array([len(text) for text in texts], np.int32)
    order = np.argsort(lengths, kind="stable").astype(np.int32)
    units = np.array([at[unit] for i in order for unit in texts[i]], np.int32)
    each = [pieces[unit] for unit in at]
    begins = np.cumsum([0, *(len(p) for p in each)], dtype=np.int64)[:-1].astype(np.int32)
    flat = np.array([piece for p in each for piece in p], np.int32)
    return Texts(order, lengths[order], units, flat, begins, meanings)


class Tower(nn.Module):
    """Texts of one side as vectors of length 1."""

    def __init__(self, first: Tensor, turned: Tensor, layers: int) -> None:
        """``first`` (pieces, width) and ``turned`` (``MEANING``, width): both sides begin with the same ones."""
        super().__init__()
        pieces, width = first.shape
        self.table = nn.EmbeddingBag.from_pretrained(first.clone(), freeze=False, mode="sum")
        self.weight = nn.EmbeddingBag.from_pretrained(torch.zeros(pieces, 1), freeze=False, mode="mean")
        self.turned, self.heard = nn.Parameter(turned.clone()), nn.Parameter(torch.zeros(MEANING, 1))
        self.beside = nn.Parameter(torch.zeros(2, width))
        self.layers = nn.ModuleList(_layer(width) for _ in range(layers))
        self.out, self.gate = nn.Linear(width, width, bias=False), nn.Linear(width, 1, bias=False)
        with torch.no_grad():
            self.out.weight.copy_(torch.eye(width))
            self.gate.weight.zero_()

    def forward(self, texts: Given, kept: Tensor | None = None) -> Tensor:
        """``(texts, width)``. ``kept`` (units): 0 hides what a unit's pieces mean, 1 does not."""
        own = self.table(texts.pieces, texts.begins)
        own = own if kept is None else own * kept[:, None]
        unit = own + texts.meanings @ self.turned
        heavy = (self.weight(texts.pieces, texts.begins) + texts.meanings @ self.heard)[:, 0]
        read = torch.cat([self._read(unit, heavy, texts.units[p.first : p.last], p) for p in texts.parts])
        return torch.empty_like(read).index_copy(0, texts.order, read)

    def _read(self, unit: Tensor, heavy: Tensor, units: Tensor, part: Part) -> Tensor:
        shape = (len(part.lengths), part.size)
        there = torch.arange(part.size, device=unit.device) < part.lengths[:, None]
        # no index: many places hold the same unit, and a card adds up the gradients of an index one by one
        own = nn.functional.embedding(units, unit)
        first = unit.new_zeros(*shape, unit.shape[1]).index_put((part.row, part.place), own)
        logits = unit.new_full(shape, -1e9).index_put((part.row, part.place), heavy[units])
        state = first
        if self.layers:
            before, after = (nn.functional.pad(first, (0, 0, max(by, 0), max(-by, 0))) for by in (1, -1))
            beside = before[:, :-1] * self.beside[0] + after[:, 1:] * self.beside[1]
            state = first + beside * there[..., None]
        begun = state
        for layer in self.layers:
            state = layer(state, src_key_padding_mask=~there)
        change = self.out(state - begun) + (begun - first)
        share = torch.exp(logits + self.gate(change)[..., 0]) * there
        return normalize(((first + change) * share[..., None]).sum(1), dim=-1)


def _layer(width: int) -> nn.TransformerEncoderLayer:
    """One that changes nothing yet."""
    layer = nn.TransformerEncoderLayer(
        width, HEADS, 4 * width, dropout=0.0, batch_first=True, norm_first=True, activation="gelu"
    )
    with torch.no_grad():
        for last in (layer.linear2, layer.self_attn.out_proj):
            last.weight.zero_()
            last.bias.zero_()
    return layer


class Network(nn.Module):
    """Both towers, and how a cosine is taken for nats."""

    def __init__(self, pieces: int, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        first = torch.randn(pieces, width) / math.sqrt(width)
        turned = torch.randn(MEANING, width) / math.sqrt(width)
        self.asked, self.told = Tower(first, turned, layers), Tower(first, turned, layers)
        self.scale = nn.Parameter(torch.tensor(math.log(SCALE)))
        self.even = nn.Parameter(torch.tensor(EVEN))

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.even.device

    def nats(self, asked: Tensor, told: Tensor) -> Tensor:
        """Of each request and candidate, ``(requests, candidates)``; above 0 is likelier than nothing."""
        nats: Tensor = self.scale.exp() * (asked @ told.T - self.even)
        return nats

    def slow(self) -> list[nn.Parameter]:
        """All but the tables of pieces."""
        tables = {
            id(p) for tower in (self.asked, self.told) for bag in (tower.table, tower.weight) for p in bag.parameters()
        }
        return [p for p in self.parameters() if id(p) not in tables and p is not self.scale and p is not self.even]

    def quick(self) -> list[nn.Parameter]:
        """The tables of pieces, the scale, and the cosine of nothing."""
        slow = {id(p) for p in self.slow()}
        return [p for p in self.parameters() if id(p) not in slow]


__all__ = ["LAYERS", "WIDTH", "Given", "Network", "Texts", "Tower", "given", "packed"]
