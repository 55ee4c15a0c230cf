"""Small runs on the tiny base; as a program, one that stops in its middle until it is killed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.training.recipe import Method, Recipe
from adapters.training.run import Source, open_base, train

SMALL = Recipe(rank=4, alpha=8, batch=4, accumulate=1, rate=1e-2, epochs=2, seq=128, every=2, warmup=2, device="cpu")


def raw(method: Method, n: int = 24) -> list[dict[str, Any]]:
    """Rows as they stand in a file, each of its own length."""
    made: list[dict[str, Any]] = []
    for i in range(n):
        prompt = [{"role": "user", "content": f"Book a room for {i} guests" + " please" * (i % 5)}]
        answer = {"role": "assistant", "content": f"Booked for {i}."}
        row: dict[str, Any] = {"prompt": prompt}
        if method == "dpo":
            row |= {"chosen": answer, "rejected": f"No {i}."}
        else:
            row |= {"completion": answer} | ({"label": i % 3 > 0} if method == "kto" else {})
        made.append(row)
    return made


def run(
    base: Path,
    out: Path,
    recipe: Recipe = SMALL,
    *,
    rows: int = 24,
    start: Path | None = None,
    told: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    opened = open_base(base, recipe.quantization)
    dialect = opened.dialect()
    listed = [dialect.row(row, recipe.method) for row in raw(recipe.method, rows)]
    return train(opened, out, listed, recipe, sources=[Source("made", rows)], start=start, on_progress=told)


def _wait_at(step: int) -> Callable[[dict[str, float]], None]:
    def told(news: dict[str, float]) -> None:
        if news["step"] >= step and "loss" in news:
            print("here", flush=True)
            sys.stdin.read()

    return told


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    run(Path(sys.argv[1]), Path(sys.argv[2]), told=_wait_at(int(sys.argv[3])))
