"""adapters train, tune, evaluate: how the generator's adapters are made and measured, and all other commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from dojang.cli.adapters_base import Seed, check_place, liken, one_thread, pretrain
from dojang.cli.adapters_cycle import cycle
from dojang.cli.adapters_dataset import dataset as dataset_group
from dojang.cli.adapters_gate import compare, report
from dojang.cli.adapters_matrix import matrix
from dojang.cli.adapters_plan import plan
from dojang.cli.adapters_promote import history, promote, rollback, shadow
from dojang.cli.adapters_registry import add, diff, folder_of, gc, verify
from dojang.cli.adapters_show import listed, show, summary
from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation

if TYPE_CHECKING:
    from adapters.training.real_qa import Score
    from adapters.training.recipe import Recipe
    from adapters.training.several import Together

app = typer.Typer()
adapters = typer.Typer(no_args_is_help=True)
app.add_typer(adapters, name="adapters", help="Train adapters, measure them, and see whether training fits a card.")
adapters.command()(pretrain)
adapters.command()(liken)
adapters.command()(plan)
adapters.command()(show)
adapters.command("list")(listed)
adapters.command()(add)
adapters.command()(diff)
adapters.command()(verify)
adapters.command()(gc)
adapters.command()(report)
adapters.command()(cycle)
adapters.command()(matrix)
adapters.command()(promote)
adapters.command()(rollback)
adapters.command()(history)
adapters.command()(shadow)
adapters.add_typer(dataset_group, name="dataset", help="Decisions as training data: built, frozen, exported.")

BaseFolder = Annotated[
    Path | None, typer.Option("--base", metavar="DIR", help="The base; the one that ships with Dojang if not given.")
]
Number = Annotated[int, typer.Option("-n", min=1, help="Examples of each kind and language.")]


@adapters.command()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The adapter's folder; it must not exist yet.")],
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="Rows as JSON Lines; see docs/training.md.")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="ID", help="A dataset of decisions; `dojang adapters dataset list` has them.")
    ] = None,
    generated: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows of the sample front desk instead of a file.")
    ] = None,
    method: Annotated[str, typer.Option(help="sft, dpo or kto.")] = "sft",
    base: BaseFolder = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="An adapter to go on from; for rows of people then rate 1e-3, 6 passes, batch 16.",
        ),
    ] = None,
    replay: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.8,
            help="Share of old text, so that nothing is forgotten; half beside rows of people with --from.",
        ),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="LoRA rank, on all linear layers; 16, and with --from that adapter's.")
    ] = None,
    alpha: Annotated[int | None, typer.Option(help="LoRA scale; 32, and with --from that adapter's.")] = None,
    dropout: Annotated[float | None, typer.Option(help="LoRA dropout; 0, and with --from that adapter's.")] = None,
    rate: Annotated[float | None, typer.Option(help="Peak learning rate; 2e-4 for sft, 5e-5 for dpo and kto.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows; 1.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows of one pass; 4.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Passes of one step; 4.")] = None,
    seq: Annotated[int | None, typer.Option(help="Tokens of a row; longer ones are left out; 1024.")] = None,
    heldout: Annotated[
        float | None, typer.Option(help="Share of the rows that early stopping is judged on; 0.1.")
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Evaluations without a better loss that end the run; 3.")] = None,
    every: Annotated[int | None, typer.Option(help="Steps between evaluations and checkpoints.")] = None,
    beta: Annotated[float | None, typer.Option(help="How far the reference holds back (dpo, kto); 0.1.")] = None,
    forgetting: Annotated[
        float | None,
        typer.Option(help="With --from: share of its loss by which old text may be read worse; 0.1."),
    ] = None,
    keeping: Annotated[
        float | None,
        typer.Option(help="With --from: weight of what that adapter says to old text; 4, and 0 learns its words."),
    ] = None,
    kto_loss: Annotated[str | None, typer.Option(help="kto, apo, or auto: apo where rows are few.")] = None,
    quantization: Annotated[str | None, typer.Option(help="How the base is loaded; nf4.")] = None,
    four: Annotated[bool, typer.Option("--load-in-4bit", help="The same as --quantization nf4.")] = False,
    eight: Annotated[bool, typer.Option("--load-in-8bit", help="The same as --quantization int8.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    checkpointing: Annotated[
        bool | None, typer.Option(help="Recompute activations: less memory, more time; on CUDA if not given.")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Processes that share the work, a card each on CUDA; each has --batch rows of its own; 1."
        ),
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="auto, adamw, or paged8 (8 bits, paged, CUDA).")] = None,
    backend: Annotated[str | None, typer.Option(help="trl, or unsloth where it is installed (CUDA).")] = None,
    today: Annotated[str, typer.Option(metavar="DAY", help="The day that prompts tell, where they tell one.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew instead of going on with a run cut off.")] = False,
    seed: Seed = 0,
) -> int:
    """Train an adapter by QLoRA on rows of a file; a run that was cut off goes on when it is started again."""
    from adapters.training.recipe import one_quantization
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    if sum(given is not None for given in (data, dataset, generated)) != 1:
        raise UserError("give one of --data FILE, --dataset ID and --generated N")
    _check_day(checked_text(today))
    check_place(out, out.absolute().parent)
    given = {
        "rank": rank, "alpha": alpha, "dropout": dropout, "rate": rate, "epochs": epochs, "batch": batch,
        "accumulate": accumulate, "seq": seq, "heldout": heldout, "patience": patience, "every": every, "beta": beta,
        "forgetting": forgetting, "keeping": keeping, "kto_loss": kto_loss, "device": device,
        "checkpointing": checkpointing, "optimizer": optimizer, "backend": backend, "processes": processes,
    }  # fmt: skip
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle workers sleep, not spin; read when torch comes
    quantized = one_quantization(quantization, four=four, eight=eight)
    with call.terminal.working(_("preparing")) as tell:
        from adapters.training.material import Wanted, gathered
        from adapters.training.run import open_base
        from adapters.training.run import train as make
        from dojang.flywheel.datasets import trainable
        from dojang.flywheel.listing import shipped

        folder = trainable(call.settings, checked_text(dataset)) if dataset is not None else None
        opened = open_base(base or shipped()[0], quantized)
        going_on = start is not None and opened.reading and method == "sft"
        recipe = _recipe({**given, "method": method, "quantization": quantized, "seed": seed}, generated, going_on)
        rows, sources = gathered(opened, recipe, Wanted(folder or data, generated, replay, today, start))
        told = make(
            opened, out, rows, recipe, sources=sources, start=start, resume=not fresh,
            on_progress=lambda news: tell(_step(_, news)),
        )  # fmt: skip
    call.terminal.document({"adapter": str(out), **told})
    summary(call.terminal, told)
    call.terminal.line(_("the adapter is in {folder}").format(folder=out))
    return Exit.DONE


def _recipe(given: dict[str, Any], generated: int | None, going_on: bool) -> Recipe:
    """What was given, over the defaults: of the shipped adapter for generated rows, of going on, or of any run."""
    from adapters.training.material import GOING_ON
    from adapters.training.recipe import Recipe
    from adapters.training.sft import RECIPE

    usual = RECIPE if generated is not None else GOING_ON if going_on else Recipe()
    return replace(usual, **{key: value for key, value in given.items() if value is not None}).checked()


def _check_day(today: str) -> None:
    from state import UserError

    try:
        known = not today or date.fromisoformat(today).isoformat() == today
    except ValueError:
        known = False
    if not known:
        raise UserError(f"--today is {today!r}, which is no day; write it like 2026-11-22")


def _step(_: Callable[[str], str], news: dict[str, float]) -> str:
    said = [_("step {step} of {total}").format(step=f"{news['step']:.0f}", total=f"{news['total']:.0f}")]
    if "loss" in news:
        said.append(_("loss {loss}").format(loss=f"{news['loss']:.3f}"))
    if "eval_loss" in news:
        said.append(_("held-out loss {loss}").format(loss=f"{news['eval_loss']:.3f}"))
    if "tokens_per_s" in news:
        said.append(_("{speed} tokens/s").format(speed=f"{news['tokens_per_s']:,.0f}"))
    if "left_s" in news:
        said.append(_("{minutes} min left").format(minutes=f"{news['left_s'] / 60:.0f}"))
    return ", ".join(said)


@adapters.command()
def tune(
    context: typer.Context,
    base: BaseFolder = None,
    adapter: Annotated[Path | None, typer.Option(metavar="DIR", help="The adapter that is served with it.")] = None,
    n: Number = 40,
    seed: Seed = 0,
) -> int:
    """Choose how calls and sentences are picked, on generated text; writes decoding.json into both folders."""
    call = invocation(context)
    _ = call.terminal.gettext
    one_thread()
    from adapters.training.margins import tune as choose
    from dojang.flywheel.listing import shipped

    with call.terminal.working(_("measuring")):
        chosen = choose(base or shipped()[0], adapter or shipped()[1], n=n, seed=seed)
    call.terminal.document(chosen)
    call.terminal.rows([[key, str(value)] for key, value in chosen.items()])
    return Exit.DONE


@adapters.command()
def evaluate(
    context: typer.Context,
    base: BaseFolder = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|ID",
            help="The adapter that is served with it; the one that ships with Dojang if not given, with --against the "
            "candidate.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="champion|ID",
            help="Compare an adapter with this one on held-out decisions; code 1 unless it passes.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="ID", help="With --against: on which decisions; the newest if not given.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n", min=0, help="Examples of each kind and language; 40, with --against 12 of the old domain, 0 for none."
        ),
    ] = None,
    seed: Seed = 0,
    failures: Annotated[bool, typer.Option("--failures", help="Also what went wrong.")] = False,
    qa: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also real questions about real paragraphs; see docs/training.md."),
    ] = None,
    qa_n: Annotated[
        int | None, typer.Option("--qa-n", min=1, help="So many of them of each set; all if not given.")
    ] = None,
) -> int:
    """Measure a base with an adapter as it is served, on names, dates and wordings that no training text shows."""
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    if against is None and dataset is not None:
        raise UserError("decisions are compared on with --against; name whom to compare with, or leave --dataset away")
    if against is not None and (base is not None or qa is not None):
        raise UserError(
            "with --against the base is the one of the settings, and decisions are what is asked; leave --base and "
            "--qa away"
        )
    if against is None and n == 0:
        raise UserError("-n 0 leaves nothing to measure without --against; give a number above 0, or leave -n away")
    one_thread()
    if against is not None:
        return compare(call, adapter, against, dataset, n)
    from adapters.serving import load_generator
    from adapters.training.evaluate import evaluate as measure
    from adapters.training.margins import TODAY
    from dojang.flywheel.listing import shipped

    with call.terminal.working(_("measuring")):
        folder = shipped()[1] if adapter is None else folder_of(call.settings, adapter)
        generator = load_generator(str(base or shipped()[0]), adapter=folder, today=TODAY)
        measured = measure(generator, n=n or 40, seed=seed)
        real = _asked(generator, qa, qa_n, n or 40, seed)
        together = _several(generator, n or 40, seed)
    call.terminal.document(
        {name: {language: asdict(tally) for language, tally in by.items()} for name, by in measured.tallies.items()}
        | {name: asdict(score) for name, score in (real | together).items()}
    )
    call.terminal.line(measured.table())
    from adapters.training import real_qa, several

    call.terminal.line(real_qa.table(real))
    call.terminal.line(several.table(together))
    for name, tallies in measured.tallies.items() if failures else ():
        for tally in tallies.values():
            for told in tally.failures:
                call.terminal.line(f"{name}: {told}")
    return Exit.DONE


def _several(generator: Any, n: int, seed: int) -> dict[str, Together]:
    """How questions are answered that want several sentences together, beside such that want one."""
    from adapters.training import several
    from adapters.training.frontdesk import TOOLS
    from state import Language  # LangGraph comes with it

    return {
        f"several sentences, {x}": several.measure(generator, several.asked(x, "test", n=n, seed=seed), TOOLS)
        for x in get_args(Language)
    }


def _asked(generator: Any, folder: Path | None, n: int | None, unseen: int, seed: int) -> dict[str, Score]:
    """How questions about paragraphs are answered: of passages that nothing is taught with, and of the sets."""
    from adapters.training import passages
    from adapters.training.frontdesk import TOOLS
    from adapters.training.real_qa import measure, questions
    from state import Language  # LangGraph comes with it
    from store.text.language import sentences

    invented = {}
    for x in get_args(Language):
        invented[f"unseen passages, {x}"] = passages.asked(passages.passages(x, "test"), x, n=unseen, seed=seed)
        invented[f"plain passages, {x}"] = passages.asked(passages.plain(x), x, n=unseen, seed=seed)
    real = dict(questions(folder, sentences, n=n, seed=seed)) if folder else {}
    return {name: measure(generator, asked, TOOLS) for name, asked in (invented | real).items()}
