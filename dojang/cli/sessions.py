"""checkpoints verify, repair: the session files themselves. Reads and mends files; starts no database."""

from __future__ import annotations

from typing import Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import check_home, invocation

app = typer.Typer()
checkpoints = typer.Typer(no_args_is_help=True)
app.add_typer(checkpoints, name="checkpoints", help="Check and mend the session files.")


@checkpoints.command()
def verify(context: typer.Context) -> int:
    """Read every byte of every session and follow every reference. Code 70 when something is damaged."""
    from checkpoints import verify as verify_all

    call = invocation(context)
    _ = call.terminal.gettext
    with call.terminal.working(_("checking")):
        report = verify_all(call.settings.threads)
    call.terminal.document(report)
    call.terminal.line(
        _("{threads} conversations, {records} records, {damaged} damaged").format(
            threads=report["threads"], records=report["records"], damaged=len(report["damaged"])
        )
    )
    for thread in report["damaged"]:
        for problem in thread["problems"]:
            call.terminal.line(f"  {thread['thread_id'] or thread['folder']}: {problem}")
    return Exit.BROKEN if report["damaged"] else Exit.DONE


@checkpoints.command()
def repair(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(metavar="ID", help="The conversation.")],
) -> int:
    """Keep what is whole before the damage; the damaged file stays beside it. Code 70 when damage remains."""
    from checkpoints import repair as repair_thread

    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    report = repair_thread(call.settings.threads, thread)
    call.terminal.document(report)
    for file in report["files"]:
        if file["kept"]:
            kept = _("{path}: {records} records kept; the damaged file is {damaged}")
            call.terminal.line(kept.format(path=file["path"], records=file["records"], damaged=file["kept"]))
    for problem in report["problems"]:
        call.terminal.line(problem)
    if not report["problems"]:
        call.terminal.note(_("the conversation can be read"))
    return Exit.BROKEN if report["problems"] else Exit.DONE
