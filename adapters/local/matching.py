"""Grammars at work: compiled once by llguidance, copied for each reply, and laid over the logits as a mask.

A compiled grammar is kept by its text (the newest ``_KEPT``): a second reply under the same tools and words is a copy.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from state import BrokenInvariant

_KEPT: Final = 64


class Matchers:
    """Gives out matchers for the tokenizer of one model. Thread-safe.

    Args:
        tokenizer: A fast tokenizer of transformers.
        vocabulary: How many logits the model has.
        stop_ids: The tokens that end a reply.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, stop_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._stop_ids = list(stop_ids)
        self._lock = threading.Lock()
        self._view: Any = None
        self._compiled: OrderedDict[str, Any] = OrderedDict()
        self.compilations = 0

    def fresh(self, grammar: str) -> Any:
        """A matcher at the beginning of ``grammar`` (Lark, llguidance dialect)."""
        from llguidance import LLMatcher

        with self._lock:
            found = self._compiled.get(grammar)
            if found is None:
                found = LLMatcher(self._tokens(), LLMatcher.grammar_from_lark(grammar))
                self.compilations += 1
                if found.is_error():
                    raise BrokenInvariant(f"the turn's grammar does not compile: {found.get_error().splitlines()[0]}")
                self._compiled[grammar] = found
                if len(self._compiled) > _KEPT:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(grammar)
            return found.deep_copy()

    def _tokens(self) -> Any:
        """Llguidance's view of the tokenizer: milliseconds for 8,192 tokens, about a second for 128,000; kept."""
        from llguidance.hf import from_tokenizer

        if self._view is None:
            self._view = from_tokenizer(self._tokenizer, n_vocab=self._vocabulary, eos_token=self._stop_ids)
        return self._view


class Reply:
    """One reply under decoding: logits go in, the next tokens come out.

    Args:
        matcher: Of its grammar, or None for free text.
        stops: Token ids that end it.
        forbidden: Token ids that free text may not contain.
        left: How many tokens it may have.
        choose: Picks a token from masked logits ``(vocab,) float32``.
    """

    def __init__(
        self,
        matcher: Any,
        *,
        stops: frozenset[int],
        forbidden: Sequence[int],
        left: int,
        choose: Callable[[Any], int],
    ) -> None:
        self._matcher = matcher
        self._stops = stops
        self._forbidden = [] if matcher is not None else list(forbidden)
        self._choose = choose
        self.left = left

    @property
    def goes_on(self) -> bool:
        """Whether another token may come."""
        return self.left > 0 and not (self._matcher is not None and self._matcher.is_stopped())

    def next(self, logits: Any) -> list[int]:
        """The next tokens: one, or several where the grammar forces them; [] when the reply is over."""
        if not self.goes_on:
            return []
        forced = [] if self._matcher is None else list(self._matcher.compute_ff_tokens())
        if forced:
            step = [token for token in forced if token not in self._stops][: self.left]
        else:
            step = [self._choose(self._masked(logits))]
            if step[0] in self._stops:
                return []
        if self._matcher is not None and step and not self._matcher.consume_tokens(step):
            raise BrokenInvariant(
                f"the turn's grammar refused its own token: {self._matcher.get_error().splitlines()[0]}"
            )
        self.left -= len(step)
        return step

    def _masked(self, logits: Any) -> Any:
        import numpy as np
        import torch

        out = logits.clone()
        if self._matcher is not None:
            bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
            refused = np.ones(len(out), dtype=bool)
            refused[: len(bits)] = bits[: len(out)] == 0
            if self._matcher.is_error() or refused.all():
                raise BrokenInvariant(
                    f"the turn's grammar came to a dead end: {self._matcher.get_error().splitlines()[:1]}"
                )
            out.masked_fill_(torch.from_numpy(refused).to(out.device), float("-inf"))
        if self._forbidden:
            out[self._forbidden] = float("-inf")
        return out


def chooser(temperature: float, seed: int | None) -> Callable[[Any], int]:
    """Greedy at temperature 0, else sampling; the same seed draws the same."""
    import torch

    if temperature <= 0:
        return lambda logits: int(logits.argmax())
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)

    def sample(logits: Any) -> int:
        weights = torch.softmax(logits.cpu() / temperature, dim=-1)
        return int(torch.multinomial(weights, 1, generator=generator))

    return sample
