"""shift hand-over | list | take-over: whose turn it is goes from one person to the next, and is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation

if TYPE_CHECKING:
    from dojang.cli.terminal import Terminal
    from dojang.handover import Handover

app = typer.Typer()
shift = typer.Typer(help="Hand a shift over to a colleague, and take one over.", no_args_is_help=True)
app.add_typer(shift, name="shift")


@shift.command("hand-over")
def hand_over(
    context: typer.Context,
    to: Annotated[str, typer.Argument(metavar="PERSON", help="Who takes over, by the name under which they decide.")],
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="What they have to know; it is in the audit chain for good.")
    ] = "",
) -> int:
    """Hand all reviews that you have claimed over to a colleague, with a record of it."""
    from dojang import handover

    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        made, left = handover.hand_over(workspace, checked_text(to), checked_text(note))
    call.terminal.document({**made.as_json(), "left": [{"review_id": one, "why": why} for one, why in left]})
    said = _("{n} reviews handed over to {who} ({id}); {open} wait in all, {overdue} are overdue, {up} handed up")
    call.terminal.line(
        said.format(
            n=len(made.reviews), who=made.to, id=made.id, open=made.open, overdue=made.overdue, up=made.handed_up
        )
    )
    if made.standing:
        said = _("approvals in advance by {who} go on holding: {ids}; `dojang policy standing` shows them")
        call.terminal.line(said.format(who=made.by, ids=", ".join(made.standing)), style="yellow")
    for one, why in left:
        call.terminal.line(f"  {one}: {call.terminal.told(why)}", style="yellow")
    return Exit.DONE


@shift.command("list")
def list_(
    context: typer.Context,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's, not only by you or to you.")] = False,
) -> int:
    """List handovers, newest first."""
    from dojang import handover

    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        found = handover.handovers(workspace, of=None if everybody else workspace.user)
    call.terminal.document([one.as_json() for one in found])
    head = [_("handover"), _("at"), _("handed over by"), _("to"), _("reviews"), _("taken over"), _("note")]
    call.terminal.rows([_row(call.terminal, one) for one in found], head=head)
    if not found:
        call.terminal.note(_("nothing has been handed over yet"))
    return Exit.DONE


@shift.command("take-over")
def take_over(
    context: typer.Context,
    handover_id: Annotated[str, typer.Argument(metavar="HANDOVER", help="Its id; `dojang shift list` shows it.")],
) -> int:
    """Say that you have taken over what a colleague handed over to you."""
    from dojang import handover

    call = invocation(context)
    with call.workspace() as workspace:
        made = handover.take_over(workspace, handover_id)
    call.terminal.document(made.as_json())
    said = call.terminal.gettext("{id} is taken over from {who}")
    call.terminal.line(said.format(id=made.id, who=made.by))
    return Exit.DONE


def _row(terminal: Terminal, one: Handover) -> list[str]:
    taken = terminal.moment(one.taken_at) if one.taken_at else "–"
    return [one.id, terminal.moment(one.at), one.by, one.to, str(len(one.reviews)), taken, one.note]
