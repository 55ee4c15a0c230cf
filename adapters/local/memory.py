"""How much memory the weights of a checkpoint will take, read from its safetensors headers, and how much is free.

An estimate, made before loading. Per weight: 4.127 bits for NF4 with double quantization, 8 bits and a scale a row for
int8, 2 or 4 bytes else. Embeddings, the output layer, norms and biases stay at 2 bytes in the quantized forms. While
loading, the largest tensor is there twice, and the libraries' working memory is counted at 5 %.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from adapters.errors import ModelNotUsable

GIB: Final = 2**30
NF4_BITS: Final = 4.127
_OVERHEAD: Final = 1.05
_KEPT: Final = ("embed", "lm_head", "wte", "norm")  # parts of names that are never quantized
_STORED: Final = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2}
_CGROUP: Final = Path("/sys/fs/cgroup")


def load_bytes(folder: Path, quantization: str) -> int:
    """Bytes that loading takes at its peak; for pickled weights, what their files take."""
    tensors = list(_tensors(folder))
    if not tensors:
        return int(sum(f.stat().st_size for f in folder.glob("*.bin")) * (2 if quantization == "fp32" else 1))
    held = sum(_held(name, shape, quantization) for name, shape, _ in tensors)
    largest = max(math.prod(shape) * size for _, shape, size in tensors)
    return int((held + largest) * _OVERHEAD)


def free_bytes(device: str) -> int:
    """What this process can still take on ``device``: free memory, or the room in its control group where less."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (_CGROUP / "memory.max").read_text().strip(), int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    if not limit.isdigit():
        return free
    return min(free, int(limit) - used + _reclaimable())


def check_memory(folder: Path, quantization: str, device: str) -> None:
    """Raise ModelNotUsable, with what would fit, where the weights will not."""
    need, free = load_bytes(folder, quantization), free_bytes(device)
    if need <= free:
        return
    others = {kind: load_bytes(folder, kind) for kind in ("bf16", "int8", "nf4") if kind != quantization}
    fits = [f"{kind} ({_gib(size)})" for kind, size in others.items() if size <= free]
    hint = f"load it as {' or '.join(fits)}" if fits else "free memory, or take a smaller checkpoint"
    raise ModelNotUsable(
        f"{folder} needs about {_gib(need)} as {quantization} and {device} has {_gib(free)} free; {hint}"
    )


def _tensors(folder: Path) -> Iterator[tuple[str, list[int], int]]:
    """(name, shape, bytes an element) of every tensor, from the headers alone: 8 bytes of length, then JSON."""
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            header = json.loads(handle.read(length))
        for name, entry in header.items():
            if name != "__metadata__":
                yield name, entry["shape"], _STORED.get(entry["dtype"], 1)


def _held(name: str, shape: list[int], quantization: str) -> float:
    count = math.prod(shape)
    if quantization == "fp32":
        return count * 4
    if quantization == "bf16" or len(shape) != 2 or any(part in name for part in _KEPT):
        return count * 2
    return count * NF4_BITS / 8 if quantization == "nf4" else count + 4 * shape[0]


def _reclaimable() -> int:
    """Bytes of file cache that count as used in the control group and are given back when needed."""
    try:
        rows = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return int(rows.get("inactive_file", 0)) + int(rows.get("active_file", 0))
    except (OSError, ValueError):
        return 0


def _gib(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 100 else f"{size / 2**20:.1f} MiB"
