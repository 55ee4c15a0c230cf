"""Old text is learned as the adapter says it that a run goes on from, not by its words (learning without forgetting).

The words of an old row are one draw of what could stand there. Learned by them, an adapter that has read its fill of
such text is pulled about by the draw, at a rate that is made for new rows, and each pull goes to some place that
nobody asked for. Where old rows are instead held to the whole distribution of the start, the pull is nothing at the
beginning and grows only with what the new rows have moved (Li and Hoiem 2016; Hinton et al. 2015, at temperature 1).

The start is the same model with the trained matrices of before: they change places for one reading without gradients,
so no second copy of the base or of an adapter is in memory, and a checkpoint has nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, distributed
from torch.nn.functional import cross_entropy

OLD: Final = "old"
"""The column that marks rows of old text."""
_IGNORED: Final = -100


def keeping(trainer_class: Any, start: Mapping[str, Tensor], weight: float, *, half: bool) -> Any:
    """A trl SFT trainer whose rows marked ``old`` are held to what the model says with the matrices of ``start``.

    ``weight``: of a token of old text beside a token of a new row. The loss of an old token is the divergence
    KL(start | now) in nats; the loss of a step is the sum over its tokens by their number, as trl has it. ``half``:
    arithmetic is in bfloat16 where torch knows it to be good enough.
    """

    class Keeping(trainer_class):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            collator: Any = self.data_collator  # type: ignore[has-type]
            self.data_collator = _marking(collator)

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            columns: list[str] = self._signature_columns  # type: ignore[has-type]
            self._signature_columns = columns if OLD in columns else [*columns, OLD]

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            labels = inputs["labels"]
            total = _loss(self.model, inputs, start, weight, half)
            count = (labels[:, 1:] != _IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
            mode = "train" if self.model.training else "eval"
            if mode == "train":
                read = self.accelerator.gather_for_metrics(inputs["attention_mask"].sum())
                self._total_train_tokens += int(read.sum())
            self._metrics[mode]["num_tokens"] = [self._total_train_tokens]
            loss = total / torch.as_tensor(count, device=total.device).clamp(min=1)
            if num_items_in_batch is not None:  # those of all processes, over which the gradient is then averaged
                loss = loss * self.accelerator.num_processes
            return (loss, {"loss": loss.detach()}) if return_outputs else loss

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            """The model is read without its distributed wrapper, which would average what it had read itself."""
            loss = super().training_step(*args, **kwargs)
            if self.accelerator.num_processes > 1 and self.accelerator.sync_gradients:
                _average(self.model, self.accelerator.num_processes)
            return loss

    return Keeping


def _average(model: Any, processes: int) -> None:
    """Make the gradients of all processes their mean."""
    for p in model.parameters():
        if p.requires_grad:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            distributed.all_reduce(p.grad)
            p.grad /= processes


def _marking(inner: Any) -> Any:
    """A collator that keeps which rows are old, as a tensor (batch,) bool."""

    def collated(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        old = [bool(row[OLD]) for row in rows]
        batch = inner([{key: value for key, value in row.items() if key != OLD} for row in rows])
        return {**batch, OLD: torch.tensor(old)}

    return collated


def _loss(model: Any, inputs: Mapping[str, Any], start: Mapping[str, Tensor], weight: float, half: bool) -> Tensor:
    """The sum over a batch's tokens: surprise of new rows, and ``weight`` times the divergence of old ones."""
    old, labels = inputs[OLD], inputs["labels"][:, 1:]
    learned = labels != _IGNORED
    now = _logits(model, inputs, learned, half)
    of_old = old[:, None].expand_as(learned)[learned]
    total = cross_entropy(now[~of_old], labels[learned][~of_old], reduction="sum")
    if not bool(of_old.any()):
        return total
    with torch.no_grad(), at(model, start):
        was = torch.log_softmax(_logits(model, {k: v[old] for k, v in inputs.items()}, learned[old], half), -1)
    apart = torch.nn.functional.kl_div(torch.log_softmax(now[of_old], -1), was, reduction="sum", log_target=True)
    return total + weight * apart


def _logits(model: Any, inputs: Mapping[str, Any], learned: Tensor, half: bool) -> Tensor:
    """(tokens, vocab) float32 before the tokens that are learned; nothing is computed for others."""
    base, ids = model.get_base_model(), inputs["input_ids"]
    # Autocast would remember the matrices of one reading in the other: they change places under the same names.
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
        read = base.model(input_ids=ids, attention_mask=inputs["attention_mask"], use_cache=False)
        logits: Tensor = base.lm_head(read.last_hidden_state[:, :-1][learned])
    return logits.float()


@contextmanager
def at(model: Any, start: Mapping[str, Tensor]) -> Iterator[None]:
    """The trained matrices of ``model`` are those of ``start`` for a while."""
    named = {name: p for name, p in model.named_parameters() if name in start}
    there, trained = {name: p.data for name, p in named.items()}, model.training
    try:
        model.eval()
        for name, p in named.items():
            p.data = start[name].to(p.device, p.dtype)
        yield
    finally:
        for name, p in named.items():
            p.data = there[name]
        model.train(trained)


__all__ = ["OLD", "at", "keeping"]
