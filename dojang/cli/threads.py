"""threads, thread, history, opt-out: the conversations, how they went, and whether they may be trained on."""

from __future__ import annotations

from typing import Annotated

import typer

from dojang.cli.cards import tell_conversation
from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.cli.telling import tell_outcomes, tell_waiting
from dojang.cli.words import STATUSES, word

app = typer.Typer()

ThreadId = Annotated[str, typer.Argument(metavar="ID", help="The conversation's id; `dojang threads` lists them.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]


@app.command()
def threads(context: typer.Context, limit: Limit = 50) -> int:
    """List the conversations, newest first."""
    call = invocation(context)
    with call.workspace() as workspace:
        rows = workspace.threads(limit=limit)
    _, told = call.terminal.gettext, call.terminal.told
    call.terminal.document(rows)
    if rows:
        table = [
            [
                row["thread_id"],
                word(_, STATUSES, row["status"]),
                call.terminal.moment(row["updated_at"]),
                told(row["error"]) or row["title"],
            ]
            for row in rows
        ]
        call.terminal.rows(table, head=[_("conversation"), _("status"), _("last change"), _("begins with")])
    else:
        call.terminal.note(_("there is no conversation yet; `dojang ask` begins one"))
    return Exit.DONE


@app.command()
def thread(context: typer.Context, thread_id: ThreadId) -> int:
    """Show where a conversation stands, without running anything."""
    call = invocation(context)
    with call.workspace() as workspace:
        run = workspace.thread(thread_id)
        lines = workspace.conversation(thread_id)
        folder = str(workspace.folder(thread_id)) if workspace.parts.sessions.database is None else ""
    terminal = call.terminal
    terminal.document({**run.as_json(), "conversation": lines, "folder": folder})
    terminal.line(f"{thread_id} · {word(terminal.gettext, STATUSES, run.status)}", style="yellow")
    if run.adapter:
        terminal.line(terminal.gettext("adapter: {adapter}").format(adapter=run.adapter))
    if not call.as_json:
        tell_conversation(terminal, lines)
        tell_outcomes(terminal, run.outcomes)
        for review in run.reviews:
            tell_waiting(terminal, workspace, review)
    for row in run.spent:
        told = terminal.gettext("{speaker}: calls {calls}, tokens read {read}, written {written}").format(
            speaker=row["speaker"], calls=row["calls"], read=row["input_tokens"], written=row["output_tokens"]
        )
        cost = "" if row["cost"] is None else terminal.gettext(", cost {cost}").format(cost=f"{row['cost']:.6g}")
        terminal.line(told + cost)
    if folder:
        terminal.line(terminal.gettext("files: {folder}").format(folder=folder))
    if run.note:
        terminal.note(terminal.told(run.note))
    return Exit.DONE


@app.command()
def history(
    context: typer.Context,
    thread_id: ThreadId,
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most; all when not given.")] = None,
) -> int:
    """List the checkpoints of a conversation, newest first."""
    call = invocation(context)
    with call.workspace() as workspace:
        steps = workspace.history(thread_id, limit=limit)
    _ = call.terminal.gettext
    call.terminal.document([step.as_json() for step in steps])
    rows = [
        [
            str(step.number),
            call.terminal.moment(step.at, seconds=True),
            step.source,
            ", ".join(step.wrote),
            ", ".join(step.review_ids) or ", ".join(step.next) or _("end"),
        ]
        for step in steps
    ]
    head = [_("step"), _("at"), _("source"), _("wrote"), _("then")]
    call.terminal.rows(rows, head=head)
    return Exit.DONE


@app.command("opt-out")
def opt_out(
    context: typer.Context,
    thread_id: ThreadId,
    undo: Annotated[bool, typer.Option("--undo", help="Let it in again.")] = False,
) -> int:
    """Keep a conversation out of training: no dataset that is built from now on has anything of it."""
    call = invocation(context)
    with call.workspace() as workspace:
        fresh = workspace.keep_out(thread_id, out=not undo)
    _ = call.terminal.gettext
    call.terminal.document({"thread_id": thread_id, "out": not undo, "changed": fresh})
    said = _("{thread} may be trained on") if undo else _("{thread} is kept out of training")
    call.terminal.line(said.format(thread=thread_id))
    return Exit.DONE
