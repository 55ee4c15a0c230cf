"""Key-value caches as values: the kept heads of prompts, and several prompts side by side in one batch.

A transformers ``DynamicCache`` grows by concatenation and never writes into the tensors that it has, so the tensors of
a prefix can be kept and given to many replies without a copy. If that changed, ``test_prefixes`` would go red.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

KeyValues: TypeAlias = list[tuple[Any, Any]]
"""Keys and values of each layer, ``(batch, heads, tokens, width)``."""
LEAST_BYTES: Final = 64 * 2**20
MOST_BYTES: Final = 2 * 2**30


def limit_of(free: int) -> int:
    """Bytes for kept heads where ``free`` bytes are free: a tenth, within bounds (an 8B model: 128 KiB a token)."""
    return max(LEAST_BYTES, min(free // 10, MOST_BYTES))


class PrefixCache:
    """What was read of prompt heads, by adapter and tokens. Thread-safe; the least recently used go first.

    Args:
        limit: Bytes that are kept at most; a head larger than that is not kept.
    """

    def __init__(self, limit: int = LEAST_BYTES) -> None:
        self.limit = limit
        self.held = 0
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str | None, tuple[int, ...]], tuple[KeyValues, int]] = OrderedDict()

    def get(self, adapter: str | None, ids: Sequence[int]) -> KeyValues | None:
        """What was kept for exactly these tokens under this adapter."""
        key = (adapter, tuple(ids))
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._kept.move_to_end(key)
            return found[0]

    def put(self, adapter: str | None, ids: Sequence[int], cache: Any) -> None:
        """Keep what ``cache`` holds by now."""
        layers = [(layer.keys, layer.values) for layer in cache.layers]
        size = sum(t.numel() * t.element_size() for pair in layers for t in pair)
        key = (adapter, tuple(ids))
        with self._lock:
            if size > self.limit or key in self._kept:
                return
            self._kept[key] = (layers, size)
            self.held += size
            while self.held > self.limit:
                self.held -= self._kept.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._kept)


def cache_of(config: Any, layers: KeyValues) -> Any:
    """A new cache that begins with ``layers``."""
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    for n, (keys, values) in enumerate(layers):
        cache.update(keys, values, n)
    return cache


def side_by_side(config: Any, caches: Sequence[Any]) -> tuple[Any, Any]:
    """Caches of one row each as one batch, padded on the left, and its mask ``(rows, longest)``, 0 for padding."""
    import torch
    from torch.nn.functional import pad

    lengths = [int(cache.get_seq_length()) for cache in caches]
    longest = max(lengths)
    layers: KeyValues = []
    for n in range(len(caches[0].layers)):
        both = [
            torch.cat(
                [
                    pad(getattr(c.layers[n], part), (0, 0, longest - length, 0))
                    for c, length in zip(caches, lengths, strict=True)
                ]
            )
            for part in ("keys", "values")
        ]
        layers.append((both[0], both[1]))
    mask = torch.zeros((len(caches), longest), dtype=torch.long, device=layers[0][0].device)
    for row, length in enumerate(lengths):
        mask[row, longest - length :] = 1
    return cache_of(config, layers), mask
