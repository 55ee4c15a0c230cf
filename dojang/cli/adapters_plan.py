"""adapters plan: whether training fits a card, said before anything is loaded. Needs neither model nor torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.words import word
from dojang.glossary import COSTS, FITS, MOMENTS, PARTS

if TYPE_CHECKING:
    from adapters.training.plan import Plan


def plan(
    context: typer.Context,
    base: Annotated[str, typer.Option(metavar="DIR|NAME", help="A model folder, or a known name.")] = "embedded",
    gpu: Annotated[str, typer.Option(metavar="SIZE", help="The card's memory: 4GiB, 8GiB, 24GB.")] = "4GiB",
    method: Annotated[str, typer.Option(help="sft, dpo or kto.")] = "sft",
    seq: Annotated[int, typer.Option(min=8, help="Tokens of the longest row.")] = 1_024,
    batch: Annotated[int, typer.Option(min=1, help="Rows of one pass.")] = 1,
    rank: Annotated[int, typer.Option(min=1, help="LoRA rank, on all linear layers.")] = 16,
    quantization: Annotated[str, typer.Option(help="nf4, int8, bf16 or fp32.")] = "nf4",
    checkpointing: Annotated[bool, typer.Option(help="Recompute activations in the backward pass.")] = True,
    upcast: Annotated[bool, typer.Option(help="Hold embeddings and activations in 32 bits; Dojang does not.")] = False,
    fused_loss: Annotated[bool, typer.Option(help="Compute the loss in tiles; Dojang does.")] = True,
    paged: Annotated[bool, typer.Option(help="The paged 8-bit optimizer; Dojang's on CUDA.")] = True,
) -> int:
    """Predict the peak memory of training, say whether it fits, and what would make it. Code 1 when it does not fit."""
    from adapters.training.plan import Run, bytes_of, planned
    from adapters.training.shapes import shape_at

    call = invocation(context)
    run = Run(
        method=method, seq=seq, batch=batch, rank=rank, quantization=quantization, checkpointing=checkpointing,
        upcast=upcast, fused_loss=fused_loss, paged=paged,
    )  # fmt: skip
    made = planned(shape_at(checked_text(base)), run, bytes_of(checked_text(gpu)))
    call.terminal.document(_document(made))
    _show(call.terminal, made)
    return Exit.PROBLEM if made.verdict == "no" else Exit.DONE


def _document(made: Plan) -> dict[str, Any]:
    shape = made.shape
    return {
        "base": {**asdict(shape), "parameters": shape.parameters},
        "run": asdict(made.run),
        "gpu_bytes": made.gpu,
        "peak_bytes": {**dict(made.peak.parts()), "total": made.peak.total},
        "moment": made.peak.moment,
        "verdict": made.verdict,
        "levers": [
            {"name": x.name, "change": x.change, "saves_bytes": x.saves, "verdict": x.verdict} for x in made.levers
        ],
        "remedy": None if made.remedy is None else list(made.remedy),
        "smaller_bases": list(made.smaller),
    }


def _show(terminal: Any, made: Plan) -> None:
    _ = terminal.gettext
    rows = [[word(_, PARTS, name), _gib(size)] for name, size in made.peak.parts()]
    terminal.rows([*rows, [_("together"), _gib(made.peak.total)]], head=[_("part"), "GiB"])
    terminal.line(
        _("{base} {verdict}: {needed} of {card} GiB, at its peak {moment}").format(
            base=made.shape.name, verdict=word(_, FITS, made.verdict), needed=_gib(made.peak.total),
            card=_gib(made.gpu), moment=word(_, MOMENTS, made.peak.moment),
        ),
        style="bold" if made.verdict == "fits" else "bold yellow" if made.verdict == "tight" else "bold red",
    )  # fmt: skip
    levers = [[x.change, _gib(x.saves), word(_, FITS, x.verdict), word(_, COSTS, x.name)] for x in made.levers]
    terminal.rows(levers, head=[_("change"), _("saves GiB"), _("then it"), _("what it costs")])
    if made.remedy:
        terminal.line(_("the smallest change that makes it fit: {change}").format(change=" ".join(made.remedy)))
    if made.remedy is None:
        terminal.line(_("no setting makes it fit; bases that do: {names}").format(names=", ".join(made.smaller) or "–"))
    if made.shape.licence:
        terminal.note(_("licence: {licence}").format(licence=made.shape.licence))


def _gib(size: int) -> str:
    from adapters.training.plan import GIB

    return f"{size / GIB:.2f}"
