"""Several continuations of one prompt, read and scored side by side: one forward pass for all of them.

A pass of a small model costs next to the same for four rows as for one: the calls of its layers are what it costs. Rows
are padded on the left where they read different numbers of tokens, which the mask hides. In float32 each row is what it
would be alone; in bfloat16 sums are rounded differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.errors import PromptTooLong
from adapters.local.engine import Engine, Prefix
from adapters.local.prefixes import cache_of
from adapters.local.scoring import padded, steps_of

SCORED_TOKENS: Final = 1024  # of a pass, padding included: the logits are (tokens, vocab) float32


class Branches:
    """Continuations of ``prefix``, at first one: the prompt itself.

    ``rows``: each one's tokens and the next token's logits; their ``cache`` is None, the cache is common.
    """

    def __init__(self, engine: Engine, prefix: Prefix) -> None:
        import torch

        self._engine, self._adapter, self._cache = engine, prefix.adapter, prefix.cache
        self._mask = torch.ones((1, len(prefix.ids)), dtype=torch.long, device=engine.local.device)
        self.rows = [Prefix(list(prefix.ids), None, prefix.logits, prefix.adapter)]

    def take(self, places: Sequence[int]) -> Branches:
        """Some of the rows, in this order; one may be taken several times. These stay as they are."""
        taken = object.__new__(Branches)
        taken._engine, taken._adapter = self._engine, self._adapter
        taken._cache, taken._mask = self._copied(places)
        taken.rows = [Prefix(list(row.ids), None, row.logits, row.adapter) for row in (self.rows[n] for n in places)]
        return taken

    def extend(self, ids: Sequence[Sequence[int]]) -> None:
        """Read on: each row then ends with its tokens, one at least. Raises PromptTooLong."""
        import torch

        local = self._engine.local
        if any(len(row.ids) + len(more) >= local.context for row, more in zip(self.rows, ids, strict=True)):
            raise PromptTooLong(f"the reply does not fit into the {local.context} tokens of {local.name}")
        width = max(len(more) for more in ids)
        read, shown, places = (torch.zeros((len(ids), width), dtype=torch.long) for _ in range(3))
        for n, (row, more) in enumerate(zip(self.rows, ids, strict=True)):
            read[n, width - len(more) :] = torch.tensor(list(more))
            shown[n, width - len(more) :] = 1
            places[n, width - len(more) :] = torch.arange(len(row.ids), len(row.ids) + len(more))
        self._mask = torch.cat([self._mask, shown.to(local.device)], dim=1)
        logits = self._engine.step(
            read.to(local.device), self._cache, self._adapter, mask=self._mask, places=places.to(local.device)
        )
        for n, (row, more) in enumerate(zip(self.rows, ids, strict=True)):
            row.ids.extend(more)
            row.logits = logits[n, -1]

    def steps(self, candidates: Sequence[Sequence[Sequence[int]]], stop: int) -> list[list[tuple[Any, Any]]]:
        """For each row's (non-empty) candidates the log likelihoods of their tokens, and of ``stop`` after each.

        The rows stay as they are.
        """
        import torch

        found: list[list[Any]] = [[None] * len(of_row) for of_row in candidates]
        first = [torch.log_softmax(row.logits, dim=-1) for row in self.rows]
        todo = sorted(
            ((n, k) for n, of_row in enumerate(candidates) for k in range(len(of_row))),
            key=lambda at: len(candidates[at[0]][at[1]]),  # little padding
        )
        while todo:
            batch = [todo.pop(0)]
            while todo and (len(batch) + 1) * len(candidates[todo[0][0]][todo[0][1]]) <= SCORED_TOKENS:
                batch.append(todo.pop(0))
            of_batch = [candidates[n][k] for n, k in batch]
            logits, read = self._read([n for n, _ in batch], of_batch)
            steps = steps_of([first[n] for n, _ in batch], logits, read, of_batch, stop)
            for (n, k), of_candidate in zip(batch, steps, strict=True):
                found[n][k] = of_candidate
        return found

    def _read(self, places: Sequence[int], candidates: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Log likelihoods ``(rows, width, vocab)`` after each token of candidates at the ends of rows; those tokens."""
        import torch

        device = self._engine.local.device
        read = padded(candidates, device)
        cache, mask = self._copied(places)
        mask = torch.cat([mask, torch.ones_like(read)], dim=1)  # what follows a candidate is seen by nothing before it
        begin = torch.tensor([[len(self.rows[n].ids)] for n in places], device=device)
        logits = self._engine.step(
            read, cache, self._adapter, mask=mask, places=begin + torch.arange(read.shape[1], device=device), keep=0
        )
        return torch.log_softmax(logits, dim=-1), read

    def _copied(self, places: Sequence[int]) -> tuple[Any, Any]:
        import torch

        chosen = torch.tensor(list(places), device=self._engine.local.device)
        layers = [(layer.keys[chosen], layer.values[chosen]) for layer in self._cache.layers]
        return cache_of(self._engine.local.model.config, layers), self._mask[chosen]
