"""ask, chat, resume: a request, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.exits import exit_of_run
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.telling import give_run, tell_cut_off, tell_servers

app = typer.Typer()

Thread = Annotated[str | None, typer.Option("--thread", metavar="ID", help="Go on with this conversation.")]


@app.command()
def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A question or a request.")],
    thread: Thread = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="FILE", help="An image or a PDF that goes with it. Repeatable."),
    ] = None,
) -> int:
    """Ask a question or make a request; ends with code 3 when a review waits for a person."""
    call = invocation(context)
    said = checked_text(text)
    started: list[str] = []

    def on_start(thread_id: str) -> None:
        started.append(thread_id)
        call.terminal.note(call.terminal.gettext("conversation {thread}").format(thread=thread_id))

    with call.workspace() as workspace:
        tell_servers(call.terminal, workspace)
        try:
            with call.terminal.running() as on_node:
                run = workspace.ask(said, thread_id=thread, files=file or (), on_node=on_node, on_start=on_start)
        except BaseException:
            tell_cut_off(call.terminal, workspace, started[-1] if started else thread)
            raise
        give_run(call.terminal, workspace, run, as_json=call.as_json)
    return exit_of_run(run)


@app.command()
def resume(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(metavar="ID", help="The conversation.")],
) -> int:
    """Go on with a conversation: carry out decisions that were recorded, or finish a run that was cut off."""
    call = invocation(context)
    with call.workspace() as workspace:
        with call.terminal.running() as on_node:
            run = workspace.resume(thread, on_node=on_node)
        give_run(call.terminal, workspace, run, as_json=call.as_json)
    return exit_of_run(run)


@app.command()
def chat(context: typer.Context, thread: Thread = None) -> int:
    """Talk in the terminal: pauses are shown and decided in place. An empty line, Ctrl-D or Ctrl-C ends it."""
    from dojang.cli.talk import Talk

    call = invocation(context)
    with call.workspace() as workspace:
        workspace.check_policy()
        tell_servers(call.terminal, workspace)
        return Talk(call.terminal, workspace, thread).hold()
