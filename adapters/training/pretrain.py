"""Pretraining of the base from its written initial weights, on one CPU core.

``python -m adapters.training pretrain --out DIR --tokens 9000000`` (resumes by itself from ``DIR/checkpoint.pt``).

Why a loop of our own and not ``transformers.Trainer``: see docs/adr/0003-embedded-model.md. Master weights are
float32, arithmetic is bfloat16 autocast, logits are computed at scored positions only: the whole answer with weight
1 (its first token ``CHOSEN``, the text after a number ``COPIED``), a few random positions of the prompt ``PLAIN``.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.prompt import EOT, MARKERS, asked, lead
from adapters.training import heads, tokenizer
from adapters.training.episodes import Reading, continuation, episode_at
from adapters.training.examples import Example

COPIED: Final = 0.1
PLAIN: Final = 0.1
ASKED: Final = 1.0
PLAIN_POSITIONS: Final = 16
CHOSEN: Final = 8.0  # one number, or the first token of a call, against some forty tokens
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """The settings of a run; a checkpoint of another plan is refused."""

    tokens: int
    seed: int = 0
    rate: float = 6e-4
    embedding_rate: float = 0.5  # times ``rate``; embeddings are small numbers that a full step erases
    frozen: float = 0.7  # share of the tokens during which the written heads stay as they were written
    step_tokens: int = 4_096
    micro_tokens: int = 4_096
    window: int = 96
    warmup: float = 0.05
    decay: float = 0.0
    width: int = heads.WIDTH
    layers: int = heads.LAYERS


class Row:
    """An encoded example: ids, and a loss weight for each predicted position."""

    def __init__(self, ids: list[int], weights: list[float]) -> None:
        """``weights[i]`` is the weight of predicting ``ids[i]``; 0 is not scored."""
        self.ids, self.weights = ids, weights


def encode(tok: PreTrainedTokenizerFast, episode: list[Example] | Reading, rng: random.Random) -> Row:
    """The decisions of an episode one after another as token ids, with loss weights."""
    if isinstance(episode, Reading):
        before = tok(lead(episode.sentence), add_special_tokens=False).input_ids
        words = tok(asked(episode.question), add_special_tokens=False).input_ids
        return Row(before + words, [0.0] + [PLAIN] * (len(before) - 1) + [ASKED] * len(words))
    prompt = tok(episode[0].prompt(), add_special_tokens=False).input_ids
    weights = [0.0] * len(prompt)
    for at in rng.sample(range(1, len(prompt)), k=min(PLAIN_POSITIONS, len(prompt) - 1)):
        weights[at] = PLAIN
    ids = list(prompt)
    for number, example in enumerate(episode):
        if number:
            more = tok(continuation(example), add_special_tokens=False).input_ids
            ids, weights = ids + more, weights + [0.0] * len(more)
        chosen = example.kind in ("choose", "abstain")
        # Later choices are written as their number alone: the sentence has been copied once, that is enough.
        said = example.target() if not (number and chosen) else MARKERS[example.n]
        target = tok(said + EOT, add_special_tokens=False).input_ids
        ids += target  # the first token decides what kind of turn it is
        weights += [CHOSEN] + [(0.0 if number else COPIED) if chosen else 1.0] * (len(target) - 1)
    return Row(ids, weights)


def batches(tok: PreTrainedTokenizerFast, plan: Plan, start: int) -> Iterator[tuple[list[list[Row]], int]]:
    """Windows from example ``start`` on: micro-batches of rows of like length, and the index after the window.

    A window of examples is drawn, sorted by length and cut into micro-batches of about ``micro_tokens``; the
    micro-batches are shuffled and yielded whole windows at a time, so that an index is enough to resume.
    """
    while True:
        rng = random.Random(f"batches:{plan.seed}:{start}")
        rows = [encode(tok, episode_at(plan.seed, start + i), rng) for i in range(plan.window)]
        rows.sort(key=lambda row: len(row.ids))
        micro: list[list[Row]] = [[]]
        for row in rows:
            if micro[-1] and len(row.ids) * (len(micro[-1]) + 1) > plan.micro_tokens:
                micro.append([])
            micro[-1].append(row)
        rng.shuffle(micro)
        start += plan.window
        yield micro, start


def pad(rows: list[Row], fill: int) -> tuple[Tensor, Tensor]:
    """Ids (batch, length) int64 padded on the right to a multiple of 32, and loss weights of the same shape."""
    length = -(-max(len(row.ids) for row in rows) // 32) * 32
    ids = torch.tensor([row.ids + [fill] * (length - len(row.ids)) for row in rows])
    weights = torch.tensor([row.weights + [0.0] * (length - len(row.weights)) for row in rows])
    return ids, weights


def loss_of(model: LlamaForCausalLM, ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of the losses at scored positions, and the sum of the weights. No padding mask: pads stand right."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        scored = weights[:, 1:] > 0
        logits = model.lm_head(hidden[scored])
    losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][scored], reduction="none")
    kept = weights[:, 1:][scored]
    return (losses * kept).sum(), kept.sum()


def rate_at(plan: Plan, seen: int) -> float:
    """Learning rate after ``seen`` tokens: warm-up, then a cosine down to ``decay`` of the peak."""
    done = min(seen / plan.tokens, 1.0)
    if done < plan.warmup:
        return plan.rate * (done / plan.warmup + 0.02)
    wave = 0.5 * (1 + math.cos(math.pi * (done - plan.warmup) / (1 - plan.warmup)))
    return plan.rate * (plan.decay + (1 - plan.decay) * wave)


def pretrain(
    out: Path, *, tokens: int, seed: int = 0, on_progress: Progress | None = None, resume: bool = True,
    plan: Plan | None = None, save_s: float = 240.0, stop_after: int | None = None,
) -> Path:  # fmt: skip
    """Train a base into ``out`` (config.json, bfloat16 model.safetensors, tokenizer). Returns ``out``.

    Args:
        out: The folder; ``checkpoint.pt`` in it is the state to resume from and is removed at the end.
        tokens: Tokens to read.
        seed: Weights, examples and order follow from it.
        on_progress: Called after every window with ``tokens, total, loss, tokens_per_s``.
        resume: Continue from the checkpoint of the same plan, if there is one.
        plan: All settings; ``tokens`` and ``seed`` are ignored when it is given.
        save_s: Seconds between checkpoints.
        stop_after: Stop (checkpoint written, no base) after this many windows; for tests of resuming.
    """
    plan = plan or Plan(tokens, seed)
    out.mkdir(parents=True, exist_ok=True)
    tok = tokenizer.load(out) if (out / "tokenizer.json").exists() else tokenizer.build(seed=plan.seed)
    tok.save_pretrained(out)
    config = heads.configuration(
        len(tok),
        bos=tok.bos_token_id,
        eos=tok.encode("".join(tokenizer.STOPS), add_special_tokens=False),
        pad=tok.pad_token_id,
        context=tokenizer.CONTEXT,
        width=plan.width,
        layers=plan.layers,
    )
    markers, quiet = [tok(m, add_special_tokens=False).input_ids[0] for m in MARKERS], tokenizer.quiet_ids(tok)
    model = heads.initial(config, plan.seed, markers, quiet)
    optimizer, kept = _optimizer(model, plan), _Kept(model)
    state: dict[str, Any] = {"index": 0, "seen": 0, "windows": 0}
    saved = out / "checkpoint.pt"
    if resume and saved.exists():
        state = _restore(saved, plan, model, optimizer)
    model.train()
    written = time.monotonic()
    windows = 0
    for micro, index in batches(tok, plan, state["index"]):
        if state["seen"] >= plan.tokens:
            break
        begun, before = time.monotonic(), state["seen"]
        loss = _window(model, optimizer, kept, micro, plan, state, tok.pad_token_id)
        state["index"], windows = index, windows + 1
        if on_progress:
            speed = (state["seen"] - before) / (time.monotonic() - begun)
            on_progress({"tokens": state["seen"], "total": plan.tokens, "loss": loss, "tokens_per_s": speed})
        if time.monotonic() - written > save_s or windows == stop_after:
            _store(saved, plan, model, optimizer, state)
            written = time.monotonic()
        if windows == stop_after:
            return out
    save(model, out)
    saved.unlink(missing_ok=True)
    return out


def _optimizer(model: LlamaForCausalLM, plan: Plan) -> torch.optim.AdamW:
    table = model.model.embed_tokens.weight
    others = [p for p in model.parameters() if p is not table]
    groups = [{"params": others, "share": 1.0}, {"params": [table], "share": plan.embedding_rate}]
    return torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.97), eps=1e-8, weight_decay=0.0, foreach=True)


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
    micro: list[list[Row]],
    plan: Plan,
    state: dict[str, Any],
    fill: int,
) -> float:
    """Take the steps of one window; returns the mean loss."""
    total, norm, pending = 0.0, 0.0, 0
    share = torch.zeros(())
    for number, rows in enumerate(micro):
        ids, weights = pad(rows, fill)
        loss, weight = loss_of(model, ids, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        share = share + weight
        total, norm, pending = total + loss.item(), norm + weight.item(), pending + ids.numel()
        if pending < plan.step_tokens and number + 1 < len(micro):
            continue
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= share
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        state["seen"] += pending
        for group in optimizer.param_groups:
            group["lr"] = rate_at(plan, state["seen"]) * group["share"]
        optimizer.step()
        if state["seen"] < plan.frozen * plan.tokens:
            kept.restore()
        optimizer.zero_grad(set_to_none=True)
        share, pending = torch.zeros(()), 0
    return total / norm


def _store(
    path: Path, plan: Plan, model: LlamaForCausalLM, optimizer: torch.optim.AdamW, state: dict[str, Any]
) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {"plan": asdict(plan), "model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, part
    )
    part.replace(path)


def _restore(path: Path, plan: Plan, model: LlamaForCausalLM, optimizer: torch.optim.AdamW) -> dict[str, Any]:
    kept = torch.load(path, weights_only=True)
    if kept["plan"] != asdict(plan):
        raise ValueError(f"{path} belongs to another plan: {kept['plan']}; remove it or choose another folder")
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    return dict(kept["state"])


def save(model: LlamaForCausalLM, out: Path) -> None:
    """Write config.json and the weights in bfloat16; the model itself stays as it is."""
    import copy

    half: Any = copy.deepcopy(model)
    half.to(torch.bfloat16).save_pretrained(out)
