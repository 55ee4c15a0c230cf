"""Training tokens a second on the shipped base: plain trl with its defaults beside ours, on the same rows.

``python benchmarks/training_speed.py [--rows 96] [--repeat 2]``. Each line is a process of its own, in turns, and the
best of the repeats counts: the machine's load only ever slows down. Tokens are those of the rows, padding left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MALLOC = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
PLAIN: dict[str, Any] = {}
OURS: dict[str, Any] = {"activation_checkpointing": False, "train_sampling_strategy": "group_by_length"}
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "trl with its defaults": (PLAIN, {}),
    "nothing recomputed": ({"activation_checkpointing": False}, {}),
    "and rows of like length together (ours)": (OURS, {}),
    "ours, OMP_WAIT_POLICY=PASSIVE": (OURS, PASSIVE),
    "ours, passive, malloc keeps pages": (OURS, PASSIVE | MALLOC),
    "ours, padding-free": (OURS | {"padding_free": True}, PASSIVE | MALLOC),
}


def measure(settings: dict[str, Any], rows: int) -> tuple[float, float]:
    """Tokens a second, and a second of CPU, of one epoch after the model is loaded."""
    import warnings

    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from adapters.local.loading import load_local
    from adapters.serving import WEIGHTS
    from adapters.training.encoding import prepare
    from adapters.training.sft import RECIPE, generated, row_of
    from adapters.training.trainers import columns, lora

    warnings.simplefilter("ignore")
    local = load_local(WEIGHTS / "base", quantization="nf4", device="cpu")
    prepared = prepare(local.tokenizer, [row_of(said) for said in generated(rows, 0)], RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=local.model,
            args=SFTConfig(
                output_dir=folder, num_train_epochs=1, per_device_train_batch_size=RECIPE.batch, use_cpu=True,
                learning_rate=RECIPE.rate, max_length=None, report_to=[], save_strategy="no", disable_tqdm=True,
                dataloader_pin_memory=False, **settings,
            ),
            train_dataset=Dataset.from_list(columns(RECIPE, prepared.train)),
            peft_config=lora(RECIPE),
            processing_class=local.tokenizer,
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        begun, spent = time.monotonic(), time.process_time()
        trainer.train()
        return prepared.tokens / (time.monotonic() - begun), prepared.tokens / (time.process_time() - spent)


def main() -> int:
    """One line a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(VARIANTS[asked.one][0], asked.rows)))
        return 0
    best = dict.fromkeys(VARIANTS, (0.0, 0.0))
    root = Path(__file__).parents[1]
    for _ in range(asked.repeat):
        for name, (_settings, environment) in VARIANTS.items():
            command = [sys.executable, __file__, "--one", name, "--rows", str(asked.rows)]
            env = {**os.environ, "PYTHONPATH": str(root), "TORCHDYNAMO_DISABLE": "1", **environment}
            ran = subprocess.run(command, env=env, capture_output=True, text=True)
            if ran.returncode:
                print(f"| {name} | failed: {ran.stderr.strip().splitlines()[-1][:120]} | | |")
                continue
            best[name] = max(best[name], tuple(json.loads(ran.stdout.strip().splitlines()[-1])))
    first = best["trl with its defaults"][0] or 1.0
    print("| | tokens/s | of trl's defaults | tokens a CPU-second |\n|---|---|---|---|")
    for name, (speed, of_cpu) in best.items():
        print(f"| {name} | {speed:,.0f} | {speed / first:.2f} | {of_cpu:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
