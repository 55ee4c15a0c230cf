"""Tokens out of a local model: prefill, decoding under a grammar, scoring of candidates. One model, many callers.

Which adapter is switched on is state of the model object, so every forward pass takes the lock and switches first;
the key-value cache belongs to its call. Between two tokens nothing is held: a slow consumer blocks nobody, and a
consumer that went away stops the call at the next token. Decoding is greedy unless a temperature is given.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.errors import AdapterNotUsable, PromptTooLong
from adapters.local.loading import LocalModel
from adapters.local.matching import Matchers, Reply, chooser
from adapters.local.memory import free_bytes
from adapters.local.prefixes import PrefixCache, cache_of, limit_of
from adapters.local.scoring import padded, steps_of

_SCORE_BATCH: Final = 16
_CHUNK: Final = 512  # tokens of a prompt between two looks whether the caller is still there
HEAD_TOKENS: Final = 32  # a shorter head of a prompt is not worth a pass of its own
_UNSET: Final = object()


@dataclass
class Prefix:
    """A prompt that has been read: its tokens, the key-value cache, the next token's logits ``(vocab,) float32``."""

    ids: list[int]
    cache: Any
    logits: Any
    adapter: str | None


@dataclass(frozen=True)
class Score:
    """Log likelihood (nats) of a candidate after a prompt."""

    total: float
    tokens: int
    first: float  # of the first token alone

    @property
    def mean(self) -> float:
        """Log likelihood a token."""
        return self.total / max(self.tokens, 1)


class Engine:
    """Decodes and scores with a LocalModel. All methods may be called from many threads."""

    def __init__(self, local: LocalModel) -> None:
        self.local = local
        self._lock = threading.Lock()
        self._active: object = _UNSET
        self._vocabulary = int(local.model.config.vocab_size)
        self._stops = frozenset(local.stop_ids)
        self._forbidden = self._specials()
        self.matchers = Matchers(local.tokenizer, self._vocabulary, local.stop_ids)
        self.prefixes = PrefixCache(limit_of(free_bytes(local.device)))

    def speaker(self, adapter: str | None) -> str:
        """``base@adapter``, or ``base`` alone."""
        return self.local.name if adapter is None else f"{self.local.name}@{adapter}"

    def encode(self, text: str) -> list[int]:
        """Token ids; special tokens in ``text`` are read as such and none is added."""
        # not verbose: what is too long is told by who asked (``local.fitting``), not by a warning of the tokenizer
        whole = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text to the tokenizer
        return list(self.local.tokenizer.encode(whole, add_special_tokens=False, verbose=False))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ``ids`` without special tokens."""
        text: str = self.local.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def add_adapter(self, name: str, directory: str) -> None:
        """Load one more adapter while others may be speaking; raises AdapterNotUsable."""
        with self._lock:
            self._active = _UNSET
            self.local.add_adapter(name, directory)

    def read(
        self,
        ids: Sequence[int],
        *,
        adapter: str | None,
        reserve: int = 1,
        head: int = 0,
        cancelled: Callable[[], bool] | None = None,
    ) -> Prefix:
        """Read a prompt of at least one token.

        Args:
            ids: Its tokens.
            adapter: Who reads.
            reserve: How many tokens of the context have to be left.
            head: How many of the first tokens will come again in other prompts (system text, tools): they are read in a
                pass of their own and kept, and the logits are the same whether they had been kept before or not.
            cancelled: Looked at between pieces of a long prompt; if it says so the prefix has no logits.

        Raises:
            PromptTooLong: Fewer than ``reserve`` tokens are left.
        """
        self._check(adapter)
        if self.local.context - len(ids) < reserve:
            raise PromptTooLong(
                f"the prompt has {len(ids)} tokens and {self.local.name} holds {self.local.context} with its reply; "
                "shorten the conversation or give fewer passages"
            )
        ids = list(ids)
        head = min(head, len(ids) - 1) if head >= HEAD_TOKENS else 0
        kept = self.prefixes.get(adapter, ids[:head]) if head else None
        prefix = Prefix(ids, cache_of(self.local.model.config, kept or []), None, adapter)
        if head and kept is None:
            self._forward(prefix, ids[:head])
            self.prefixes.put(adapter, ids[:head], prefix.cache)
        chunk = len(ids) if cancelled is None else _CHUNK
        for start in range(head, len(ids), chunk):
            if cancelled is not None and cancelled():
                return Prefix(ids, prefix.cache, None, adapter)
            prefix.logits = self._forward(prefix, ids[start : start + chunk])
        return prefix

    def reply(
        self,
        read: int,
        *,
        grammar: str | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Reply:
        """A reply that has not begun, after a prompt of ``read`` tokens."""
        return Reply(
            None if grammar is None else self.matchers.fresh(grammar),
            stops=self._stops,
            forbidden=self._forbidden,
            left=min(max_tokens, self.local.context - read),
            choose=chooser(temperature, seed),
        )

    def generate(
        self,
        prefix: Prefix,
        *,
        grammar: str | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[int]]:
        """The reply's tokens as they come, usually one, several where the grammar forces them; never a stop token.

        The generator returns at a stop token, at a grammar's end, after ``max_tokens``, at the end of the context,
        or when ``cancelled`` says so. ``prefix`` is used up.
        """
        reply = self.reply(len(prefix.ids), grammar=grammar, max_tokens=max_tokens, temperature=temperature, seed=seed)
        while not cancelled() and (step := reply.next(prefix.logits)):
            yield step
            if reply.goes_on and not cancelled():
                prefix.logits = self._forward(prefix, step)
                prefix.ids.extend(step)

    def extend(self, prefix: Prefix, ids: Sequence[int]) -> None:
        """Read on: ``prefix`` then ends with ``ids``. Raises PromptTooLong."""
        if len(prefix.ids) + len(ids) >= self.local.context:
            raise PromptTooLong(f"the reply does not fit into the {self.local.context} tokens of {self.local.name}")
        prefix.logits = self._forward(prefix, ids)
        prefix.ids.extend(ids)

    def score(
        self, prefix: Prefix, candidates: Sequence[Sequence[int]], *, skip: Sequence[int] | None = None
    ) -> list[Score]:
        """How likely each (non-empty) candidate is after ``prefix``, in order; ``prefix`` stays usable.

        Of each candidate the first ``skip`` tokens are read without being counted.
        """
        return [
            Score(float(row[left:].sum()), len(row) - left, float(row[0]))
            for row, left in zip(self.surprises(prefix, candidates), skip or [0] * len(candidates), strict=True)
        ]

    def steps(self, prefix: Prefix, candidates: Sequence[Sequence[int]], stop: int) -> list[tuple[Any, Any]]:
        """For each candidate the log likelihoods of its tokens, and of ``stop`` after each of them, ``(tokens,)``."""
        return self._scored(prefix, candidates, stop)

    def surprises(self, prefix: Prefix, candidates: Sequence[Sequence[int]]) -> list[Any]:
        """Log likelihood of every token of each candidate after ``prefix``, ``(tokens,)`` each."""
        return [tokens for tokens, _ in self._scored(prefix, candidates, None)]

    def _scored(self, prefix: Prefix, candidates: Sequence[Sequence[int]], stop: int | None) -> list[tuple[Any, Any]]:
        import torch

        first = torch.log_softmax(prefix.logits, dim=-1)
        found: list[Any] = [None] * len(candidates)
        order = sorted(range(len(candidates)), key=lambda i: len(candidates[i]))  # little padding
        for start in range(0, len(order), _SCORE_BATCH):
            places = order[start : start + _SCORE_BATCH]
            batch = [candidates[i] for i in places]
            rows = padded(batch, self.local.device)
            cache = copy.deepcopy(prefix.cache)
            cache.batch_repeat_interleave(len(batch))
            logits = torch.log_softmax(self._run(rows, cache, prefix.adapter, keep=0), dim=-1)
            steps = steps_of([first] * len(batch), logits, rows, batch, stop)
            for place, of_candidate in zip(places, steps, strict=True):
                found[place] = of_candidate
        return found

    def likelihoods(self, prefix: Prefix, ids: Sequence[int]) -> list[float]:
        """Log likelihood of each of ``ids`` as the very next token."""
        import torch

        values: list[float] = torch.log_softmax(prefix.logits, dim=-1)[list(ids)].tolist()
        return values

    def _forward(self, prefix: Prefix, ids: Sequence[int]) -> Any:
        import torch

        rows = torch.tensor([list(ids)], dtype=torch.long, device=self.local.device)
        return self._run(rows, prefix.cache, prefix.adapter, keep=1)[0, -1]

    def step(self, rows: Any, cache: Any, adapter: str | None, *, mask: Any, places: Any, keep: int = 1) -> Any:
        """Logits ``(batch, keep, vocab) float32`` after one more step of a batch, 0 keeps those of all its tokens.

        See ``adapters.local.batching`` and ``branches``.
        """
        return self._run(rows, cache, adapter, keep=keep, attention_mask=mask, position_ids=places)

    def _run(self, rows: Any, cache: Any, adapter: str | None, *, keep: int, **options: Any) -> Any:
        """Logits ``(batch, kept, vocab) float32`` of one forward pass under one adapter; extends ``cache``."""
        import torch

        with self._lock, torch.no_grad():
            self._switch(adapter)
            out = self.local.model(
                input_ids=rows, past_key_values=cache, use_cache=True, logits_to_keep=keep, **options
            )
        return out.logits.float()

    def _switch(self, adapter: str | None) -> None:
        if adapter == self._active or not self.local.adapters:
            return
        model = self.local.model
        if adapter is None:
            model.base_model.disable_adapter_layers()
        else:
            if self._active is None or self._active is _UNSET:
                model.base_model.enable_adapter_layers()
            model.set_adapter(adapter, inference_mode=True)
        self._active = adapter

    def _check(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self.local.adapters:
            known = ", ".join(sorted(self.local.adapters)) or "none"
            raise AdapterNotUsable(f"adapter {adapter!r} is not loaded on {self.local.name} (loaded: {known})")

    def _specials(self) -> list[int]:
        """Special tokens that no reply may contain: all but the stops (Llama's python tag among them)."""
        added = self.local.tokenizer.added_tokens_decoder
        return [i for i, token in added.items() if token.special and i not in self._stops and i < self._vocabulary]
