"""Training steps over tensors without storage: the true shapes of an 8B base, counted on any machine.

``python -m adapters.training.hollow llama-3.1-8b --seq 512`` prints what was counted beside what is predicted.

The modules are transformers', peft's and bitsandbytes' own on torch's ``meta`` device, and so is every operation that a
step consists of. Left out is what needs values or a card: attention is taken as torch's fused one (as on CUDA, without
a padding mask), and what kernels use inside themselves is not seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from adapters.training.meter import Meter
from adapters.training.plan import GIB, Run, predict
from adapters.training.recipe import Recipe
from adapters.training.shapes import Shape, shape_at
from adapters.training.trainers import lora

OUTPUTS = ("log_probs", "entropy", "is_top1")  # what trl's SFT asks of its loss


def config_of(shape: Shape) -> Any:
    """Transformers' configuration of a shape."""
    from transformers import GPTNeoXConfig, LlamaConfig

    sizes: dict[str, Any] = {
        "vocab_size": shape.words, "hidden_size": shape.width, "num_hidden_layers": shape.layers,
        "intermediate_size": shape.inner, "num_attention_heads": shape.heads, "tie_word_embeddings": shape.tied,
        "max_position_embeddings": 32_768,
    }  # fmt: skip
    if shape.kind == "gpt_neox":
        return GPTNeoXConfig(**sizes)
    return LlamaConfig(**sizes, num_key_value_heads=shape.kv_heads, head_dim=shape.head)


def bare(shape: Shape, quantization: str = "nf4", *, device: str = "meta") -> Any:
    """A frozen base of that shape. On "meta" it has no storage; on a real device it has random weights.

    They are made there in the form that they are kept in, so that nothing larger than the model is ever allocated.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config_of(shape), dtype=torch.bfloat16)
    if quantization == "nf4":
        _quantize(model, device)
    model.requires_grad_(False)
    if device != "meta":
        _fill(model, device)
    return model


def hollow(shape: Shape, rank: int, quantization: str = "nf4", *, device: str = "meta") -> Any:
    """A bare base with a LoRA adapter on it, as ``adapters.training`` trains it."""
    from peft import get_peft_model
    from trl.trainer.utils import add_fused_lm_head

    model = bare(shape, quantization, device=device)
    add_fused_lm_head(model, outputs=OUTPUTS)
    with torch.device(device):
        wrapped = get_peft_model(model, lora(Recipe(rank=rank)))
    if quantization == "nf4":  # trl does so with a quantized base
        for parameter in wrapped.parameters():
            parameter.data = parameter.data.to(torch.bfloat16) if parameter.requires_grad else parameter.data
    return wrapped.train()


def _quantize(model: Any, device: str) -> None:
    import bitsandbytes

    functional: Any = bitsandbytes.functional
    nn: Any = bitsandbytes.nn

    def empty(*size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        made = torch.empty(size, dtype=dtype, device=device)
        return made.fill_(0.01) if made.is_floating_point() else made  # scales and codes that are no NaN

    for name, module in list(model.named_modules()):
        if not isinstance(module, torch.nn.Linear) or name.endswith(("lm_head", "embed_out")):
            continue
        out, into = module.weight.shape
        blocks = out * into // 64
        nested = functional.QuantState(empty(-(-blocks // 256)), code=empty(256), blocksize=256, dtype=torch.float32)
        state = functional.QuantState(
            empty(blocks, dtype=torch.uint8), shape=torch.Size((out, into)), code=empty(16), blocksize=64,
            quant_type="nf4", dtype=torch.bfloat16, offset=empty(), state2=nested,
        )  # fmt: skip
        small = nn.Linear4bit(into, out, bias=module.bias is not None, compute_dtype=torch.bfloat16, device="meta")
        if module.bias is not None:
            small.bias = module.bias
        small.weight = nn.Params4bit(
            empty(out * into // 2, 1, dtype=torch.uint8), requires_grad=False, quant_state=state,
            quant_type="nf4", bnb_quantized=True, module=small,
        )  # fmt: skip
        small.quant_state = state
        above, _, last = name.rpartition(".")
        setattr(model.get_submodule(above), last, small)
    model.is_loaded_in_4bit = True


def _fill(model: Any, device: str) -> None:
    """Give what has no storage yet random values on a device; tied weights stay tied."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is None or not parameter.is_meta:
                continue
            if id(parameter) not in made:
                values = torch.empty(parameter.shape, dtype=parameter.dtype, device=device).normal_(0, 0.02)
                made[id(parameter)] = torch.nn.Parameter(values, requires_grad=False)
            module._parameters[name] = made[id(parameter)]
    backbone = model.base_model
    backbone.rotary_emb = type(backbone.rotary_emb)(model.config).to(device)


@contextmanager
def _valueless() -> Iterator[None]:
    """Replaces the three places of a step that ask for values, or for a device that meta is not."""
    from importlib import import_module

    modelling = [import_module(f"transformers.models.{kind}.modeling_{kind}") for kind in ("llama", "gpt_neox")]

    def attention(q: Any, k: Any, v: Any, is_causal: bool = False, scale: float | None = None, **_: Any) -> Any:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, is_causal, scale=scale)[0]

    asked = torch.is_autocast_enabled
    saved = [
        (module, name, getattr(module, name))
        for module, name in (
            *((module, "create_causal_mask") for module in modelling),
            (torch.nn.functional, "scaled_dot_product_attention"),
            (torch, "is_autocast_enabled"),
        )
    ]
    for module in modelling:
        setattr(module, "create_causal_mask", lambda *_, **__: None)  # noqa: B010
    setattr(torch.nn.functional, "scaled_dot_product_attention", attention)  # noqa: B010
    setattr(torch, "is_autocast_enabled", lambda kind="cpu": kind != "meta" and asked(kind))  # noqa: B010
    try:
        yield
    finally:
        for module, name, was in saved:
            setattr(module, name, was)


def counted(shape: Shape, run: Run, *, loss: bool = True) -> int:
    """Bytes at the peak of a step whose optimizer has been made by a step before it.

    ``loss=False`` ends at the hidden states: the peak is then that of a layer.
    """
    with _valueless():
        model = hollow(shape, run.rank, run.quantization)
        if run.checkpointing:
            model.enable_input_require_grads()
            model.activation_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], foreach=False)
        with Meter(model) as meter:
            for _ in range(2):
                meter.reset()
                _step(model, run, loss)
                optimizer.step()
                optimizer.zero_grad()
    return int(meter.peak)


def _step(model: Any, run: Run, loss: bool) -> None:
    ids = torch.zeros((run.batch, run.seq), dtype=torch.long, device="meta")
    with torch.autocast("cpu", torch.bfloat16):
        if loss:
            out = -model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs.sum()
        else:
            out = model.get_base_model().base_model(input_ids=ids, use_cache=False).last_hidden_state.sum()
    out.backward()


def main(argv: list[str] | None = None) -> int:
    """Print counted and predicted GiB for a base."""
    parser = argparse.ArgumentParser(prog="python -m adapters.training.hollow", description=__doc__)
    parser.add_argument("base")
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--no-checkpointing", action="store_true")
    asked = parser.parse_args(argv)
    shape = shape_at(asked.base)
    run = Run(
        seq=asked.seq, batch=asked.batch, rank=asked.rank, checkpointing=not asked.no_checkpointing, device="counted"
    )
    for loss in (True, False):
        there, said = counted(shape, run, loss=loss), predict(shape, replace(run, loss=loss)).total
        off = said / there - 1
        print(f"{shape.name} loss={loss}: counted {there / GIB:.3f}, predicted {said / GIB:.3f} ({off:+.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
