"""What a base reads: items as token ids with loss weights, in steps of like length, made ahead by other processes.

A window of items is drawn, encoded, sorted by length and cut into steps. It follows from the seed and the index of its
first item alone, so it may be made by whichever process, and a run goes on at any index. A card reads faster than one
core encodes (some 170,000 tokens a second), hence the workers; on a CPU none is needed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import torch
from transformers import PreTrainedTokenizerFast

from adapters.prompt import EOT, FITS, asked, lead
from adapters.training import tokenizer
from adapters.training.batches import Batch, Rows, pack
from adapters.training.corpus import Item, item_at
from adapters.training.examples import Choice

FIRST: Final = 3.0  # the first token of a value decides between all others
LINK: Final = 0.5  # looking at the source of a copied token, against saying it
AHEAD: Final = 2
"""Windows that wait for each worker's next."""


@dataclass(frozen=True)
class Cut:
    """How a window is drawn and cut: the seed of the items, how many, and the tokens of a step."""

    seed: int
    window: int
    step_tokens: int


def encode(tok: PreTrainedTokenizerFast, item: Item) -> Rows:
    """An item as token ids with loss weights."""

    def ids_of(text: str) -> list[int]:
        ids: list[int] = tok(text, add_special_tokens=False).input_ids
        return ids

    if isinstance(item, Choice):
        words, fits = ids_of(asked(item.request)), ids_of(FITS)
        leads = [ids_of(lead(text, tool=tool)) for text, tool in [("", False), *item.candidates]]
        read = [[0.0] * len(x) + [1.0] * len(words) + [0.0] for x in leads]
        return Rows([x + words + fits for x in leads], read, item.right)
    prompt = ids_of(item.prompt)
    ids, weights, links = list(prompt), [0.0] * len(prompt), []
    for text, own in [*item.pieces, (EOT, not item.pieces[-1][0].endswith("\n"))]:
        piece = ids_of(text)
        if own:
            links += [(len(ids) - 1 + i, at + i, LINK * (FIRST if i == 0 else 1.0)) for i, at in _source(prompt, piece)]
        ids += piece
        weights += [FIRST] + [1.0] * (len(piece) - 1) if own else [0.0] * len(piece)
    return Rows([ids], [weights], links=links)


def _source(prompt: list[int], piece: list[int]) -> list[tuple[int, int]]:
    """(i, begin) of every token of a piece that stands in the prompt once, its line's end left out."""
    value = piece[:-1] if len(piece) > 1 else piece
    found = [at for at in range(len(prompt) - len(value)) if prompt[at : at + len(value)] == value]
    return [(i, found[0]) for i in range(len(value))] if len(found) == 1 else []


def window(tok: PreTrainedTokenizerFast, cut: Cut, start: int) -> list[Batch]:
    """The steps of the window that begins with item ``start``: each of about ``cut.step_tokens``, choices apart."""
    rng = random.Random(f"batches:{cut.seed}:{start}")
    drawn = [encode(tok, item_at(cut.seed, start + i)) for i in range(cut.window)]
    steps: list[list[Rows]] = []
    for choices in (True, False):
        some = sorted((r for r in drawn if (r.right is not None) == choices), key=lambda r: max(map(len, r.ids)))
        pending: list[Rows] = []
        for rows in some:
            count = sum(len(p.ids) for p in pending) + len(rows.ids)
            if pending and count * max(map(len, rows.ids)) > cut.step_tokens:
                steps.append(pending)
                pending = []
            pending.append(rows)
        steps += [pending] if pending else []
    rng.shuffle(steps)
    return [pack(step, tok.pad_token_id) for step in steps]


def windows(folder: Path, cut: Cut, start: int, *, workers: int = 0) -> Generator[tuple[list[Batch], int]]:
    """The steps of each window from item ``start`` on, and the index after it, without end.

    Args:
        folder: Where the tokenizer is; every worker loads it for itself.
        cut: How windows are made.
        start: The first item.
        workers: Processes that make windows ahead; 0 makes them here, when they are asked for. The same either way.
    """
    if not workers:
        tok = tokenizer.load(folder)
        while True:
            yield window(tok, cut, start), (start := start + cut.window)
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (str(folder),)) as pool:
        waiting = deque(pool.submit(_made, cut, start + i * cut.window) for i in range(AHEAD * workers))
        try:
            while True:
                made = waiting.popleft().result()
                waiting.append(pool.submit(_made, cut, start + AHEAD * workers * cut.window))
                yield made, (start := start + cut.window)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_tok: PreTrainedTokenizerFast | None = None


def _begin(folder: str) -> None:
    global _tok
    torch.set_num_threads(1)
    _tok = tokenizer.load(Path(folder))


def _made(cut: Cut, start: int) -> list[Batch]:
    assert _tok is not None
    return window(_tok, cut, start)
