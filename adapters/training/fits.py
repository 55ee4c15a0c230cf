"""Whether a run fits into what this machine has free, said before anything is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from adapters.local.memory import free_bytes
from adapters.training.encoding import Prepared
from adapters.training.plan import GIB, Run, predict
from adapters.training.recipe import Recipe
from adapters.training.shapes import shape_of
from adapters.training.trainers import KEPT_CHECKPOINTS, optimizer_name
from state import UserError

SPARE_BYTES: Final = 64 * 2**20


def planned(recipe: Recipe, device: str, seq: int) -> Run:
    """The run as ``adapters.training.plan`` describes it; ``seq`` is the longest row there is."""
    cuda = device.startswith("cuda")
    return Run(
        method=recipe.method,
        seq=seq,
        batch=recipe.batch,
        rank=recipe.rank,
        quantization=recipe.quantization,
        checkpointing=cuda if recipe.checkpointing is None else recipe.checkpointing,
        paged=optimizer_name(recipe, cuda=cuda).startswith("paged"),
        device="cuda" if cuda else "cpu",
    )


def check_memory(config: Mapping[str, Any], recipe: Recipe, device: str, rows: Prepared) -> None:
    """Raises UserError where the predicted peak exceeds what is free."""
    longest = max(row.length for row in [*rows.train, *rows.heldout])
    needed = predict(shape_of(config), planned(recipe, device, longest)).total
    if not device.startswith("cuda"):  # a card each, but one memory of the machine for all
        needed *= recipe.processes
    free = free_bytes(device)
    if needed > free:
        raise UserError(
            f"this run needs about {needed / GIB:.1f} GiB of memory, and {free / GIB:.1f} GiB are free; "
            "lower batch or seq (`dojang adapters plan` says what helps most), or take a smaller base"
        )


def check_disk(config: Mapping[str, Any], recipe: Recipe, folder: Path) -> None:
    """Raises UserError where checkpoints and adapter would not fit."""
    adapter = shape_of(config).adapter_parameters(recipe.rank)
    each = adapter * 4 + adapter * 8  # the matrices, and the optimizer's two moments, at most
    needed = each * (KEPT_CHECKPOINTS + 1) + adapter * 4 + SPARE_BYTES
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"checkpoints and adapter need {needed / GIB:.2f} GiB on the disk of {folder}, {free / GIB:.2f} GiB are "
            "free; free some, name another folder, or lower rank"
        )


__all__ = ["check_disk", "check_memory", "planned"]
