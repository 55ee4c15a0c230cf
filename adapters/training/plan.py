"""Predicts the peak memory of QLoRA training from shapes alone, says whether it fits, and what would make it fit.

    from adapters.training.plan import GIB, Run, planned
    from adapters.training.shapes import shape_named
    print(planned(shape_named("llama-3.1-8b"), Run(seq=512), gpu=8 * GIB).verdict)

The peak is what is alive at the worse of two moments: while one layer is recomputed in the backward pass, and while the
loss is computed. Bytes are counted as this project trains (adapters.training): the adapter of a quantized base in
bfloat16 on a card and in float32 on a CPU, embeddings and norms as they are stored, the loss in tiles (trl), the
adapter of every linear layer but the head. Where each term comes from stands beside it; ``docs/training.md`` says how
far it is from what was measured. Knows no torch.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from adapters.training.shapes import KNOWN, Shape
from state import UserError

GIB: Final = 2**30
MIB: Final = 2**20
NF4: Final = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes a weight: 4 bits, one byte a block of 64, one float a 256 blocks (QLoRA, Dettmers et al. 2023, section 3)."""
TILE_TOKENS: Final = 4_096
TILE_WORDS: Final = 32_768  # trl 1.16 computes the loss in tiles of so many tokens and words
LARGEST: Final = 2**60  # bytes: no machine has so many, and all figures of a plan can be written
TIGHT: Final = 0.92  # of the card: above it a longer row, or another program's window, ends the run


@dataclass(frozen=True)
class Run:
    """What is to be trained how. ``device`` "counted" is as ``adapters.training.meter`` counts: nothing but tensors.

    ``seq`` is the longest row in tokens; ``fused_loss`` computes the loss in tiles, as trl does; ``upcast`` holds what
    is not quantized, and the activations, in float32 (peft's ``prepare_model_for_kbit_training``; this project does
    not); ``loss=False`` ends at the hidden states.
    """

    method: str = "sft"
    seq: int = 1_024
    batch: int = 1
    rank: int = 16
    quantization: str = "nf4"
    checkpointing: bool = True
    fused_loss: bool = True
    upcast: bool = False
    paged: bool = False
    device: Literal["cuda", "cpu", "counted"] = "cuda"
    loss: bool = True

    @property
    def tokens(self) -> int:
        """Tokens of one forward pass; DPO reads both answers of a pair."""
        return self.seq * self.batch * (2 if self.method == "dpo" else 1)


@dataclass(frozen=True)
class Peak:
    """Bytes by what they are for, at the moment of the peak."""

    weights: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    moment: str

    @property
    def total(self) -> int:
        """All of them."""
        return sum(size for _, size in self.parts())

    def parts(self) -> list[tuple[str, int]]:
        """Name and bytes, in the order of a table."""
        names = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead")
        return [(name, getattr(self, name)) for name in names]


def predict(shape: Shape, run: Run) -> Peak:
    """The peak of a training step, in bytes, once the optimizer has its state."""
    quantized = run.quantization in ("nf4", "int8")
    parameters = shape.adapter_parameters(run.rank)
    # trl keeps the adapter of a quantized base in bfloat16, of another in float32; on a CPU it is float32 here
    each = 2 if quantized and run.device != "cpu" else 4
    adapter = parameters * each
    optimizer = parameters * (2 if run.paged else 2 * each)  # two moments: in 8 bits, or as the adapter is
    if run.method != "sft" and run.device != "counted":
        adapter += parameters * each  # the frozen reference; none where the base itself is it: at most this
    gradients, activations, logits, moment = max(_moments(shape, run, parameters * each), key=lambda m: sum(m[:3]))
    overhead = {"cuda": int(0.9 * GIB), "cpu": int(0.7 * GIB), "counted": 0}[run.device]
    return Peak(
        _weights(shape, run),
        adapter,
        gradients,
        optimizer,
        activations,
        logits,
        overhead,
        "loss" if moment else "layer",
    )


def _weights(shape: Shape, run: Run) -> int:
    linears = list(shape.linears())
    other = shape.other_parameters * (4 if run.upcast or run.quantization == "fp32" else 2)
    if run.quantization == "nf4":
        tables = 4 * (16 + 256 + 1)  # each layer's code, the code of its scales, their offset
        return int(shape.linear_parameters * NF4) + tables * len(linears) * shape.layers + other
    if run.quantization == "int8":
        return shape.linear_parameters + sum(4 * out for _, out in linears) * shape.layers + other
    return shape.linear_parameters * (4 if run.quantization == "fp32" else 2) + other


def _moments(shape: Shape, run: Run, gradients: int) -> Iterator[tuple[int, int, int, bool]]:
    """(gradients, activations, logits, is it the loss) at each moment that can be the peak."""
    d, t = shape.width, run.tokens
    wide = 2 if run.upcast or run.quantization == "fp32" else 1
    whole = max(a * b for a, b in shape.linears()) * 2 if run.quantization in ("nf4", "int8") else 0  # dequantized
    steady = t * (4 * shape.head + 40)  # the rotary tables; ids, labels and the loss's sums
    if run.checkpointing:
        kept, own = 2 * d * t * wide, gradients // shape.layers
        last = (own, shape.layers * kept)  # the first layer is the last in the backward pass: all inputs are there,
        first = (gradients, kept)  # or all gradients are
        grown, inputs = max(last, first, key=sum)
        yield grown, inputs + _recomputed(shape, run, t) * wide + whole + steady, 0, False
        before = shape.layers * kept
    else:
        before = shape.layers * _saved(shape, run, t) * wide
        yield gradients // shape.layers, before + 20 * d * t * wide + whole + steady, 0, False
    if run.loss:
        # the final norm's float32 copy and output, and the float32 gradient of the hidden states
        yield 0, before + 10 * d * t * wide + steady, _logits(shape, run, t), True


def _recomputed(shape: Shape, run: Run, t: int) -> int:
    """Bytes of one layer while its backward pass runs: what it saved anew, and the gradients between its parts.

    A Llama layer, per token: two norms keep a float32 copy each (8 d) and their outputs (4 d); q and the attention's
    output (4 q), k and v (4 kv); gate, up, silu and two gradients as wide as the MLP (10 f, and 2 f that the adapter
    adds). In the attention's half there are more copies as wide as d instead. The factors are those that
    ``adapters.training.hollow`` counts, found by changing one size at a time.
    """
    d, f, q, kv, r = _widths(shape, run)
    if shape.kind == "gpt_neox":
        return t * max(20 * d + 8 * f + 6 * r, 28 * d + 4 * f + 6 * r)
    mlp, attention = 14 * d + 12 * f + 12 * r, 32 * d + 8 * r
    return t * (max(mlp, attention) + 4 * q + 4 * kv + 4 * shape.heads)


def _saved(shape: Shape, run: Run, t: int) -> int:
    """Bytes that one layer keeps for its backward pass where nothing is recomputed."""
    d, f, q, kv, r = _widths(shape, run)
    if shape.kind == "gpt_neox":
        return t * (12 * d + 6 * f + 7 * r + 4 * shape.heads)
    return t * (12 * d + 8 * f + 4 * q + 4 * kv + 14 * r + 4 * shape.heads)


def _widths(shape: Shape, run: Run) -> tuple[int, int, int, int, int]:
    """d, f, widths of queries and keys, rank. Where rows are padded, or on a CPU, keys are repeated for each query."""
    repeated = run.device == "cpu" or (run.device == "cuda" and run.batch > 1)
    heads = shape.heads if repeated else shape.kv_heads
    return shape.width, shape.inner, shape.heads * shape.head, heads * shape.head, run.rank


def _logits(shape: Shape, run: Run, t: int) -> int:
    """Tiles of the loss on CUDA (one in 16 bits) and where torch does what the kernel does there (29 bytes more)."""
    if not run.fused_loss:
        return t * shape.words * 16  # 16 bits, their float32 copy, its logarithm, its gradient, and that in 16 bits
    tile = min(t, TILE_TOKENS)
    copies = 0 if run.device == "cuda" else 29 * min(shape.words, TILE_WORDS)
    return tile * (2 * TILE_WORDS + copies)


# ------------------------------------------------------------------------------------------ does it fit, what would

Verdict = Literal["fits", "tight", "no"]
LEVERS: Final = ("fused_loss", "no_upcast", "nf4", "checkpointing", "paged", "batch", "seq", "rank")
"""What can be changed, cheapest first. It costs: nothing, nothing, precision, time, time, time, long rows, capacity."""
SHORTEST: Final = 128
STEP: Final = 64
"""Rows are shortened to a multiple of so many tokens."""
LOWEST: Final = 4


@dataclass(frozen=True)
class Lever:
    """One change: the run with it alone, what it saves alone, and whether the run then fits."""

    name: str
    change: str
    run: Run
    saves: int
    verdict: Verdict


@dataclass(frozen=True)
class Plan:
    """The answer. ``remedy`` is the smallest change that makes it fit: one lever, or several; () where it fits."""

    shape: Shape
    run: Run
    gpu: int
    peak: Peak
    verdict: Verdict
    levers: tuple[Lever, ...]
    remedy: tuple[str, ...] | None
    remedied: Run | None
    smaller: tuple[str, ...]
    """Known bases that fit as they are, where this one does not."""


def planned(shape: Shape, run: Run, gpu: int) -> Plan:
    """Whether a run fits on a card with ``gpu`` bytes, and what would make it fit.

    Raises:
        UserError: A method or a quantization that does not exist.
    """
    for name, value, allowed in (
        ("method", run.method, ("sft", "dpo", "kto")),
        ("quantization", run.quantization, ("nf4", "int8", "bf16", "fp32")),
    ):
        if value not in allowed:
            raise UserError(f"{name} is {value!r}; use one of {', '.join(allowed)}")
    peak = predict(shape, run)
    verdict = judged(peak.total, gpu)
    levers = tuple(_levers(shape, run, gpu, peak.total))
    remedy, remedied = ((), run) if verdict == "fits" else _remedy(shape, run, gpu, levers)
    smaller = tuple(
        other.name
        for other in sorted(KNOWN.values(), key=lambda s: -s.parameters)
        if other.parameters < shape.parameters and judged(predict(other, run).total, gpu) == "fits"
    )
    return Plan(shape, run, gpu, peak, verdict, levers, remedy, remedied, () if verdict == "fits" else smaller)


def judged(total: int, gpu: int) -> Verdict:
    """Below 92 % of the card it fits; up to all of it, it is tight."""
    return "fits" if total <= TIGHT * gpu else "tight" if total <= gpu else "no"


def _levers(shape: Shape, run: Run, gpu: int, now: int) -> Iterator[Lever]:
    for name in LEVERS:
        changed = (_longest(shape, run, gpu) if name == "seq" else None) or pulled(run, name)
        if changed is None:
            continue
        run_then, change = changed
        total = predict(shape, run_then).total
        yield Lever(name, change, run_then, now - total, judged(total, gpu))


def pulled(run: Run, name: str) -> tuple[Run, str] | None:
    """The run with a lever pulled once, and the option that does it; None where there is nothing to pull."""
    half = {"seq": max(run.seq // 2, SHORTEST), "rank": max(run.rank // 2, LOWEST)}
    changes: dict[str, tuple[bool, dict[str, Any], str]] = {
        "fused_loss": (not run.fused_loss, {"fused_loss": True}, "--fused-loss"),
        "no_upcast": (run.upcast, {"upcast": False}, "--no-upcast"),
        "nf4": (run.quantization != "nf4", {"quantization": "nf4"}, "--quantization nf4"),
        "checkpointing": (not run.checkpointing, {"checkpointing": True}, "--checkpointing"),
        "paged": (not run.paged, {"paged": True}, "--paged"),
        "batch": (run.batch > 1, {"batch": 1}, f"--batch 1 --accumulate {run.batch}"),
        "seq": (run.seq > half["seq"], {"seq": half["seq"]}, f"--seq {half['seq']}"),
        "rank": (run.rank > half["rank"], {"rank": half["rank"]}, f"--rank {half['rank']}"),
    }
    possible, fields, change = changes[name]
    return (replace(run, **fields), change) if possible else None


def _longest(shape: Shape, run: Run, gpu: int) -> tuple[Run, str] | None:
    """The run with the longest shorter rows with which it fits; None where no length does. Memory grows with them."""

    def fits(steps: int) -> bool:
        return judged(predict(shape, replace(run, seq=steps * STEP)).total, gpu) == "fits"

    lengths = range(SHORTEST // STEP, (run.seq - 1) // STEP + 1)
    count = bisect(lengths, False, key=lambda steps: not fits(steps))
    if not count:
        return None
    seq = lengths[count - 1] * STEP
    return replace(run, seq=seq), f"--seq {seq}"


def _remedy(shape: Shape, run: Run, gpu: int, levers: tuple[Lever, ...]) -> tuple[tuple[str, ...] | None, Run | None]:
    """The first lever that is enough alone; else all in order, rows as short as need be, rank as low; else None."""
    for lever in levers:
        if lever.verdict == "fits":
            return (lever.change,), lever.run
    changes: dict[str, str] = {}
    for name in LEVERS:
        if name == "seq" and (enough := _longest(shape, run, gpu)) is not None:
            changes[name] = enough[1]
            return tuple(changes.values()), enough[0]
        while (changed := pulled(run, name)) is not None:
            saved = predict(shape, run).total - predict(shape, changed[0]).total
            if saved <= 0:
                break
            run, changes[name] = changed
            if judged(predict(shape, run).total, gpu) == "fits":
                return tuple(changes.values()), run
    return None, None


def bytes_of(text: str) -> int:
    """``4GiB``, ``24 GB`` (10^9), ``80`` (GiB); UserError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(gib|gb|mib|mb|g|m)?\s*", text.lower())
    unit = {"gb": 10**9, "mb": 10**6, "mib": MIB, "m": MIB}.get(match[2] or "", GIB) if match else 0
    size = float(match[1]) * unit if match else 0.0
    if not 1 <= size < LARGEST:
        raise UserError(f"{text!r} is no size of memory; write 4GiB, 24GB or 8192MiB")
    return int(size)


__all__ = ["GIB", "LEVERS", "Lever", "Peak", "Plan", "Run", "bytes_of", "judged", "planned", "predict"]
