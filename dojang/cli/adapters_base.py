"""adapters pretrain, liken: how a base is made, its weights and its network of words."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation

Seed = Annotated[int, typer.Option(min=0, help="The result follows from it.")]


def pretrain(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the base is made; a run that was cut off goes on.")],
    tokens: Annotated[int, typer.Option(min=1, help="How many tokens to read.")] = 20_000_000,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Read for so long instead, from the first step on.")
    ] = None,
    cool: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A run that goes on: a base is made of its checkpoint, read on with a falling rate."
        ),
    ] = None,
    extend: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A finished base: its weights read on, with a rate that rises again and falls."
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1.0, help="With --extend: the highest rate; as the last time if not given."),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words/--no-words", help="Teach the network of words at the end, see liken.")
    ] = True,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use; the result depends on it a little.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    step: Annotated[int | None, typer.Option(min=256, help="Tokens a step; more on a card.")] = None,
    width: Annotated[int | None, typer.Option(min=64, help="Numbers a token has, a multiple of 64.")] = None,
    layers: Annotated[int | None, typer.Option(min=3, help="Layers of the base.")] = None,
    seed: Seed = 0,
) -> int:
    """Train a base from its written initial weights, on generated text."""
    call = invocation(context)
    _ = call.terminal.gettext
    _check_read_on(
        cool, extend, rate, {"--minutes": minutes, "--step": step, "--width": width, "--layers": layers, "--seed": seed}
    )
    check_place(out, out.absolute())
    one_thread(threads)
    from adapters.training import pretrain as making

    with call.terminal.working(_("reading text")) as tell:

        def told(news: dict[str, float]) -> None:
            tell(_reading(_, news))

        if cool:
            made = making.cool(cool, out, tokens=tokens, device=device, on_progress=told)
        elif extend:
            made = making.extend(extend, out, tokens=tokens, rate=rate, device=device, on_progress=told)
        else:
            plan = making.plan_of(tokens, seed, device=device, step=step, width=width, layers=layers)
            made = making.pretrain(out, tokens=0, plan=plan, device=device, minutes=minutes, on_progress=told)
    if words:
        with call.terminal.working(_("teaching words")) as tell:
            _liken(made, None, seed, device, lambda news: tell(_likening(_, news)))
    call.terminal.document({"base": str(made)})
    call.terminal.line(_("the base is in {folder}").format(folder=made))
    return Exit.DONE


def check_place(out: Path, folder: Path) -> None:
    """Raise UserError where this user cannot have the folder that ``--out`` needs."""
    from state import UserError

    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise UserError(f"{out} cannot be made: {there} is no folder; name another with --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{out} cannot be made: this user may not write in {there}; name another with --out")


def _check_read_on(cool: Path | None, extend: Path | None, rate: float | None, shape: dict[str, float | None]) -> None:
    """What is read on has its shape by itself, and only a finished base a rate of its own."""
    from state import UserError

    if rate and not extend:
        raise UserError("--rate is of a base that is read on; give it with --extend, or leave it out")
    if not (cool or extend):
        return
    if cool and extend:
        raise UserError("--cool and --extend are two ways to one base; give one of them")
    if given := [name for name, value in shape.items() if value]:
        raise UserError(f"what is read on keeps its shape, steps and seed; leave out {', '.join(given)}")


def _reading(_: Callable[[str], str], news: dict[str, float]) -> str:
    if not news["total"]:
        return _("{tokens} tokens so far: loss {loss}, {speed} tokens/s").format(
            tokens=f"{news['tokens']:,.0f}", loss=f"{news['loss']:.3f}", speed=f"{news['tokens_per_s']:,.0f}"
        )
    return _("{tokens} of {total} tokens, loss {loss}, {speed} tokens/s").format(
        tokens=f"{news['tokens']:,.0f}", total=f"{news['total']:,.0f}", loss=f"{news['loss']:.3f}",
        speed=f"{news['tokens_per_s']:,.0f}",
    )  # fmt: skip


def _liken(base: Path, questions: int | None, seed: int, device: str, told: Callable[[dict[str, float]], None]) -> None:
    """Teach a base's folder which words go together; from what it has read follows how long, where nobody says."""
    from adapters.local.loading import device_named
    from adapters.training import likening, pretrain

    made = base / pretrain.MADE_FILE
    if questions is None:
        read = json.loads(made.read_text(encoding="utf-8"))["tokens"] if made.exists() else math.inf
        questions = likening.suited(read)
    likening.taught(base, questions=questions, seed=seed, device=device_named(device), on_progress=told).write(base)


def _likening(_: Callable[[str], str], news: dict[str, float]) -> str:
    return _("network of words: {questions} questions, step {step} of {total}, loss {loss}").format(
        questions=f"{news['questions']:,.0f}", step=f"{news['step']:.0f}", total=f"{news['total']:.0f}",
        loss=f"{news['loss']:.3f}",
    )  # fmt: skip


def liken(
    context: typer.Context,
    base: Annotated[
        Path, typer.Option(metavar="DIR", help="A base of Dojang's own; its network of words is replaced.")
    ],
    questions: Annotated[
        int | None, typer.Option(min=1, help="Generated questions; what suits the base if not given, 100,000 at most.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use; the result depends on it a little.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Seed = 0,
) -> int:
    """Teach a base's network of words anew: which sentence answers which question. pretrain does it at its end."""
    call = invocation(context)
    _ = call.terminal.gettext
    one_thread(threads)
    from adapters.alike import LIKENESS_FILE
    from adapters.decoding import Decoding
    from state import UserError

    if not (base / "tokenizer.json").exists() or Decoding.read(base).strategy != "reading":
        raise UserError(f"{base} is no base of Dojang's own; give one that `dojang adapters pretrain` made")
    with call.terminal.working(_("teaching words")) as tell:
        _liken(base, questions, seed, device, lambda news: tell(_likening(_, news)))
    call.terminal.document({"words": str(base / LIKENESS_FILE)})
    call.terminal.line(_("the network of words is in {file}").format(file=base / LIKENESS_FILE))
    return Exit.DONE


def one_thread(threads: int = 1) -> None:
    """The same numbers on every machine: sums depend on how they are divided among threads."""
    import torch

    torch.set_num_threads(threads)
