"""Rows as token ids: what is too long is dropped and counted, and a share is held out. Knows no trainer."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.training.recipe import Recipe
from adapters.training.rows import Row
from state import UserError


@dataclass(frozen=True)
class Ids:
    """An encoded row. ``learned`` says of each token of the first answer whether it is part of an SFT loss."""

    prompt: list[int]
    answers: list[list[int]]
    learned: list[bool]
    label: bool | None
    group: str
    """Hash of the request, or else of the prompt: rows that share it are held out together."""
    once: bool = False
    """Read in one pass of the run alone."""

    @property
    def length(self) -> int:
        """Tokens of the prompt and the longest answer."""
        return len(self.prompt) + max(map(len, self.answers))


@dataclass(frozen=True)
class Prepared:
    """What is trained on, what is held out, and what was left out, counted."""

    train: list[Ids]
    heldout: list[Ids]
    given: int
    too_long: int
    odd: int = 0
    """Rows left out so that no batch of KTO has a single row, which would be its own neighbour."""
    passes: int = 1
    """How often ``stream`` holds a row that is not read ``once``."""
    seed: int = 0

    @property
    def stream(self) -> list[Ids]:
        """What the trainer reads: the rows, or all passes over them at once where some are read in one alone."""
        if self.passes == 1:
            return self.train
        read = [row for row in self.train for _ in range(1 if row.once else self.passes)]
        random.Random(self.seed).shuffle(read)
        return read

    @property
    def tokens(self) -> int:
        """Tokens of one pass over the training rows, padding left out."""
        return sum(len(row.prompt) + sum(map(len, row.answers)) for row in self.train)


def encode(tokenizer: Any, row: Row) -> Ids:
    """Prompt and answers are tokenized apart, as they are when the model is served."""

    def ids_of(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    prompt = ids_of(row.prompt)
    begin = list(tokenizer("").input_ids)  # what the tokenizer puts before any text: <|begin_of_text|>, or nothing
    if begin and prompt[: len(begin)] != begin:
        prompt = begin + prompt
    encoded = [[(ids_of(text), own) for text, own in pieces] for pieces in row.answers]
    return Ids(
        prompt=prompt,
        answers=[[i for piece, _ in pieces for i in piece] for pieces in encoded],
        learned=[own for piece, own in encoded[0] for _ in piece],
        label=row.label,
        group=hashlib.sha256((row.request or row.prompt).encode("utf-8", "surrogatepass")).hexdigest(),
        once=row.once,
    )


def prepare(tokenizer: Any, rows: Iterable[Row], recipe: Recipe) -> Prepared:
    """Encode, drop what exceeds ``recipe.seq`` tokens, hold out.

    Raises:
        UserError: No row is left to learn from.
    """
    encoded = [encode(tokenizer, row) for row in rows]
    kept = [row for row in encoded if row.length <= recipe.seq]
    if not kept:
        longest = max((row.length for row in encoded), default=0)
        raise UserError(
            f"no row fits into {recipe.seq} tokens ({len(encoded)} given, the longest has {longest}); "
            "give shorter rows or raise seq"
        )
    train, heldout = _split(kept, recipe)
    random.Random(recipe.seed).shuffle(train)  # KTO's rows are read in order: their neighbours are given
    odd = 0
    if recipe.method == "kto" and recipe.kto(len(train)) == "kto":
        (train, one), (heldout, other) = _paired(train, recipe.batch), _paired(heldout, recipe.batch)
        odd = one + other
    passes = math.ceil(recipe.epochs) if any(row.once for row in train) else 1
    return Prepared(train, heldout, len(encoded), len(encoded) - len(kept), odd, passes, recipe.seed)


def _paired(rows: list[Ids], batch: int) -> tuple[list[Ids], int]:
    """The rows without one that would be alone in its batch, and how many that is."""
    alone = len(rows) % batch == 1
    return (rows[:-1] if alone else rows), int(alone)


def _split(rows: Sequence[Ids], recipe: Recipe) -> tuple[list[Ids], list[Ids]]:
    """Requests whose hash with the seed falls below the share are held out, and stay so when rows are added.

    At least one stands on each side, where there are two. Where no request is known the prompt stands for it; all rows
    of a base of ours that say which tool is wanted have one prompt, and would be on one side by that.
    """
    places = {row.group: _place(row.group, recipe.seed) for row in rows}
    if not recipe.heldout or len(places) < 2:
        return list(rows), []
    out = {group for group, place in places.items() if place < recipe.heldout} or {min(places, key=places.__getitem__)}
    if len(out) == len(places):
        out.remove(max(places, key=places.__getitem__))
    return [row for row in rows if row.group not in out], [row for row in rows if row.group in out]


def _place(group: str, seed: int) -> float:
    """Between 0 and 1, evenly."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:7], "big") / 2**56


__all__ = ["Ids", "Prepared", "encode", "prepare"]
