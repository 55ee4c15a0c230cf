"""inbox, show: what waits for a person, and everything about one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dojang.cli.cards import flags, tell_card
from dojang.cli.deciding import decide_here
from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.cli.words import KINDS, word
from dojang.reading import as_read

if TYPE_CHECKING:
    pass

app = typer.Typer()


@app.command()
def inbox(
    context: typer.Context,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only reviews of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
) -> int:
    """List the open reviews, soonest deadline first."""
    from state import UserError

    call = invocation(context)
    if kind is not None and kind not in KINDS:
        raise UserError(f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}")
    with call.workspace() as workspace:
        reviews = workspace.inbox(kind=kind, limit=limit)
        progress = workspace.progress(reviews)
        flagged = workspace.flags(reviews)
        now = workspace.parts.clock.now()
        read = [as_read(r, workspace.describer, call.terminal.language) for r in reviews]
    _ = call.terminal.gettext
    call.terminal.document([{**r, "progress": progress[r["id"]], "flags": flagged[r["id"]]} for r in reviews])
    if reviews:
        due = [call.terminal.due(r["due_at"], now) for r in reviews]
        rows = [[r["id"], word(_, KINDS, r["kind"]), at, r["summary"]] for r, at in zip(read, due, strict=True)]
        head = [_("review"), _("kind"), _("due"), _("what it is about")]
        states = [flags(_, r, progress[r["id"]], now) for r in reviews]
        if any(states):
            rows, head = [[*row, state] for row, state in zip(rows, states, strict=True)], [*head, _("state")]
        call.terminal.rows(rows, head=head)
    else:
        call.terminal.note(_("nobody is waiting for a decision"))
    return Exit.DONE


@app.command()
def show(
    context: typer.Context,
    review: Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id; `dojang inbox` lists them.")],
    decide: Annotated[bool, typer.Option("--decide", help="Then ask for the decision.")] = False,
) -> int:
    """Show all of a review: what will happen, the exact arguments and digest, why, the evidence, the conversation."""
    call = invocation(context)
    with call.workspace() as workspace:
        card = workspace.show(review)
        if not call.as_json:
            tell_card(call.terminal, workspace, card)
        if decide and card.status in ("open", "claimed"):
            return decide_here(call, workspace, card.review)
    call.terminal.document(card.as_json())
    return Exit.DONE


@app.command()
def due(context: typer.Context) -> int:
    """Do what is due: remind of reviews at half their time, end those whose time is over, carry out what is decided."""
    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        done = workspace.do_due()
    call.terminal.document(done.as_json())
    told = ((_("half the time is over"), done.escalated), (_("ended"), done.expired), (_("carried out"), done.released))
    for what, ids in told:
        for review in ids:
            call.terminal.line(f"{review}: {what}")
    if not any(ids for _what, ids in told):
        call.terminal.note(_("nothing is due"))
    return Exit.DONE
