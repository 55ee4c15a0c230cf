"""The settings of a training run, checked. Knows neither torch nor files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, get_args

from state import UserError

Method = Literal["sft", "dpo", "kto"]
Optimizer = Literal["auto", "adamw", "paged8"]
Backend = Literal["trl", "unsloth"]
KtoLoss = Literal["auto", "kto", "apo"]

RATES: Final[dict[Method, float]] = {"sft": 2e-4, "dpo": 5e-5, "kto": 5e-5}
"""Peak learning rates: QLoRA's for SFT (Dettmers et al. 2023, table 9), a quarter of it beside a reference."""
KTO_ROWS: Final = 64
"""Below this many rows KTO's KL term, an average over a batch's neighbours, is mostly noise."""

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "rank": (1, 1_024), "alpha": (1, 4_096), "dropout": (0, 0.9), "rate": (1e-8, 1), "epochs": (0.001, 1_000),
    "batch": (1, 4_096), "accumulate": (1, 4_096), "seq": (8, 1_048_576), "heldout": (0, 0.5), "patience": (1, 1_000),
    "forgetting": (0, 100), "keeping": (0, 100), "every": (1, 10**9), "warmup": (0, 10**9), "beta": (1e-4, 10),
    "seed": (0, 2**32 - 1), "processes": (1, 256),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained. ``Recipe(...).checked()`` raises UserError for what cannot be.

    ``batch`` counts rows of one forward pass, ``accumulate`` passes of one step, ``seq`` tokens of a row, prompt and
    completion together. ``heldout`` is the share that early stopping is judged on: it ends the run after ``patience``
    evaluations without a better loss; 0 trains on everything to the end. ``every`` is the number of steps between
    evaluations and checkpoints; None makes it about a twentieth of the run. ``checkpointing`` recomputes activations in
    the backward pass; None does so on CUDA. ``forgetting``: by which share of its loss old text may be read worse than
    by the adapter that a run goes on from (see ``holding``, bases of ours only; a loss of next to nothing counts as
    half a nat); None lets it go. ``keeping``: the
    weight of what that adapter says to old rows beside new ones (see ``keeping``); 0 learns old rows by their words.
    ``processes``: how many of this machine share the work, on CUDA a card each; each has ``batch`` rows of its own, so
    that a step has that many times as many.
    """

    method: Method = "sft"
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    rate: float | None = None
    epochs: float = 1.0
    batch: int = 4
    accumulate: int = 4
    seq: int = 1_024
    heldout: float = 0.1
    patience: int = 3
    every: int | None = None
    warmup: int = 10
    beta: float = 0.1
    forgetting: float | None = 0.1
    keeping: float = 4.0
    kto_loss: KtoLoss = "auto"
    seed: int = 0
    quantization: str = "nf4"
    device: str = "auto"
    checkpointing: bool | None = None
    optimizer: Optimizer = "auto"
    backend: Backend = "trl"
    processes: int = 1

    def checked(self) -> Recipe:
        """Itself, with the rate filled in; raises UserError that names field, value and what it may be."""
        for name, allowed in (
            ("method", Method), ("optimizer", Optimizer), ("backend", Backend), ("kto_loss", KtoLoss),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(allowed):
                raise UserError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(get_args(allowed))}")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(f"{name} is {value}; it lies between {low:g} and {high:g}")
        if self.method == "kto" and self.kto_loss == "kto" and self.batch < 2:
            raise UserError(
                "KTO compares each row with its neighbours in a batch, so the batch must be 2 or more; "
                "raise it (and lower accumulate), or choose the loss apo, which compares with nothing"
            )
        if self.processes > 1 and self.backend == "unsloth":
            raise UserError("unsloth trains in one process; leave --processes away, or choose the backend trl")
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Recipe(**{**values, "rate": self.rate if self.rate is not None else RATES[self.method]})

    def kto(self, rows: int) -> Literal["kto", "apo_zero_unpaired"]:
        """The loss that trl is told, for so many rows."""
        few = rows < KTO_ROWS or self.batch < 2
        return "apo_zero_unpaired" if self.kto_loss == "apo" or (self.kto_loss == "auto" and few) else "kto"

    def settings(self) -> dict[str, Any]:
        """For the manifest, and to tell one run from another; a run in one process is the run that it always was."""
        told = asdict(self)
        return told if self.processes > 1 else {key: value for key, value in told.items() if key != "processes"}


def one_quantization(named: str | None, *, four: bool = False, eight: bool = False) -> str:
    """The quantization that three ways of saying it agree on; raises UserError where they contradict each other."""
    said = [name for name, wanted in (("nf4", four), ("int8", eight)) if wanted] + ([named] if named else [])
    if four and eight:
        raise UserError("both 4-bit and 8-bit were asked for; a base is loaded one way: choose one")
    if len(set(said)) > 1:
        raise UserError(f"two quantizations were asked for ({', '.join(dict.fromkeys(said))}); choose one")
    return said[0] if said else "nf4"


__all__ = ["KTO_ROWS", "RATES", "Backend", "KtoLoss", "Method", "Optimizer", "Recipe", "one_quantization"]
