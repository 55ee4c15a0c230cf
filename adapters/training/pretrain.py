"""Pretraining of the base from its written initial weights, on one CPU core or a CUDA card.

``python -m adapters.training pretrain --out DIR`` (resumes by itself from ``DIR/checkpoint.pt``).

Why a loop of our own and not ``transformers.Trainer``: see docs/adr/0003-embedded-model.md. Master weights are
float32, arithmetic is bfloat16 autocast, logits are computed at scored positions only. What the model says itself is
scored token by token, and the pointing heads of the last layer by whether they look at what is copied. A choice is
scored as it is served: the request is read after each candidate and after nothing, and the loss is the cross-entropy
of the right reading among all, by the summed log likelihoods of the request, and once more by the log odds of the
token ``FITS`` after each reading, where nothing is worth 0.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.decoding import DECODING_FILE
from adapters.local.loading import device_named
from adapters.training import heads, tokenizer
from adapters.training.batches import Batch
from adapters.training.feeding import Cut, windows
from state import UserError

TABLE_EPS: Final = 1e-3
CHECKPOINT: Final = "checkpoint.pt"
MADE_FILE: Final = "pretraining.json"
"""What a base was made from: tokens, examples, settings."""
CARD_STEP: Final = 32_768
FASTER: Final = 2.5
"""How much higher the rate may be where steps are larger."""
FROZEN_STEPS: Final = 200
"""For so many steps at least the written heads stay as they were written."""
EXTENDING: Final = 0.6
"""The highest rate of a base that is read on, against that of its first run."""
FALLING: Final = 0.6
"""Share of the tokens of a base that is read on over which the rate falls."""
OPEN: Final = 10**15
"""The tokens of a plan that reads for some minutes, until it is known how many they are."""
READ: Final = 0.3  # the request after the right candidate, as plain language
CHOSEN: Final = 3.0  # one choice, against one token
JUDGED: Final = 3.0  # the same choice, by what is said after each reading
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """The settings of a run; a checkpoint of another plan is refused."""

    tokens: int
    seed: int = 0
    rate: float = 4e-4  # at 1e-3 what is written into the initial weights is gone within 30,000 tokens
    embedding_rate: float = 0.5  # times ``rate``; embeddings are small numbers that a full step erases
    frozen: int = 3_000_000  # so many tokens long the written heads stay as they were written
    step_tokens: int = 2_048
    window: int = 256
    warmup: int = 100_000  # tokens
    cooling: float = 0.15  # share of the tokens, at the end, over which the rate falls to nothing
    width: int = heads.WIDTH
    layers: int = heads.LAYERS
    begun: int = 0  # tokens that the weights had read when this run took them over


def plan_of(
    tokens: int, seed: int, *, device: str = "auto", step: int | None = None, width: int | None = None,
    layers: int | None = None,
) -> Plan:  # fmt: skip
    """The plan of a run on ``device``, with steps of ``step`` tokens (None: what suits the device).

    A window holds as many steps as it always does, or on a card twice as many, so that rows of one step are more of a
    length. Steps are larger there, since a small one takes as long; the rate rises with their root, as noise falls.

    Raises:
        UserError: A width that no head or no block of NF4 divides, or a device that is not here.
    """
    if width and width % 64:
        raise UserError(f"a base is a multiple of 64 wide, not {width}; try {max(64, round(width / 64) * 64)}")
    cuda = device_named(device).startswith("cuda")
    usual = Plan(tokens, seed)
    step = step or (CARD_STEP if cuda else usual.step_tokens)
    wider = max(1, step // usual.step_tokens)
    return replace(
        usual, step_tokens=step, window=usual.window * wider * (2 if cuda else 1), width=width or usual.width,
        layers=layers or usual.layers, rate=usual.rate * min(FASTER, math.sqrt(wider)), warmup=usual.warmup * wider,
        frozen=max(usual.frozen, FROZEN_STEPS * step),
    )  # fmt: skip


def losses_of(model: LlamaForCausalLM, batch: Batch, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Losses of the scored tokens, and of each reading's last token where something is chosen.

    ``given`` are the arrays of ``batch`` where the model is. No padding mask: pads stand right. Nothing here waits for
    a card: which places are scored was worked out before.
    """
    with torch.autocast(model.device.type, torch.bfloat16):
        hidden = model.model(input_ids=given["ids"], use_cache=False).last_hidden_state.flatten(0, 1)
        logits = model.lm_head(hidden.index_select(0, given["at"]))
        last = model.lm_head(hidden.index_select(0, given["ends"])) if batch.choices else None
    losses = torch.nn.functional.cross_entropy(logits.float(), given["wanted"], reduction="none")
    if last is None:
        return losses, None
    return losses, torch.nn.functional.cross_entropy(last.float(), given["said"], reduction="none")


def loss_of(model: LlamaForCausalLM, batch: Batch) -> tuple[Tensor, float]:
    """The weighted sum of the losses of a step, and the sum of the weights."""
    given = batch.on(model.device)
    if not batch.choices:
        with _looks(model) as looks:
            losses, _ = losses_of(model, batch, given)
        return (losses * given["weight"]).sum() + pointing_loss(looks[0], given), batch.norm
    losses, fits = losses_of(model, batch, given)
    assert fits is not None
    # the request's surprise after each candidate, and what is said of it
    read = losses.new_zeros(len(batch.ids)).index_add(0, given["row"], losses)
    return chosen_loss(batch, given, read, verdict(-fits))


def chosen_loss(batch: Batch, given: Mapping[str, Tensor], read: Tensor, judged: Tensor) -> tuple[Tensor, float]:
    """The loss of choices whose readings stand one after another in ``read`` and ``judged`` (readings)."""
    counts, right = given["counts"], given["right"][:, None]
    slots = torch.arange(int(batch.counts.max()), device=read.device)[None]
    there = slots < counts[:, None]
    place = (counts.cumsum(0) - counts)[:, None] + torch.minimum(slots, counts[:, None] - 1)
    some = read[place].masked_fill(~there, math.inf)
    each = judged[place].masked_fill(~there, -math.inf)
    each = torch.cat([torch.zeros_like(each[:, :1]), each[:, 1:]], dim=1)  # nothing is worth 0
    total = READ * some.gather(1, right).sum()
    total = total - CHOSEN * torch.log_softmax(-some, dim=1).gather(1, right).sum()
    total = total - JUDGED * torch.log_softmax(each, dim=1).gather(1, right).sum()
    return total, len(batch.counts) * (CHOSEN + JUDGED) + READ * batch.words


def verdict(fits: Tensor) -> Tensor:
    """Log odds of "it fits" from its log likelihood."""
    return fits - torch.log1p(-torch.exp(fits.clamp(max=-1e-6)))


@contextmanager
def _looks(model: LlamaForCausalLM) -> Iterator[list[Tensor]]:
    """Gathers the attention ``(batch, heads, to, from)`` of the pointing layer."""
    gathered: list[Tensor] = []
    attention = model.model.layers[-1].self_attn
    hook = attention.register_forward_hook(lambda module, given, out: gathered.append(out[1]))
    try:
        yield gathered
    finally:
        hook.remove()


def pointing_loss(looks: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    """How little the pointing heads look at the source of each copied token.

    A head that looks everywhere gets next to no gradient from the token's loss alone; this tells it where to look.
    """
    row, to, source = given["links"]
    share = looks[row, -heads.POINTERS :, to, source].float().mean(-1)
    return -(given["links_weight"] * torch.log(share + 1e-4)).sum()


def rate_at(plan: Plan, seen: int) -> float:
    """Learning rate after ``seen`` tokens: up, level, and down to nothing at the end.

    Level, so that a run can be cooled off at any checkpoint (``cool``) and goes on beside it: Hägele et al. 2024,
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", whose 1 − √ is the way down.
    """
    up = min(1.0, (seen - plan.begun) / max(plan.warmup, 1) + 0.02)
    falling = plan.cooling * plan.tokens
    done = min(max(seen - (plan.tokens - falling), 0.0) / max(falling, 1.0), 1.0)
    return plan.rate * up * (1 - math.sqrt(done))


def cool(
    run: Path, out: Path, *, tokens: int, on_progress: Progress | None = None, device: str = "auto",
    workers: int | None = None,
) -> Path:  # fmt: skip
    """A base out of a run that goes on: its checkpoint and ``tokens`` more with a falling rate, saved into ``out``."""
    if not (run / CHECKPOINT).exists():
        raise UserError(f"{run} has no checkpoint: it is no run that goes on; give the folder of one (pretrain --out)")
    kept = torch.load(run / CHECKPOINT, weights_only=True, map_location="cpu")
    seen = int(kept["state"]["seen"])
    plan = replace(Plan(**kept["plan"]), tokens=seen + tokens, cooling=tokens / (seen + tokens))
    if not (out / CHECKPOINT).exists():
        out.mkdir(parents=True, exist_ok=True)
        tokenizer.load(run).save_pretrained(out)
        torch.save({**kept, "plan": asdict(plan)}, out / CHECKPOINT)
    return pretrain(out, tokens=0, plan=plan, on_progress=on_progress, device=device, workers=workers)


def extend(
    base: Path, out: Path, *, tokens: int, rate: float | None = None, on_progress: Progress | None = None,
    device: str = "auto", workers: int | None = None,
) -> Path:  # fmt: skip
    """A base out of a finished one: its weights, and ``tokens`` more of the stream that it was made of, into ``out``.

    The rate rises once more, to ``rate`` or else ``EXTENDING`` of what it was, is level for a while and falls over the
    last ``FALLING`` of the run: at the whole of it much of what the last way down had won would be lost first, which
    text of a new kind is worth. The optimizer begins anew; a run that was cut off goes on.

    Raises:
        UserError: ``base`` says nowhere what it was made of, so where its stream ends is not known.
    """
    if not (base / MADE_FILE).exists():
        raise UserError(f"{base} has no {MADE_FILE}: only a base that pretrain made can be read on")
    made = json.loads((base / MADE_FILE).read_text(encoding="utf-8"))
    first, seen = Plan(**made["plan"]), int(made["tokens"])
    rate = rate or (first.rate if first.begun else EXTENDING * first.rate)  # as high once more, however often
    plan = replace(first, tokens=seen + tokens, begun=seen, rate=rate, cooling=FALLING * tokens / (seen + tokens))
    if not (out / CHECKPOINT).exists():
        out.mkdir(parents=True, exist_ok=True)
        tokenizer.load(base).save_pretrained(out)
        weights = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32).state_dict()
        state = {"index": int(made["examples"]), "seen": seen}
        torch.save({"plan": asdict(plan), "model": weights, "optimizer": None, "state": state}, out / CHECKPOINT)
    return pretrain(out, tokens=0, plan=plan, on_progress=on_progress, device=device, workers=workers)


def pretrain(
    out: Path, *, tokens: int, seed: int = 0, on_progress: Progress | None = None, resume: bool = True,
    plan: Plan | None = None, save_s: float = 240.0, stop_after: int | None = None, device: str = "auto",
    workers: int | None = None, minutes: float | None = None,
) -> Path:  # fmt: skip
    """Train a base into ``out`` (config.json, bfloat16 model.safetensors, tokenizer). Returns ``out``.

    Args:
        out: The folder; ``checkpoint.pt`` in it is the state to resume from and is removed at the end.
        tokens: Tokens to read.
        seed: Weights, items and order follow from it.
        on_progress: Called after every window with ``tokens, total, examples, loss, chosen, tokens_per_s``.
        resume: Continue from the checkpoint of the same plan, if there is one.
        plan: All settings; ``tokens`` and ``seed`` are ignored when it is given.
        save_s: Seconds between checkpoints.
        stop_after: Stop (checkpoint written, no base) after this many windows; for tests of resuming.
        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1", …; a run may go on on another.
        workers: Processes that encode text ahead; None is none on a CPU, and all cores but one beside a card.
        minutes: Read for so long instead: the rate begins to fall when what is left of them is the share of the plan
            for it. The first steps begin the time; ``total`` is 0 as long as nobody knows how many tokens it will be.

    Raises:
        UserError: A device that is not here, a checkpoint of another plan, or a loss that is no number any more.
    """
    plan = plan or Plan(tokens, seed)
    plan = replace(plan, tokens=OPEN) if minutes else plan
    on = torch.device(device_named(device))
    if workers is None:
        workers = max((os.cpu_count() or 2) - 1, 1) if on.type == "cuda" else 0
    out.mkdir(parents=True, exist_ok=True)
    tok = tokenizer.load(out) if (out / "tokenizer.json").exists() else tokenizer.build(seed=plan.seed)
    tok.save_pretrained(out)
    model: LlamaForCausalLM = heads.initial(_configuration(tok, plan), plan.seed)
    model.to(on)
    optimizer, kept = _optimizer(model, plan), _Kept(model)
    state: dict[str, Any] = {"index": 0, "seen": 0}
    saved = out / CHECKPOINT
    if resume and saved.exists():
        plan, state = _restore(saved, plan, model, optimizer)
    model.set_attn_implementation("eager")  # on a CPU a third faster than the fused backward pass at these lengths
    model.train()
    written, done, began, begun = time.monotonic(), 0, time.monotonic(), 0.0
    cut = Cut(plan.seed, plan.window, plan.step_tokens)
    with contextlib.closing(windows(out, cut, state["index"], workers=workers)) as drawn:
        while state["seen"] < plan.tokens:
            steps, index = next(drawn)
            begun = begun or time.monotonic()
            before = state["seen"]
            loss, chosen = _window(model, optimizer, kept, steps, plan, state)
            state["index"], done = index, done + 1
            now = time.monotonic()
            if math.isnan(loss) or math.isnan(chosen):
                raise UserError(f"after {state['seen']:,} tokens the loss is no number any more; take a lower rate")
            if minutes and plan.tokens == OPEN and now - begun >= minutes * 60 * (1 - plan.cooling):
                plan = replace(plan, tokens=int(state["seen"] / (1 - plan.cooling)))
            if on_progress:
                told = {
                    "tokens": state["seen"],
                    "total": plan.tokens if plan.tokens < OPEN else 0,
                    "examples": index,
                    "loss": loss,
                    "chosen": chosen,
                }
                on_progress({**told, "tokens_per_s": (state["seen"] - before) / (now - began)})
            if now - written > save_s or done == stop_after:
                _store(saved, plan, model, optimizer, state)
                written = now
            if done == stop_after:
                return out
            began = time.monotonic()
    save(model, out)
    made = {"tokens": state["seen"], "examples": state["index"], "plan": asdict(plan)}
    (out / MADE_FILE).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    saved.unlink(missing_ok=True)
    return out


def _configuration(tok: PreTrainedTokenizerFast, plan: Plan) -> Any:
    return heads.configuration(
        len(tok),
        bos=tok.bos_token_id,
        eos=tok.encode("".join(tokenizer.STOPS), add_special_tokens=False),
        pad=tok.pad_token_id,
        context=tokenizer.CONTEXT,
        width=plan.width,
        layers=plan.layers,
    )


def _optimizer(model: LlamaForCausalLM, plan: Plan) -> torch.optim.AdamW:
    table = model.model.embed_tokens.weight
    others = [p for p in model.parameters() if p is not table]
    # Without a large epsilon Adam would move every token that does not occur as far as those that do, all one way.
    groups = [{"params": others, "share": 1.0}, {"params": [table], "share": plan.embedding_rate, "eps": TABLE_EPS}]
    fast = {"fused" if table.is_cuda else "foreach": True}
    return torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.97), eps=1e-8, weight_decay=0.0, **fast)


class _Kept:
    """Puts the written heads back after a step, as long as they are frozen."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self._views = heads.written(model)
        self._first = [view.clone() for view in self._views]

    def restore(self) -> None:
        for view, first in zip(self._views, self._first, strict=True):
            view.copy_(first)


def _window(
    model: LlamaForCausalLM,
    optimizer: torch.optim.AdamW,
    kept: _Kept,
    steps: list[Batch],
    plan: Plan,
    state: dict[str, Any],
) -> tuple[float, float]:
    """Take the steps of one window; returns the mean losses of what is said and of what is chosen."""
    lost = {True: torch.zeros((), device=model.device), False: torch.zeros((), device=model.device)}
    norms = {True: 1e-9, False: 1e-9}
    for batch in steps:
        loss, norm = loss_of(model, batch)
        (loss / norm).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        state["seen"] += batch.tokens
        for group in optimizer.param_groups:
            group["lr"] = rate_at(plan, state["seen"]) * group["share"]
        optimizer.step()
        if state["seen"] < plan.frozen:
            kept.restore()
        optimizer.zero_grad(set_to_none=True)
        lost[batch.choices] += loss.detach()  # read at the end: a number that is looked at waits for the card
        norms[batch.choices] += norm
    return lost[False].item() / norms[False], lost[True].item() / norms[True]


def _store(
    path: Path, plan: Plan, model: LlamaForCausalLM, optimizer: torch.optim.AdamW, state: dict[str, Any]
) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {"plan": asdict(plan), "model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, part
    )
    part.replace(path)


def _restore(
    path: Path, plan: Plan, model: LlamaForCausalLM, optimizer: torch.optim.AdamW
) -> tuple[Plan, dict[str, Any]]:
    kept = torch.load(path, weights_only=True, map_location="cpu")
    before = Plan(**kept["plan"])
    if plan.tokens == OPEN:  # whose end is near enough has been told how many tokens it is
        plan = replace(plan, tokens=before.tokens)
    was, wanted = asdict(before), asdict(plan)
    if differing := [name for name in wanted if was[name] != wanted[name]]:
        other = ", ".join(f"{name} {was[name]}, not {wanted[name]}" for name in differing)
        raise UserError(f"{path} is of a run with other settings ({other}); give the same ones, or another folder")
    model.load_state_dict(kept["model"])
    if kept["optimizer"] is not None:
        optimizer.load_state_dict(kept["optimizer"])
    return plan, dict(kept["state"])


def save(model: LlamaForCausalLM, out: Path) -> None:
    """Write config.json, the weights in bfloat16 and how they are decoded; the model itself stays as it is."""
    import copy

    half: Any = copy.deepcopy(model)
    half.to(device="cpu", dtype=torch.bfloat16).save_pretrained(out)
    (out / DECODING_FILE).write_text(json.dumps({"strategy": "reading"}) + "\n", encoding="utf-8")
