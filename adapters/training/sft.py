"""QLoRA training of an adapter: trl's SFTTrainer, peft's LoRA, bitsandbytes' NF4 with double quantization.

``python -m adapters.training adapter --base DIR --out DIR`` trains the front desk's adapter on generated dialogues.
``train_adapter`` takes any rows of a prompt and what is said after it (``examples.Said``): decisions train adapters
the same way.

The base is loaded by the code that serves it, in NF4 with bfloat16 compute, and the adapter is never merged: what is
trained against is what is served. Rows that are too long are dropped and counted, never truncated.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from adapters.loading import NOTE_FILE, fingerprint, load_local
from adapters.prompt import EOT
from adapters.training.corpus import FRONT_DESK, SHARES, SHORT_FIRST, Shares, item_at, reading
from adapters.training.examples import Said
from state import UserError

REPLAY_SEED: Final = 7_919
ROWS_SEED: Final = 104_729
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class AdapterReport:
    """What a training run did."""

    rows: int
    dropped_too_long: int
    replayed: int
    steps: int
    loss: float
    seconds: float
    base_fingerprint: str


def generated(n: int, seed: int) -> list[Said]:
    """``n`` rows of the front desk."""
    return _rows(seed + ROWS_SEED, n, FRONT_DESK)


def replayed(n: int, seed: int) -> list[Said]:
    """``n`` rows of what the base was trained on, so that an adapter does not forget it."""
    return _rows(seed + REPLAY_SEED, n, SHARES)


def _rows(seed: int, n: int, shares: Shares) -> list[Said]:
    """Items from where they are no longer short on; a choice is read as plain language."""
    items = (item_at(seed, SHORT_FIRST + index, shares) for index in range(n))
    return [item if isinstance(item, Said) else reading(item) for item in items]


def train_adapter(
    base: Path,
    out: Path,
    rows: Iterable[Said],
    *,
    rank: int = 16,
    alpha: int = 32,
    rate: float = 1e-3,
    batch: int = 16,
    epochs: float = 1.0,
    replay: float = 0.3,
    seed: int = 0,
    max_length: int = 1_024,
    resume: bool = True,
    device: str = "auto",
    on_progress: Progress | None = None,
) -> AdapterReport:
    """Train an adapter of ``base`` on ``rows`` and save it as a PEFT folder ``out`` with ``dojang.json``.

    Args:
        base: A model folder that ``adapters.loading`` can load.
        out: The adapter's folder; ``out/run`` keeps the trainer's checkpoints until the end.
        rows: What to learn.
        rank: LoRA rank, on all linear layers.
        alpha: LoRA scale.
        rate: Peak learning rate; it falls linearly to nought.
        batch: Rows per step.
        epochs: Passes over the rows.
        replay: Share of rows of the base's own kind that are mixed in, so that old skills stay.
        seed: Order and initial matrices follow from it.
        max_length: Tokens of prompt and completion; longer rows are dropped and counted.
        resume: Continue from the last checkpoint in ``out/run``.
        device: As for ``load_local``.
        on_progress: Called every ten steps with ``step, total, loss``.

    Raises:
        UserError: No row is left to learn from.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    torch.manual_seed(seed)
    local = load_local(base, quantization="nf4", device=device)
    wanted = list(rows)
    count = round(len(wanted) * replay / max(1 - replay, 0.1))
    old = replayed(count, seed)
    encoded = [_encode(local.tokenizer, row) for row in [*wanted, *old]]
    kept = [row for row in encoded if len(row["input_ids"]) <= max_length]
    if not kept:
        raise UserError(f"no row fits into {max_length} tokens ({len(encoded)} given); give shorter rows or raise it")
    random.Random(seed).shuffle(kept)
    cuda = local.device.startswith("cuda")
    lora = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM", revision="main"
    )
    settings = SFTConfig(
        output_dir=str(out / "run"), num_train_epochs=epochs, per_device_train_batch_size=batch, learning_rate=rate,
        lr_scheduler_type="linear", warmup_steps=10, bf16=True, use_cpu=not cuda, max_length=None,
        seed=seed, data_seed=seed, activation_checkpointing=cuda, optim="paged_adamw_8bit" if cuda else "adamw_torch",
        logging_steps=10, report_to=[],
        save_strategy="steps", save_steps=100, save_total_limit=1, disable_tqdm=True, dataloader_pin_memory=False,
        train_sampling_strategy="group_by_length", weight_decay=0.0, max_grad_norm=1.0, logging_strategy="steps",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SFTTrainer(
            model=local.model, args=settings, train_dataset=Dataset.from_list(kept), peft_config=lora,
            processing_class=local.tokenizer, callbacks=[_callback(on_progress)],
        )  # fmt: skip
        started = resume and any((out / "run").glob("checkpoint-*"))
        result = trainer.train(resume_from_checkpoint=started or None)
    trained: Any = trainer.model
    trained.save_pretrained(str(out))
    report = AdapterReport(
        len(kept), len(encoded) - len(kept), len(old), int(result.global_step), float(result.training_loss),
        round(float(result.metrics["train_runtime"]), 1), fingerprint(base),
    )  # fmt: skip
    _finish(
        out,
        report,
        {"rank": rank, "alpha": alpha, "rate": rate, "batch": batch, "epochs": epochs, "replay": replay, "seed": seed},
    )
    return report


def _encode(tok: Any, row: Said) -> dict[str, list[int]]:
    """Ids and labels: what is the model's own to say is learned, and which tool it is that is called."""
    ids: list[int] = list(tok(row.prompt, add_special_tokens=False).input_ids)
    labels = [-100] * len(ids)
    ends_itself = row.pieces[-1][0].endswith("\n")
    names = ends_itself and len(row.pieces) > 1
    for number, (text, own) in enumerate([*row.pieces, (EOT, not ends_itself)]):
        piece: list[int] = tok(text, add_special_tokens=False).input_ids
        ids += piece
        labels += piece if own or (names and number == 0) else [-100] * len(piece)
    return {"input_ids": ids, "labels": labels}


def _callback(on_progress: Progress | None) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if on_progress and logs and "loss" in logs:
                on_progress({"step": state.global_step, "total": state.max_steps, "loss": float(logs["loss"])})

    return Report()


def _finish(out: Path, report: AdapterReport, settings: dict[str, float]) -> None:
    import shutil

    shutil.rmtree(out / "run", ignore_errors=True)
    (out / "README.md").unlink(missing_ok=True)  # peft's empty card; ours is MODEL_CARD.md
    config = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "base"  # no path of the training machine
    config["target_modules"] = sorted(config["target_modules"])
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    note = {"base_fingerprint": report.base_fingerprint, "training": asdict(report), "settings": settings}
    del note["training"]["seconds"]  # type: ignore[attr-defined]
    (out / NOTE_FILE).write_text(json.dumps(note, indent=2, sort_keys=True) + "\n", encoding="utf-8")


__all__: Sequence[str] = ["AdapterReport", "generated", "replayed", "train_adapter"]
