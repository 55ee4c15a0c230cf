"""Pretraining of the base from its written initial weights, on one CPU core.

``python -m adapters.training pretrain --out DIR`` (resumes by itself from ``DIR/checkpoint.pt``).

Why a loop of our own and not ``transformers.Trainer``: see docs/adr/0003-embedded-model.md. Master weights are
float32, arithmetic is bfloat16 autocast, logits are computed at scored positions only. What the model says itself is
scored token by token, and the pointing heads of the last layer by whether they look at what is copied. A choice is
scored as it is served: the request is read after each candidate and after nothing, and the loss is the cross-entropy
of the right reading among all, by the summed log likelihoods of the request, and once more by the log odds of the
token ``FITS`` after each reading, where nothing is worth 0.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from adapters.decoding import DECODING_FILE
from adapters.prompt import EOT, FITS, asked, lead
from adapters.training import heads, tokenizer
from adapters.training.corpus import Item, item_at
from adapters.training.examples import Choice
from state import UserError

FIRST: Final = 3.0  # the first token of a value decides between all others
TABLE_EPS: Final = 1e-3
CHECKPOINT: Final = "checkpoint.pt"
MADE_FILE: Final = "pretraining.json"
"""What a base was made from: tokens, examples, settings."""
LINK: Final = 0.5  # looking at the source of a copied token, against saying it
READ: Final = 0.3  # the request after the right candidate, as plain language
CHOSEN: Final = 3.0  # one choice, against one token
JUDGED: Final = 3.0  # the same choice, by what is said after each reading
Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Plan:
    """The settings of a run; a checkpoint of another plan is refused."""

    tokens: int
    seed: int = 0
    rate: float = 1e-3
    embedding_rate: float = 0.5  # times ``rate``; embeddings are small numbers that a full step erases
    frozen: int = 3_000_000  # so many tokens long the written heads stay as they were written
    step_tokens: int = 2_048
    window: int = 256
    warmup: int = 100_000  # tokens
    cooling: float = 0.15  # share of the tokens, at the end, over which the rate falls to nothing
    width: int = heads.WIDTH
    layers: int = heads.LAYERS


@dataclass
class Rows:
    """Encoded sequences that belong together: one, or all readings of a choice.

    ``weights[row][i]`` is the weight of predicting ``ids[row][i]``; in readings 1 marks the request. ``right`` is the
    row that is right, None where nothing is chosen.
    """

    ids: list[list[int]]
    weights: list[list[float]]
    right: int | None = None
    links: list[tuple[int, int, float]] = field(default_factory=list)
    """Where copied tokens stand: (the place that predicts one, the place of its source, weight), of the only row."""

    @property
    def size(self) -> int:
        """Tokens, as if all rows were as long as the longest."""
        return max(len(ids) for ids in self.ids) * len(self.ids)


def encode(tok: PreTrainedTokenizerFast, item: Item) -> Rows:
    """An item as token ids with loss weights."""

    def ids_of(text: str) -> list[int]:
        ids: list[int] = tok(text, add_special_tokens=False).input_ids
        return ids

    if isinstance(item, Choice):
        words, fits = ids_of(asked(item.request)), ids_of(FITS)
        leads = [ids_of(lead(text, tool=tool)) for text, tool in [("", False), *item.candidates]]
        read = [[0.0] * len(x) + [1.0] * len(words) + [0.0] for x in leads]
        return Rows([x + words + fits for x in leads], read, item.right)
    prompt = ids_of(item.prompt)
    ids, weights, links = list(prompt), [0.0] * len(prompt), []
    for text, own in [*item.pieces, (EOT, not item.pieces[-1][0].endswith("\n"))]:
        piece = ids_of(text)
        if own:
            links += [(len(ids) - 1 + i, at + i, LINK * (FIRST if i == 0 else 1.0)) for i, at in _source(prompt, piece)]
        ids += piece
        weights += [FIRST] + [1.0] * (len(piece) - 1) if own else [0.0] * len(piece)
    return Rows([ids], [weights], links=links)


def _source(prompt: list[int], piece: list[int]) -> list[tuple[int, int]]:
    """(i, begin) of every token of a piece that stands in the prompt once, its line's end left out."""
    value = piece[:-1] if len(piece) > 1 else piece
    found = [at for at in range(len(prompt) - len(value)) if prompt[at : at + len(value)] == value]
    return [(i, found[0]) for i in range(len(value))] if len(found) == 1 else []


def batches(tok: PreTrainedTokenizerFast, plan: Plan, start: int) -> Iterator[tuple[list[list[Rows]], int]]:
    """Windows from item ``start`` on: steps of items of like length, and the index after the window.

    A window of items is drawn, sorted by length and cut into steps of about ``step_tokens``, choices apart from the
    others; the steps are shuffled and yielded whole windows at a time, so that an index is enough to resume.
    """
    while True:
        rng = random.Random(f"batches:{plan.seed}:{start}")
        drawn = [encode(tok, item_at(plan.seed, start + i)) for i in range(plan.window)]
        micro: list[list[Rows]] = []
        for choices in (True, False):
            some = sorted((r for r in drawn if (r.right is not None) == choices), key=lambda r: max(map(len, r.ids)))
            pending: list[Rows] = []
            for rows in some:
                count = sum(len(p.ids) for p in pending) + len(rows.ids)
                if pending and count * max(map(len, rows.ids)) > plan.step_tokens:
                    micro.append(pending)
                    pending = []
                pending.append(rows)
            micro += [pending] if pending else []
        rng.shuffle(micro)
        start += plan.window
        yield micro, start


def pad(rows: list[Rows], fill: int) -> tuple[Tensor, Tensor]:
    """Ids (batch, length) int64 padded on the right to a multiple of 16, and loss weights of the same shape."""
    flat = [(ids, weights) for r in rows for ids, weights in zip(r.ids, r.weights, strict=True)]
    length = -(-max(len(ids) for ids, _ in flat) // 16) * 16
    ids = torch.tensor([x + [fill] * (length - len(x)) for x, _ in flat])
    weights = torch.tensor([w + [0.0] * (length - len(w)) for _, w in flat])
    return ids, weights


def losses_of(
    model: LlamaForCausalLM, ids: Tensor, weights: Tensor, ends: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Losses at the scored positions, which row each belongs to, and the losses of the tokens at ``ends``, one a row.

    No padding mask: pads stand right.
    """
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        scored = weights[:, 1:] > 0
        logits = model.lm_head(hidden[scored])
        last = None if ends is None else model.lm_head(hidden[torch.arange(len(ids)), ends - 1])
    losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][scored], reduction="none")
    rows = scored.nonzero()[:, 0]
    if last is None or ends is None:
        return losses, rows, None
    return (
        losses,
        rows,
        torch.nn.functional.cross_entropy(last.float(), ids[torch.arange(len(ids)), ends], reduction="none"),
    )


def loss_of(model: LlamaForCausalLM, rows: list[Rows], fill: int) -> tuple[Tensor, float]:
    """The weighted sum of the losses of a step, and the sum of the weights."""
    ids, weights = pad(rows, fill)
    if rows[0].right is None:
        with _looks(model) as looks:
            losses, _, _ = losses_of(model, ids, weights)
        kept = weights[:, 1:][weights[:, 1:] > 0]
        return (losses * kept).sum() + pointing_loss(looks[0], rows), float(kept.sum())
    ends = torch.tensor([len(x) - 1 for r in rows for x in r.ids])
    losses, place, fits = losses_of(model, ids, weights, ends)
    assert fits is not None
    judged = verdict(-fits)
    read = torch.zeros(len(ids)).index_add(0, place, losses)  # the request's surprise after each candidate
    total, norm, at = torch.zeros(()), 0.0, 0
    for r in rows:
        assert r.right is not None
        some = read[at : at + len(r.ids)]
        words = sum(w > 0 for w in r.weights[r.right])
        each = torch.cat([torch.zeros(1), judged[at + 1 : at + len(r.ids)]])  # nothing is worth 0
        total = total - CHOSEN * torch.log_softmax(-some, dim=0)[r.right] + READ * some[r.right]
        total = total - JUDGED * torch.log_softmax(each, dim=0)[r.right]
        norm, at = norm + CHOSEN + JUDGED + READ * words, at + len(r.ids)
    return total, norm


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


def pointing_loss(looks: Tensor, rows: list[Rows]) -> Tensor:
    """How little the pointing heads look at the source of each copied token.

    A head that looks everywhere gets next to no gradient from the token's loss alone; this tells it where to look.
    """
    links = [(row, *link) for row, r in enumerate(rows) for link in r.links]
    if not links:
        return looks.new_zeros(())
    row, to, source, weight = (torch.tensor(column) for column in zip(*links, strict=True))
    share = looks[row, -heads.POINTERS :, to, source].float().mean(-1)
    return -(weight * torch.log(share + 1e-4)).sum()


def rate_at(plan: Plan, seen: int) -> float:
    """Learning rate after ``seen`` tokens: up, level, and down to nothing at the end.

    Level, so that a run can be cooled off at any checkpoint (``cool``) and goes on beside it: Hägele et al. 2024,
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", whose 1 − √ is the way down.
    """
    up = min(1.0, seen / max(plan.warmup, 1) + 0.02)
    falling = plan.cooling * plan.tokens
    done = min(max(seen - (plan.tokens - falling), 0.0) / max(falling, 1.0), 1.0)
    return plan.rate * up * (1 - math.sqrt(done))


def cool(run: Path, out: Path, *, tokens: int, on_progress: Progress | None = None) -> Path:
    """A base out of a run that goes on: its checkpoint and ``tokens`` more with a falling rate, saved into ``out``."""
    if not (run / CHECKPOINT).exists():
        raise UserError(f"{run} has no checkpoint: it is no run that goes on; give the folder of one (pretrain --out)")
    kept = torch.load(run / CHECKPOINT, weights_only=True)
    seen = int(kept["state"]["seen"])
    plan = replace(Plan(**kept["plan"]), tokens=seen + tokens, cooling=tokens / (seen + tokens))
    if not (out / CHECKPOINT).exists():
        out.mkdir(parents=True, exist_ok=True)
        tokenizer.load(run).save_pretrained(out)
        torch.save({**kept, "plan": asdict(plan)}, out / CHECKPOINT)
    return pretrain(out, tokens=0, plan=plan, on_progress=on_progress)


def pretrain(
    out: Path, *, tokens: int, seed: int = 0, on_progress: Progress | None = None, resume: bool = True,
    plan: Plan | None = None, save_s: float = 240.0, stop_after: int | None = None,
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
    """
    plan = plan or Plan(tokens, seed)
    out.mkdir(parents=True, exist_ok=True)
    tok = tokenizer.load(out) if (out / "tokenizer.json").exists() else tokenizer.build(seed=plan.seed)
    tok.save_pretrained(out)
    model = heads.initial(_configuration(tok, plan), plan.seed)
    optimizer, kept = _optimizer(model, plan), _Kept(model)
    state: dict[str, Any] = {"index": 0, "seen": 0}
    saved = out / CHECKPOINT
    if resume and saved.exists():
        state = _restore(saved, plan, model, optimizer)
    model.set_attn_implementation("eager")  # on a CPU a third faster than the fused backward pass at these lengths
    model.train()
    written, windows = time.monotonic(), 0
    for steps, index in batches(tok, plan, state["index"]):
        if state["seen"] >= plan.tokens:
            break
        begun, before = time.monotonic(), state["seen"]
        loss, chosen = _window(model, optimizer, kept, steps, plan, state, tok.pad_token_id)
        state["index"], windows = index, windows + 1
        if on_progress:
            speed = (state["seen"] - before) / (time.monotonic() - begun)
            told = {"tokens": state["seen"], "total": plan.tokens, "examples": index, "loss": loss, "chosen": chosen}
            on_progress({**told, "tokens_per_s": speed})
        if time.monotonic() - written > save_s or windows == stop_after:
            _store(saved, plan, model, optimizer, state)
            written = time.monotonic()
        if windows == stop_after:
            return out
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
    steps: list[list[Rows]],
    plan: Plan,
    state: dict[str, Any],
    fill: int,
) -> tuple[float, float]:
    """Take the steps of one window; returns the mean losses of what is said and of what is chosen."""
    sums = {True: [0.0, 1e-9], False: [0.0, 1e-9]}
    for rows in steps:
        loss, norm = loss_of(model, rows, fill)
        (loss / norm).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        state["seen"] += sum(len(ids) for r in rows for ids in r.ids)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(plan, state["seen"]) * group["share"]
        optimizer.step()
        if state["seen"] < plan.frozen:
            kept.restore()
        optimizer.zero_grad(set_to_none=True)
        entry = sums[rows[0].right is not None]
        entry[0], entry[1] = entry[0] + loss.item(), entry[1] + norm
    return sums[False][0] / sums[False][1], sums[True][0] / sums[True][1]


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
    """Write config.json, the weights in bfloat16 and how they are decoded; the model itself stays as it is."""
    import copy

    half: Any = copy.deepcopy(model)
    half.to(torch.bfloat16).save_pretrained(out)
    (out / DECODING_FILE).write_text(json.dumps({"strategy": "reading"}) + "\n", encoding="utf-8")
