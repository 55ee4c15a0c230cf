"""adapters dataset build, list, stats, export: decisions as training data. Starts no database and loads no weights."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.words import word
from dojang.glossary import REASONS, SIGNS, WARNINGS
from dojang.home import check_home

if TYPE_CHECKING:
    from dojang.settings import Settings

dataset = typer.Typer(no_args_is_help=True)

DatasetId = Annotated[str, typer.Argument(metavar="ID", help="A dataset's id, or how it begins.")]


@dataset.command()
def build(
    context: typer.Context,
    self_approved: Annotated[
        bool, typer.Option("--self-approved", help="Count approvals by whoever made the request, too.")
    ] = False,
    heldout: Annotated[float, typer.Option(help="Share of the conversations, the newest, that is held out.")] = 0.2,
    alike: Annotated[float, typer.Option(help="From which share of common words on two requests are the same.")] = 0.8,
    longest: Annotated[int, typer.Option(help="Characters of the longest row.")] = 64_000,
    without: Annotated[
        list[str] | None, typer.Option(metavar="REVIEWER", help="Leave out what this reviewer (a pseudonym) decided.")
    ] = None,
    most_edits: Annotated[
        float, typer.Option(help="Warn of a reviewer who made more than this share of all edits.")
    ] = 0.8,
    least: Annotated[
        int, typer.Option(help="Rule: so many held-out points that say what would have been right, or nobody can tell.")
    ] = 30,
    conversations: Annotated[int, typer.Option(help="Rule: in so many conversations.")] = 10,
    confidence: Annotated[float, typer.Option(help="Rule: of the interval of a difference.")] = 0.95,
    nearest: Annotated[int, typer.Option(help="Rule: past edits that the baseline is shown.")] = 3,
    slice_least: Annotated[int, typer.Option(help="Rule: points from which a slice counts.")] = 15,
    slice_fall: Annotated[float, typer.Option(help="Rule: by how much no slice may fall, as a share.")] = 0.05,
    old_loss: Annotated[float, typer.Option(help="Rule: how much of the old domain may be lost, as a share.")] = 0.02,
) -> int:
    """Build a dataset of all decisions that teach something, and note the rules by which an adapter of it may pass."""
    from adapters.dataset.building import Choices
    from adapters.gate.rules import Rules, noted
    from dojang.flywheel.datasets import build_dataset
    from dojang.flywheel.stale import gates_of
    from dojang.parts import Parts

    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    left = tuple(checked_text(name) for name in without or ())
    choices = Choices(self_approved, heldout, alike, longest, without=left, most_edits=most_edits).checked()
    rules = Rules(
        least=least, conversations=conversations, confidence=confidence, nearest=nearest, slice_least=slice_least,
        slice_fall=slice_fall, old_loss=old_loss,
    ).checked()  # fmt: skip
    with closing(Parts(call.settings)) as parts, call.terminal.counting(_("reading decisions")) as tell:
        folder, told, problems = build_dataset(
            parts, choices, on_progress=lambda done, total: tell(done, total, ""), rules=rules
        )
    record = noted(gates_of(call.settings), told["id"])
    call.terminal.document(
        {"dataset": told["id"], "folder": str(folder), "problems": problems, **told, "rules": record}
    )
    _summary(call.terminal, told)
    if record is not None and record["values"] != rules.values():
        said = _("its rules were noted before, and stay: {rules}")
        shown = ", ".join(f"{name} {value}" for name, value in record["values"].items())
        call.terminal.note(said.format(rules=shown), style="yellow")
    for problem in problems:
        call.terminal.note(call.terminal.told(problem), style="yellow")
    call.terminal.line(_("dataset {id} is in {folder}").format(id=told["id"], folder=folder))
    return Exit.DONE


@dataset.command("list")
def listed(context: typer.Context) -> int:
    """List the datasets that were built, newest first."""
    from dojang.flywheel.listing import datasets_in

    call = invocation(context)
    _ = call.terminal.gettext
    found = datasets_in(call.settings)
    call.terminal.document(found)
    head = [_("dataset"), _("built at"), "sft", "dpo", "kto", _("held out"), ""]
    table = [
        [
            row["dataset"],
            call.terminal.moment(row["built_at"]) if row["built_at"] else "–",
            *(str(row.get(key, "–")) for key in ("sft", "dpo", "kto", "heldout")),
            _("damaged") if row["problem"] else _("stale") if row["stale"] else "",
        ]
        for row in found
    ]
    call.terminal.rows(table, head=head)
    if not found:
        call.terminal.note(_("there is no dataset yet; `dojang adapters dataset build` makes one"))
    return Exit.DONE


@dataset.command()
def stats(context: typer.Context, dataset_id: DatasetId) -> int:
    """Show what is in a dataset and what was left out, and check that it is unchanged."""
    from dojang.flywheel.listing import dataset_of

    call = invocation(context)
    told = dataset_of(call.settings, checked_text(dataset_id))
    call.terminal.document(told)
    _summary(call.terminal, told)
    if why := told["stale"]:
        call.terminal.line(
            call.terminal.gettext("stale: {why}; build a new one and train on that").format(why=why), style="bold red"
        )
    return Exit.DONE


@dataset.command()
def export(
    context: typer.Context,
    dataset_id: DatasetId,
    tool: Annotated[str, typer.Option("--format", help="trl, llama-factory, axolotl or openai.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
) -> int:
    """Write the training rows of a dataset in the form of another training tool."""
    from dojang.flywheel.exporting import export as write

    call = invocation(context)
    _ = call.terminal.gettext
    files = write(_root(call.settings), checked_text(dataset_id), checked_text(tool), out)
    call.terminal.document({"folder": str(out), "files": files})
    call.terminal.rows([[name, str(rows)] for name, rows in files.items()], head=[_("file"), _("rows")])
    return Exit.DONE


def _root(settings: Settings) -> Path:
    from dojang.flywheel.stale import datasets_of

    return datasets_of(settings)


def _summary(terminal: Any, told: dict[str, Any]) -> None:
    from dojang.flywheel.listing import rows_of

    _ = terminal.gettext
    rows = rows_of(told)
    terminal.line(
        _("{decisions} decisions in {threads} conversations").format(
            decisions=told["decisions"], threads=told["threads"]
        )
    )
    table = [[method, str(rows[method])] for method in ("sft", "dpo", "kto")]
    terminal.rows([*table, [_("held out"), str(rows["heldout"])]], head=[_("method"), _("rows")])
    out = [[word(_, REASONS, why), str(count)] for why, count in told["left_out"].items()]
    terminal.rows(out, head=[_("left out"), _("decisions")])
    if told["scrubbed"]:
        terminal.line(_("{count} pieces of personal data were made unreadable").format(count=told["scrubbed"]))
    for warning in told["warnings"]:
        terminal.note(word(_, WARNINGS, warning), style="yellow")
    for sign in told.get("signs") or []:
        terminal.note(_sign(_, sign), style="bold yellow")


def _sign(_: Any, sign: dict[str, Any]) -> str:
    """What is unlike about reviewers; it is no proof, and says how many it rests on."""
    (own, own_all), (others, others_all) = sign["own"], sign["others"]
    return str(
        word(_, SIGNS, sign["sign"]).format(
            who=", ".join(sign["reviewers"]), about=sign["about"], tool=sign["tool"] or _("words"), own=own,
            own_all=own_all, others=others, others_all=others_all, p=f"{sign['p']:.2g}",
        )
    )  # fmt: skip
