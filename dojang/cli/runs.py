"""runs pause | go-on | show: the switch that stops all runs between two steps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation

app = typer.Typer()
runs = typer.Typer(help="All runs at once: stop them between two steps, let them go on.", no_args_is_help=True)
app.add_typer(runs, name="runs")


@runs.command()
def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; everybody sees it.")],
) -> int:
    """Stop all runs between two steps, in every process over this home; none begins until they go on."""
    call = invocation(context)
    with call.workspace() as workspace:
        made = workspace.pause_all(checked_text(reason))
    call.terminal.document(asdict(made))
    call.terminal.note(call.terminal.gettext("all runs are paused; `dojang runs go-on` lets them go on"))
    return Exit.DONE


@runs.command(name="go-on")
def go_on(context: typer.Context) -> int:
    """Let all runs go on as they were."""
    call = invocation(context)
    with call.workspace() as workspace:
        workspace.go_on_all()
        done = workspace.do_due()
    call.terminal.document(done.as_json())
    call.terminal.note(call.terminal.gettext("all runs go on"))
    return Exit.DONE


@runs.command()
def show(context: typer.Context) -> int:
    """Say whether all runs are paused, by whom and why."""
    call = invocation(context)
    with call.workspace() as workspace:
        pause = workspace.paused
    call.terminal.document(None if pause is None else asdict(pause))
    if pause is None:
        call.terminal.note(call.terminal.gettext("no run is paused"))
    else:
        call.terminal.line(f"{pause.by} · {call.terminal.moment(pause.at)} · {pause.why}")
    return Exit.DONE
