"""Teaches the network that says how alike a request and a candidate are (``adapters.alike``), from generated text.

Of each step all candidates that are wrong for a request count as wrong, and nothing is worth 0 nats among them, so that
abstaining is learned, too. A candidate of another request may be right as well where it is about what is asked: those
are left out, and so are the tools of other requests. Steps are made by other processes where there are any: a card
takes far more than one core makes.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapters.alike.likeness import Lexicon, Likeness
from adapters.alike.meanings import meanings
from adapters.alike.network import LAYERS, WIDTH, Network, Texts, Tower, given
from adapters.alike.units import known, words_of
from adapters.training import tokenizer
from adapters.training.corpus import likened
from adapters.training.examples import Alike
from state import Language, UserError

QUESTIONS: Final = 100_000
"""How many questions a base of ours is taught with where nobody says, on a core: ten minutes."""
KNOWN_IN: Final = 15_000
"""A word is known that stands in one of so many questions, with its candidates; twice at the least."""
COUNTED: Final = 200_000
"""The questions, at most, whose words are counted."""
STEP: Final = 128
"""Questions of a step on a core."""
CARD_STEP: Final = 1_024
RATE: Final = 0.01
SLOW_RATE: Final = 0.001
"""Of all but the tables of pieces."""
EXTENDING: Final = 0.3
"""The share of the rates for a network that is taught on."""
WARMUP: Final = 100
"""Steps over which the rate rises."""
HIDDEN: Final = 0.25
"""The share of the units with a meaning whose own pieces are hidden in a step: as in new words, the meaning must do."""
TOKENS_A_QUESTION: Final = 100
OPEN: Final = 10**12
"""The questions where minutes count."""
GROUPS: Final = 3
"""What a request is about, and what else answers it, at most."""
AHEAD: Final = 3
"""Steps that wait for each worker's next."""
Progress = Callable[[dict[str, float]], None]
Array = NDArray[Any]


class Step(NamedTuple):
    """Some requests with all their candidates. ``counts``: candidates of each; ``right``: which of its own, 0 for none.

    ``source`` and ``groups`` (requests, ``GROUPS``): hashes of what each is about, and of what else answers it;
    ``about`` (candidates): of what each candidate is about; 0 is like no other. ``words``: in how many of the requests,
    with their candidates, a word stands; empty where nobody counts.
    """

    asked: Texts
    told: Texts
    counts: Array
    right: Array
    source: Array
    groups: Array
    about: Array
    words: Counter[str]


@dataclass(frozen=True)
class Lesson:
    """What is read: ``questions`` of a seed, ``step`` at once."""

    questions: int
    seed: int
    step: int = STEP

    @property
    def steps(self) -> int:
        """How many steps that is: the last questions that fill none are left out, but one step there is."""
        return max(self.questions // self.step, 1)


def suited(tokens: float) -> int:
    """How many questions suit a base that has read so many tokens: a short run has a short end."""
    return int(min(QUESTIONS, max(tokens // TOKENS_A_QUESTION, 1)))


def taught(
    base: Path, *, questions: int, seed: int, on_progress: Progress | None = None, device: str = "cpu",
    workers: int | None = None, step: int | None = None, width: int = WIDTH, layers: int = LAYERS,
    korean: Path | None = None, minutes: float | None = None, extend: Likeness | None = None,
) -> Likeness:  # fmt: skip
    """The network, taught with so many generated questions. Deterministic by ``seed`` on a CPU with so many threads.

    Args:
        base: The folder of the base, for its tokenizer.
        questions: How many; each is seen once.
        seed: Text, order and first weights follow from it.
        on_progress: Called now and then with ``step, total, loss, questions``; ``total`` is 0 where minutes count.
        device: As torch names it.
        workers: Processes that make steps ahead; None is none on a CPU, and all cores but two beside a card.
        step: Questions at once; by default what suits the device.
        width: Of a text.
        layers: Of attention.
        korean: A file of Korean meanings, for a machine without Kiwi (``scripts/card/korean_meanings.py``).
        minutes: Teach for so long instead, from the first step on.
        extend: One that is taught on, with ``EXTENDING`` of the rate; width and layers are its own, and the words that
            it was taught stay known.
    """
    on, questions = torch.device(device), OPEN if minutes else questions
    if workers is None:
        workers = max((os.cpu_count() or 3) - 2, 1) if on.type == "cuda" else 0
    lesson = Lesson(questions, seed, min(step or (CARD_STEP if on.type == "cuda" else STEP), questions))
    torch.manual_seed(seed)
    network = copy.deepcopy(extend.network) if extend else Network(len(tokenizer.load(base)), width, layers)
    network.to(on).train().requires_grad_(True)
    optimizer = optimizer_of(network)
    rates = [group["lr"] * (EXTENDING if extend else 1) for group in optimizer.param_groups]
    counts: Counter[str] = Counter()
    losses: list[Tensor] = []
    begun = 0.0
    with contextlib.closing(steps(base, lesson, workers=workers, korean=korean)) as made:
        for n, some in enumerate(made, 1):
            now = monotonic()
            begun = begun or now
            done = (now - begun) / (minutes * 60) if minutes else (n - 1) / lesson.steps
            if done >= 1:
                break
            counts.update(some.words)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, n / min(WARMUP, max(lesson.steps // 5, 1))) * (1 - done)
            loss = loss_of(network, some, hidden=HIDDEN)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.slow(), 1.0)
            optimizer.step()
            losses.append(loss.detach())
            if on_progress and (n % 50 == 0 or n == lesson.steps):
                mean = torch.stack(losses).mean().item()
                losses.clear()
                total = 0 if minutes else lesson.steps
                on_progress({"step": n, "total": total, "loss": mean, "questions": n * lesson.step})
    before: frozenset[int] = extend.known if extend else frozenset()
    return Likeness(network.cpu().eval().requires_grad_(False), before | frequent(counts, n * lesson.step))


def averaged(some: Sequence[Likeness]) -> Likeness:
    """One network whose numbers are the means of several that were taught on from the same one with different seeds.

    It is as good as one that was taught with the questions of all, or better on other text than what was taught
    (Wortsman et al. 2022, "Model soups", there for vision models).

    Raises:
        UserError: They have different shapes.
    """
    states = [one.network.state_dict() for one in some]
    shapes = [{name: x.shape for name, x in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise UserError("networks of different shapes have no mean; give such as were taught on from the same one")
    network = copy.deepcopy(some[0].network)
    network.load_state_dict({name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]})
    return Likeness(network, frozenset[int]().union(*(one.known for one in some)))


def optimizer_of(network: Network) -> torch.optim.Adam:
    """Adam; the tables of pieces move ten times as far as the rest."""
    groups = [{"params": network.quick(), "lr": RATE}, {"params": network.slow(), "lr": SLOW_RATE}]
    return torch.optim.Adam(groups, fused=network.device.type == "cuda")


def frequent(counts: Counter[str], questions: int) -> frozenset[int]:
    """The hashes of the words that are known after so many questions, whose words were counted."""
    least = max(2, min(questions, COUNTED) // KNOWN_IN)
    return known(word for word, count in counts.items() if count >= least)


def steps(base: Path, lesson: Lesson, *, workers: int = 0, korean: Path | None = None) -> Generator[Step]:
    """All steps in order; the same whoever makes them."""
    if not workers:
        _begin(base, korean)
        for n in range(lesson.steps):
            yield _made(lesson, n)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (base, korean)) as pool:
        ahead = min(AHEAD * workers, lesson.steps)
        waiting = deque(pool.submit(_made, lesson, n) for n in range(ahead))
        try:
            for n in range(lesson.steps):
                some = waiting.popleft().result()
                if n + ahead < lesson.steps:
                    waiting.append(pool.submit(_made, lesson, n + ahead))
                yield some
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@cache
def lexicon(base: Path, korean: Path | None = None) -> Lexicon:
    """What the units of a base's tokenizer are made of."""
    tok = tokenizer.load(base)
    return Lexicon(lambda texts: tok(list(texts), add_special_tokens=False).input_ids, meanings(korean))


_words: Lexicon | None = None


def _begin(base: Path, korean: Path | None) -> None:
    global _words
    _words = lexicon(base, korean)


def _made(lesson: Lesson, n: int) -> Step:
    assert _words is not None
    items = [item_at(lesson.seed, n * lesson.step + i) for i in range(lesson.step)]
    return step_of(_words, items, n * lesson.step, counted=n * lesson.step < COUNTED)


def item_at(seed: int, index: int) -> Alike:
    """The question number ``index`` of a seed; half of them are Korean."""
    rng = random.Random(f"alike:{seed}:{index}")
    language: Language = "ko" if rng.random() < 0.5 else "en"
    return likened(rng, language)


def step_of(words: Lexicon, items: Sequence[Alike], first: int = 0, *, counted: bool = False) -> Step:
    """A step of items; ``first`` is the number of the first of them, which a request without a source is named by."""
    sources = [f"alone {first + i}" if item.source is None else item.source for i, item in enumerate(items)]
    counts: Counter[str] = Counter()
    for item in items if counted else ():
        counts.update({word for text in (item.request, *item.candidates) for word in words_of(text)})
    return Step(
        words.texts([item.request for item in items]),
        words.texts([text for item in items for text in item.candidates]),
        np.array([len(item.candidates) for item in items], np.int32),
        np.array([item.right for item in items], np.int32),
        np.array([crc32(source.encode()) for source in sources], np.int64),
        np.array([_hashes((item.group, *item.also), GROUPS) for item in items], np.int64),
        np.array([h for item in items for h in _hashes(item.told, len(item.candidates))], np.int64),
        counts,
    )


def _hashes(names: Sequence[str], size: int) -> list[int]:
    """The hashes of so many names, 0 for "" and where there are no more."""
    return [crc32(name.encode()) for name in names[:size]] + [0] * (size - len(names))


def loss_of(network: Network, some: Step, *, hidden: float = 0.0) -> Tensor:
    """The mean surprise of what is right, among all candidates that are wrong for a request, and nothing.

    ``hidden``: the share of the units with a meaning whose pieces are hidden.
    """
    on = network.device
    asked = _read(network.asked, some.asked, on, hidden)
    told = _read(network.told, some.told, on, hidden)
    owner = torch.from_numpy(np.repeat(np.arange(len(some.counts)), some.counts)).to(on, non_blocking=True)
    columns = (some.counts, some.right, some.source, some.groups, some.about)
    rest = (torch.from_numpy(x).to(on, non_blocking=True).long() for x in columns)
    return surprise(network.nats(asked, told), owner, *rest)


def _read(tower: Tower, texts: Texts, on: torch.device, hidden: float) -> Tensor:
    there = given(texts, on)
    vectors: Tensor = tower(there, _kept(there.meanings, hidden) if hidden else None)
    return vectors


def _kept(known_: Tensor, hidden: float) -> Tensor:
    means = known_.abs().sum(1) > 0
    return 1 - (means & (torch.rand(len(means), device=means.device) < hidden)).float()


def surprise(
    nats: Tensor, owner: Tensor, counts: Tensor, right: Tensor, source: Tensor, groups: Tensor, about: Tensor
) -> Tensor:
    """The mean of the surprises, where nothing is worth 0 nats. ``owner`` (candidates): whose each is."""
    nats = nats.masked_fill(~wrong_or_own(owner, source, groups, about), -math.inf)
    wanted = torch.where(right > 0, counts.cumsum(0) - counts + right, 0)
    return cross_entropy(torch.cat([nats.new_zeros(len(nats), 1), nats], dim=1), wanted)


def wrong_or_own(owner: Tensor, source: Tensor, groups: Tensor, about: Tensor) -> Tensor:
    """Whether a candidate stands among the answers of a request, ``(requests, candidates)`` bool.

    Those of another request are left out where they may be right, too: of another source, or about what is asked. What
    is wrong for the other request may be right for this one: a candidate's own group says so, not its request's.
    """
    own: Tensor = torch.arange(len(source), device=owner.device)[:, None] == owner
    wrong = source[:, None] == source[owner]
    for group in groups.unbind(1):
        wrong &= (group[:, None] != about) | (group[:, None] == 0)
    return own | wrong


__all__ = [
    "QUESTIONS", "Lesson", "Step", "averaged", "frequent", "item_at", "lexicon", "loss_of", "optimizer_of", "step_of",
    "steps", "suited", "surprise", "taught", "wrong_or_own",
]  # fmt: skip
