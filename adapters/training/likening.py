"""Teaches a base's table of words (``adapters.alike``) from generated questions and sentences; some minutes of a core.

Of each step all candidates that are wrong for a request count as wrong, and nothing is worth 0 nats among them, so that
abstaining is learned, too. A sentence of another question may be right as well where both are about the same: those are
left out, and so are the tools of other requests.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from adapters.alike import Likeness, known, words_of
from adapters.prompt import spaced
from adapters.training.corpus import likened
from adapters.training.examples import Alike
from state import Language

QUESTIONS: Final = 800_000
"""How many questions a base of ours is taught with."""
WIDTH: Final = 128
EPOCHS: Final = 2
COUNTED: Final = 200_000
"""The questions, at most, whose words are counted."""
KNOWN_IN: Final = 15_000
"""A word is known that stands in one of so many questions, with its candidates; twice at the least."""
STEP: Final = 512
"""Questions of a step."""
RATE: Final = 0.01
SCALE: Final = 16.0
EVEN: Final = 0.3
"""Where the scale and the cosine of nothing begin; both are learned."""
TOKENS_A_QUESTION: Final = 25
_TOLD: Final = 2_000
Progress = Callable[[dict[str, float]], None]
Pieces = NDArray[np.int32]


@dataclass(frozen=True)
class Asked:
    """A request and candidates as pieces, which is right (0: none), hashes of source and group (0: like no other)."""

    request: Pieces
    candidates: list[Pieces]
    right: int
    source: int
    group: int


def suited(tokens: float) -> int:
    """How many questions suit a base that has read so many tokens: a short run has a short end."""
    return int(min(QUESTIONS, max(tokens // TOKENS_A_QUESTION, 1)))


def taught(tokenizer: Any, *, questions: int, seed: int, on_progress: Progress | None = None) -> Likeness:
    """The table, taught with so many generated questions. Deterministic by ``seed`` for a number of threads.

    Args:
        tokenizer: The base's.
        questions: How many; each is seen ``EPOCHS`` times.
        seed: Text, order and first vectors follow from it.
        on_progress: Called now and then with ``questions, total`` while text is made, then with ``step, total, loss``.
    """
    counts: Counter[str] = Counter()
    asked = list(made(tokenizer, questions, seed, on_progress, counts))
    torch.manual_seed(seed)
    table = _Table(len(tokenizer))
    optimizer = torch.optim.Adam(table.parameters(), lr=RATE)
    order, rng = list(range(len(asked))), random.Random(f"liken:{seed}")
    size = min(STEP, len(asked))
    steps = EPOCHS * (len(asked) // size)
    for step in range(steps):
        at = step % (len(asked) // size) * size
        if at == 0:
            rng.shuffle(order)
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        loss = loss_of(table, [asked[i] for i in order[at : at + size]])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if on_progress and (step % 50 == 0 or step == steps - 1):
            on_progress({"step": step + 1, "total": steps, "loss": loss.item()})
    return table.likeness(frequent(counts, questions))


def frequent(counts: Counter[str], questions: int) -> frozenset[int]:
    """The hashes of the words that are known after so many questions, whose words were counted."""
    least = max(2, min(questions, COUNTED) // KNOWN_IN)
    return known(word for word, count in counts.items() if count >= least)


def made(
    tokenizer: Any, questions: int, seed: int, on_progress: Progress | None = None, counts: Counter[str] | None = None
) -> Iterator[Asked]:
    """Generated questions as pieces; half of them Korean. ``counts`` gathers in how many of the first a word stands."""
    for start in range(0, questions, _TOLD):
        items = [_item(seed, i) for i in range(start, min(start + _TOLD, questions))]
        texts = [spaced(text.lower()) for item in items for text in (item.request, *item.candidates)]
        if counts is not None and start < COUNTED:
            for item in items:
                counts.update({word for text in (item.request, *item.candidates) for word in words_of(text)})
        ids = iter(tokenizer(texts, add_special_tokens=False).input_ids)
        for n, item in enumerate(items, start):
            request, *candidates = (np.array(next(ids), np.int32) for _ in range(1 + len(item.candidates)))
            source = f"alone {n}" if item.source is None else item.source
            yield Asked(request, candidates, item.right, crc32(source.encode()), crc32(item.group.encode()))
        if on_progress:
            on_progress({"questions": start + len(items), "total": questions})


def _item(seed: int, index: int) -> Alike:
    rng = random.Random(f"alike:{seed}:{index}")
    language: Language = "ko" if rng.random() < 0.5 else "en"
    return likened(rng, language)


class _Table(torch.nn.Module):
    def __init__(self, pieces: int) -> None:
        super().__init__()
        first = torch.randn(pieces, WIDTH) / math.sqrt(WIDTH)
        self.questions, self.sentences = (
            torch.nn.EmbeddingBag.from_pretrained(first.clone(), freeze=False, mode="sum") for _ in range(2)
        )
        self.scale = torch.nn.Parameter(torch.tensor(math.log(SCALE)))
        self.even = torch.nn.Parameter(torch.tensor(EVEN))

    def nats(self, questions: Sequence[Pieces], sentences: Sequence[Pieces]) -> Tensor:
        """Of each question and sentence, ``(questions, sentences)``."""
        asked, told = _units(self.questions, questions), _units(self.sentences, sentences)
        nats: Tensor = self.scale.exp() * (asked @ told.T - self.even)
        return nats

    def likeness(self, taught: frozenset[int] = frozenset()) -> Likeness:
        questions, sentences = (bag.weight.detach().numpy() for bag in (self.questions, self.sentences))
        return Likeness(questions, sentences, self.scale.exp().item(), self.even.item(), taught)


def _units(bag: torch.nn.EmbeddingBag, texts: Sequence[Pieces]) -> Tensor:
    begins = [0, *accumulate(len(text) for text in texts)][:-1]
    whole = bag(torch.from_numpy(np.concatenate(texts)).long(), torch.tensor(begins))
    return normalize(whole, dim=-1)


def loss_of(table: _Table, asked: Sequence[Asked]) -> Tensor:
    """The mean surprise of what is right, among all sentences that are wrong for a question, and nothing."""
    nats = table.nats([a.request for a in asked], [c for a in asked for c in a.candidates])
    nats = nats.masked_fill(~wrong_or_own(asked), -math.inf)
    begins = [0, *accumulate(len(a.candidates) for a in asked)]
    right = torch.tensor([begin + a.right if a.right else 0 for begin, a in zip(begins, asked, strict=False)])
    return cross_entropy(torch.cat([nats.new_zeros(len(asked), 1), nats], dim=1), right)


def wrong_or_own(asked: Sequence[Asked]) -> Tensor:
    """Whether a sentence stands among the answers of a question, ``(questions, sentences)`` bool.

    Those of another question are left out where they may be right, too: of another source, or about the same.
    """
    owner = torch.tensor([i for i, a in enumerate(asked) for _ in a.candidates], dtype=torch.long)
    source, group = (torch.tensor(column) for column in zip(*((a.source, a.group) for a in asked), strict=True))
    same = (group[:, None] == group[owner]) & (group[:, None] != 0)
    own: Tensor = torch.arange(len(asked))[:, None] == owner
    return own | ((source[:, None] == source[owner]) & ~same)


__all__ = ["QUESTIONS", "Asked", "frequent", "loss_of", "made", "suited", "taught", "wrong_or_own"]
