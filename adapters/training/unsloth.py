"""Unsloth as another way to load and wrap the base: faster on CUDA, imported only when it is asked for.

It patches trl and transformers when it is imported. What it is told here is tested against a stand-in module; it has
not been run by us, because it needs CUDA. The training itself stays trl's.
"""

from __future__ import annotations

from pathlib import Path

from adapters.local.loading import LocalModel, fingerprint
from adapters.training.recipe import Recipe
from state import UserError

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def load_unsloth(base: Path, recipe: Recipe, device: str, start: Path | None) -> LocalModel:
    """The base with its adapter on it; raises UserError where Unsloth is missing or cannot do what is wanted."""
    if start is not None:
        raise UserError("going on from an adapter is not supported with Unsloth here; leave the backend at trl")
    if recipe.quantization not in ("nf4", "int8", "bf16"):
        raise UserError(f"Unsloth does not load {recipe.quantization}; use nf4, or leave the backend at trl")
    try:
        from unsloth import FastLanguageModel
    except ImportError as e:
        raise UserError(
            f"Unsloth is not installed ({e}); `pip install unsloth` on a machine with CUDA, or leave the backend at trl"
        ) from None
    except NotImplementedError as e:  # what it raises itself where there is no accelerator
        raise UserError(f"Unsloth cannot run here ({e}); leave the backend at trl") from None
    import torch

    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=str(base),
        max_seq_length=recipe.seq,
        dtype=torch.bfloat16,
        load_in_4bit=recipe.quantization == "nf4",
        load_in_8bit=recipe.quantization == "int8",
        local_files_only=True,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(LINEARS),
        bias="none",
        use_gradient_checkpointing=False if recipe.checkpointing is False else "unsloth",
        random_state=recipe.seed,
        max_seq_length=recipe.seq,
    )
    return LocalModel(
        name=base.resolve().name,
        directory=base,
        fingerprint=fingerprint(base),
        quantization="nf4" if recipe.quantization == "nf4" else "bf16",
        device=device,
        model=model,
        tokenizer=tokenizer,
        context=recipe.seq,
        stop_ids=(),
    )


__all__ = ["LINEARS", "load_unsloth"]
