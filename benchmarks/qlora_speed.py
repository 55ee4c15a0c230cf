"""QLoRA on a card: tokens a second and peak memory of this project's recipe beside plain trl, on the same random base.

``python benchmarks/qlora_speed.py [--bases Llama-3.2-1B Llama-3.1-8B] [--batch 4] [--seq 512]``. Both are trl's SFT of
the same rows on the same NF4 base: trl with its defaults and a LoRA of the same rank, and what
``dojang adapters train`` builds (paged 8-bit AdamW, rows of like length together). Each line is a process of its own;
the first three steps are not counted. ``--device cpu --bases embedded`` tries everything but the card.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from adapters.local.loading import LocalModel
from adapters.serving import WEIGHTS
from adapters.training import tokenizer
from adapters.training.encoding import Ids, Prepared
from adapters.training.hollow import bare
from adapters.training.plan import GIB, Run, predict
from adapters.training.recipe import Recipe
from adapters.training.shapes import shape_named
from adapters.training.trainers import build, columns, lora

WAYS = ("trl with its defaults", "this project")
WARM, COUNTED = 3, 8
RANK = 16


def measure(way: str, base: str, batch: int, seq: int, device: str) -> dict[str, float]:
    """Tokens a second of the counted steps, and torch's peak bytes."""
    from transformers import PrinterCallback, TrainerCallback

    warnings.simplefilter("ignore")
    shape = shape_named(base)
    rng = random.Random(0)
    rows = [
        Ids([rng.randrange(shape.words) for _ in range(seq - 64)], [[rng.randrange(shape.words) for _ in range(64)]],
            [True] * 64, None, str(i))
        for i in range(batch * (WARM + COUNTED))
    ]  # fmt: skip
    ticks: list[float] = []

    class Ticking(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            ticks.append(time.monotonic())

    model = bare(shape, device=device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(way, model, rows, batch, Path(folder), device)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Ticking())
        trainer.train()
    told = {"tokens_per_s": batch * seq * (len(ticks) - WARM) / (ticks[-1] - ticks[WARM - 1])}
    if device.startswith("cuda"):
        told["allocated"] = torch.cuda.max_memory_allocated()
    return told


def _trainer(way: str, model: Any, rows: list[Ids], batch: int, folder: Path, device: str) -> Any:
    recipe = Recipe(rank=RANK, batch=batch, accumulate=1, heldout=0.0, every=1_000, epochs=1.0).checked()
    words = tokenizer.load(WEIGHTS / "base")
    if way == WAYS[1]:
        local = LocalModel("random", folder, "", "nf4", device, model, words, 4_096, ())
        return build(recipe, local, Prepared(rows, [], len(rows), 0), folder, wrapped=False)
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    return SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder), per_device_train_batch_size=batch, max_length=None, report_to=[],
            save_strategy="no", disable_tqdm=True, use_cpu=not device.startswith("cuda"),
        ),
        train_dataset=Dataset.from_list(columns(recipe, rows)),
        peft_config=lora(replace(recipe)),
        processing_class=words,
    )  # fmt: skip


def main() -> int:
    """One line a base and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bases", nargs="+", default=["Llama-3.2-1B", "Llama-3.1-8B"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one, asked.batch, asked.seq, asked.device)))
        return 0
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA here: nothing was measured (--device cpu --bases embedded tries the program itself)")
        return 0
    print("| base | batch × tokens | | tokens/s | torch's peak GiB | predicted |\n|---|---|---|---|---|---|")
    for base in asked.bases:
        run = Run(seq=asked.seq, batch=asked.batch, paged=True, rank=RANK)
        for way in WAYS:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", way, base]
            ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
            if ran.returncode:
                print(f"| {base} | | {way} | failed: {ran.stderr.strip().splitlines()[-1][:200]} | | |", flush=True)
                continue
            told = json.loads(ran.stdout.strip().splitlines()[-1])
            peak = f"{told['allocated'] / GIB:.2f}" if "allocated" in told else "–"
            said = f"{predict(shape_named(base), run).total / GIB:.2f}" if way == WAYS[1] else "–"
            print(
                f"| {base} | {asked.batch} × {asked.seq} | {way} | {told['tokens_per_s']:,.0f} | {peak} | {said} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
