"""Counts the bytes of all living tensors, exactly and repeatably: what a prediction of memory is compared with.

    with Meter(model) as meter:
        step()
    print(meter.peak)

Every tensor that an operation gives back is seen when it is made and when its storage is freed, so that the load of the
machine has no part in it, and tensors on the ``meta`` device count as if they were there. What operations use inside
themselves, and what an allocator keeps in reserve, is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of living tensors. ``now`` and ``peak`` are bytes; ``seen`` those of modules given at the start."""

    def __init__(self, *modules: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._alive: dict[int, weakref.ref[Any]] = {}
        for module in modules:
            for tensor in tensors_of(module):
                self.count(tensor)
        self.seen = self.now

    def count(self, tensor: torch.Tensor) -> None:
        """Count the storage of a tensor from now until it is freed; again counts nothing."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive or not size:
            return

        def freed(_: object, key: int = key, size: int = size) -> None:
            if self._alive.pop(key, None) is not None:
                self.now -= size

        self._alive[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)

    def reset(self) -> None:
        """Begin a new peak at what is alive now."""
        self.peak = self.now

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it gives back."""
        out = func(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, torch.Tensor):
                self.count(value)
        return out


def tensors_of(module: torch.nn.Module) -> Iterable[torch.Tensor]:
    """Parameters, buffers, and what bitsandbytes keeps beside a quantized weight."""
    yield from module.buffers()
    for parameter in module.parameters():
        yield parameter.data
        for state in (getattr(parameter, "quant_state", None), getattr(parameter.data, "quant_state", None)):
            while state is not None:
                yield from (
                    value
                    for value in (state.absmax, state.code, getattr(state, "offset", None))
                    if isinstance(value, torch.Tensor)
                )
                state = getattr(state, "state2", None)


__all__ = ["Meter", "tensors_of"]
