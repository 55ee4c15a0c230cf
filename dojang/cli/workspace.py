"""``dojang workspace``: the whole of what a home holds."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.cli.session_keys import now_and_then
from dojang.home import check_home

app = typer.Typer(no_args_is_help=True)
workspace = typer.Typer(no_args_is_help=True)
app.add_typer(workspace, name="workspace", help="The whole of what a home holds.")


@workspace.command()
def move(
    context: typer.Context,
    to: Annotated[Literal["files", "postgres"], typer.Option(help="Where the sessions are to lie.")],
) -> int:
    """Move all sessions into the database of DOJANG_DATABASE_URL, or out of it into files of the home.

    Stop servers and workers first. Cut off at any instant, run it again: it goes on. Where they were they are kept
    under another name.
    """
    from dojang.moving import move as move_sessions

    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    with call.terminal.working(_("moving")) as tell:
        done = move_sessions(call.settings, to, tell=now_and_then(tell))
    call.terminal.document(done)
    said = _("{threads} conversations moved, {checkpoints} checkpoints, {records} records, {runs} runs")
    call.terminal.line(said.format(**done))
    call.terminal.line(_("what was there is kept: {path}").format(path=done["kept"]))
    call.terminal.note(_("set DOJANG_SESSIONS={to} from now on").format(to=to))
    return Exit.DONE
