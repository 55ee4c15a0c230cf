"""trl's trainers over encoded rows: SFT, DPO, KTO. The rows are encoded already, so trl's own preparation is left out.

trl, peft and torch are imported when a trainer is built. ``activation_checkpointing`` is transformers' name for
gradient checkpointing; trl switches it on by default, so it is always said here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from adapters.local.loading import LocalModel
from adapters.training.encoding import Ids, Prepared
from adapters.training.recipe import Recipe

KEPT_CHECKPOINTS: Final = 2  # the newest and the best
IGNORED: Final = -100  # the label that trl and torch leave out of a loss


def optimizer_name(recipe: Recipe, *, cuda: bool) -> str:
    """What transformers calls the optimizer: paged and in 8 bits on CUDA, else AdamW in the adapter's precision."""
    if recipe.optimizer == "auto":
        return "paged_adamw_8bit" if cuda else "adamw_torch"
    return "paged_adamw_8bit" if recipe.optimizer == "paged8" else "adamw_torch"


def lora(recipe: Recipe) -> Any:
    """LoRA on all linear layers but the head."""
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip


def steps_of(recipe: Recipe, rows: int) -> int:
    """Optimizer steps of a whole run, as the Trainer counts them."""
    passes = -(-rows // (recipe.batch * recipe.processes))
    return max(1, math.ceil(recipe.epochs * -(-passes // recipe.accumulate)))


def build(
    recipe: Recipe, local: LocalModel, rows: Prepared, folder: Path, *, wrapped: bool, callbacks: Sequence[Any] = (),
    before: Mapping[str, Any] | None = None,
) -> Any:  # fmt: skip
    """A trainer that is ready for ``train()``; its checkpoints lie in ``folder``.

    Args:
        recipe: Checked settings.
        local: The base as it is served; ``local.model`` has its adapter already if ``wrapped``.
        rows: What to learn, and what is held out.
        folder: For checkpoints.
        wrapped: Whether training goes on from an adapter. The reference of DPO and KTO is then a frozen copy of it, and
            else the base with its adapter off.
        callbacks: Further callbacks.
        before: The matrices that SFT goes on from, where old rows are held to what they say.
    """
    from datasets import Dataset
    from transformers import EarlyStoppingCallback, PrinterCallback

    exact = {name: p.detach().clone() for name, p in local.model.named_parameters() if p.requires_grad and wrapped}
    recipe = replace(recipe, epochs=recipe.epochs / rows.passes)  # a stream holds all passes
    config_class, trainer_class, extra = _method(recipe, rows)
    pairs, old = extra.get("loss_type") == "kto", bool(before and recipe.method == "sft" and recipe.keeping)
    if old and before:
        from adapters.training.keeping import keeping

        trainer_class = keeping(trainer_class, before, recipe.keeping, half=recipe.quantization != "fp32")
    trainer_class = _steady(trainer_class)
    if recipe.processes > 1:
        trainer_class = _whole_checkpoints(trainer_class)
    settings = config_class(**_arguments(recipe, local, rows, folder), **extra)
    stops = [EarlyStoppingCallback(recipe.patience)] if rows.heldout else []
    trainer = trainer_class(
        model=local.model,
        args=settings,
        train_dataset=Dataset.from_list(columns(recipe, rows.stream, pairs=pairs, old=old)),
        eval_dataset=Dataset.from_list(columns(recipe, rows.heldout, pairs=pairs, old=old)) if rows.heldout else None,
        peft_config=None if wrapped else lora(recipe),
        processing_class=local.tokenizer,
        callbacks=[*stops, *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which is for results
    if not local.device.startswith("cuda"):
        _exactly(trainer.model, exact)
    # peft makes float32 of an adapter that is loaded, but trl trains bfloat16 on a quantized base: after a resume, and
    # with the best checkpoint, the run would be another one.
    trainer.model.load_adapter = partial(trainer.model.load_adapter, autocast_adapter_dtype=False)
    return trainer


def _exactly(model: Any, exact: Mapping[str, Any]) -> None:
    """The trained matrices in float32, as they were before trl rounded them.

    AdamW keeps its moments in the precision of the matrices. In bfloat16 the second moment never falls (a thousandth
    is less than its last digit), and neither do steps of a few ten-thousandths arrive: the falling rate at the end of
    a run, which is what settles it, would do nothing.
    """
    for name, p in model.named_parameters():
        if "lora_" in name:  # the frozen reference of DPO and KTO, too
            p.data = exact[name].float() if name in exact else p.data.float()


def _arguments(recipe: Recipe, local: LocalModel, rows: Prepared, folder: Path) -> dict[str, Any]:
    cuda = local.device.startswith("cuda")
    steps = steps_of(recipe, len(rows.stream))
    every = recipe.every or max(1, steps // 20)
    judged: dict[str, Any] = {}
    if rows.heldout:
        judged = {
            "eval_strategy": "steps", "eval_steps": every, "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss", "greater_is_better": False,
        }  # fmt: skip
    return {
        "output_dir": str(folder), "num_train_epochs": recipe.epochs, "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch, "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.rate, "lr_scheduler_type": "linear", "warmup_steps": recipe.warmup,
        "weight_decay": 0.0, "max_grad_norm": 1.0, "optim": optimizer_name(recipe, cuda=cuda),
        "bf16": recipe.quantization != "fp32", "use_cpu": not cuda, "dataloader_pin_memory": False,
        "activation_checkpointing": cuda if recipe.checkpointing is None else recipe.checkpointing,
        "max_length": None, "seed": recipe.seed, "data_seed": recipe.seed, "report_to": [], "disable_tqdm": True,
        "logging_strategy": "steps", "logging_steps": min(every, steps, 10), "save_strategy": "steps",
        "save_steps": every,
        "ddp_find_unused_parameters": False,  # every matrix of an adapter has a part in every loss
        "save_total_limit": KEPT_CHECKPOINTS, "restore_callback_states_from_checkpoint": bool(rows.heldout),
        **judged,
    }  # fmt: skip


def _method(recipe: Recipe, rows: Prepared) -> tuple[Any, Any, dict[str, Any]]:
    if recipe.method == "sft":
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        return SFTConfig, SFTTrainer, {"train_sampling_strategy": "group_by_length"}
    if recipe.method == "dpo":
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DPOTrainer

        return DPOConfig, _prepared(DPOTrainer), {"beta": recipe.beta}
    from trl.trainer.kto_config import KTOConfig
    from trl.trainer.kto_trainer import KTOTrainer

    good, bad = balance([row.label is True for row in rows.train])
    loss = recipe.kto(len(rows.train))
    extra = {"beta": recipe.beta, "loss_type": loss, "desirable_weight": good, "undesirable_weight": bad}
    return KTOConfig, _prepared(KTOTrainer), extra


def _prepared(trainer: Any) -> Any:
    """The trainer without its tokenizing: the rows are token ids, tokenized as the served model tokenizes."""

    class Prepared(trainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    return Prepared


def _steady(trainer: Any) -> Any:
    """The trainer, but that a run which was interrupted goes on as the run that it was.

    transformers groups rows by length in an order from torch's own generator, whose state a resumed run gets back only
    after it has drawn. Here the order follows from the seed and the number of the pass alone. And it takes at least one
    step, also of a run whose last checkpoint says that patience was spent, or that all steps were done.
    """
    import torch
    from torch.utils.data import Sampler
    from transformers.trainer_pt_utils import LengthGroupedSampler

    class Passes(Sampler[int]):
        """What ``drawn`` draws, each pass with a generator of its own."""

        def __init__(self, drawn: LengthGroupedSampler, whose: Any) -> None:
            self.drawn, self.whose = drawn, whose

        def __len__(self) -> int:
            return len(self.drawn)

        def __iter__(self) -> Iterator[int]:
            numbers = torch.Generator().manual_seed(self.whose.args.seed + int(self.whose.state.epoch or 0))
            torch.empty((), dtype=torch.int64).random_(generator=numbers)  # the loader's, which was always the first
            self.drawn.generator = numbers
            return iter(self.drawn)

    class Steady(trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *given: Any) -> Any:
            drawn = super()._get_train_sampler(*given)
            return Passes(drawn, self) if isinstance(drawn, LengthGroupedSampler) else drawn

        def _run_epoch(self, *args: Any, **given: Any) -> None:
            noted = self.state.stateful_callbacks.get("TrainerControl", {})
            if noted.get("args", {}).get("should_training_stop"):
                self.control.should_training_stop = True
            else:
                super()._run_epoch(*args, **given)

    return Steady


def _whole_checkpoints(trainer: Any) -> Any:
    """The trainer, but that a checkpoint's last file comes when all processes have written theirs into it."""

    class Whole(trainer):  # type: ignore[misc]
        def _save_rng_state(self, output_dir: str) -> None:
            super()._save_rng_state(output_dir)
            self.accelerator.wait_for_everyone()

    return Whole


def balance(labels: Sequence[bool]) -> tuple[float, float]:
    """Weights of good and bad rows that make both count alike (KTO, Ethayarajh et al. 2024, eq. 8, lower bound)."""
    good = max(sum(labels), 1)
    bad = max(len(labels) - sum(labels), 1)
    return (1.0, round(good / bad, 4)) if good > bad else (round(bad / good, 4), 1.0)


def columns(recipe: Recipe, rows: Sequence[Ids], *, pairs: bool = False, old: bool = False) -> list[dict[str, Any]]:
    """What trl's collators take; with ``pairs``, KTO's rows carry what their KL term is estimated from.

    With ``old`` SFT's rows say whether they are old text.
    """
    if recipe.method == "sft":
        return [
            {
                "input_ids": row.prompt + row.answers[0],
                "labels": [IGNORED] * len(row.prompt)
                + [i if own else IGNORED for i, own in zip(row.answers[0], row.learned, strict=True)],
            }
            | ({"old": row.once} if old else {})
            for row in rows
        ]
    if recipe.method == "dpo":
        return [{"prompt_ids": r.prompt, "chosen_ids": r.answers[0], "rejected_ids": r.answers[1]} for r in rows]
    made = [{"prompt_ids": row.prompt, "completion_ids": row.answers[0], "label": row.label} for row in rows]
    if pairs:
        for start in range(0, len(made), recipe.batch):  # each prompt with its neighbour's answer, batch by batch
            batch = made[start : start + recipe.batch]
            for at, one in enumerate(batch):
                one["KL_completion_ids"] = batch[at - 1]["completion_ids"]
    return made


__all__ = ["KEPT_CHECKPOINTS", "balance", "build", "columns", "lora", "optimizer_name", "steps_of"]
