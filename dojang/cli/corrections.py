"""documents correct, undo, history, cited, aside: what people changed in passages, and who relied on it before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import word
from dojang.glossary import VERSIONS

if TYPE_CHECKING:
    from dojang.workspace import Workspace
    from state import Passage

PassageId = Annotated[str, typer.Argument(metavar="PASSAGE", help="A passage's id, as `dojang search` shows it.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept.")]


def correct(
    context: typer.Context,
    passage: PassageId,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="All that the passage is to say; it replaces the whole text.")
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="A file with the new text; - is stdin.")] = None,
    reason: Reason = "",
) -> int:
    """Replace the whole text of a passage, in your name; the old version stays readable and is no longer found."""
    call = invocation(context)
    said = _said(call, text, file)
    with call.workspace() as workspace:
        new = workspace.correct(checked_text(passage), said, reason=checked_text(reason))
        _tell_new(call, workspace, passage, new)
    return Exit.DONE


def undo(context: typer.Context, passage: PassageId, reason: Reason = "") -> int:
    """Put a passage back to what it said before its last correction, as a new version."""
    call = invocation(context)
    with call.workspace() as workspace:
        new = workspace.undo_correction(checked_text(passage), reason=checked_text(reason))
        _tell_new(call, workspace, passage, new)
    return Exit.DONE


def history(context: typer.Context, passage: PassageId) -> int:
    """List the versions of a passage, by any of their ids: who changed what, when and why."""
    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        versions = workspace.passage_history(checked_text(passage))
    call.terminal.document(versions)
    if not versions:
        call.terminal.note(_("this passage was never corrected"))
    for version in versions:
        head = f"{call.terminal.moment(version['at'])} {word(_, VERSIONS, version['kind'])}, {version['author']}"
        call.terminal.line(f"{head}: {version['reason']}" if version["reason"] else head, style="yellow")
        call.terminal.line(f"  - {_one_line(version['old_text'])}")
        call.terminal.line(f"  + {_one_line(version['text'])} {version['passage']}".rstrip())
    return Exit.DONE


def cited(context: typer.Context, passage: PassageId) -> int:
    """List the answers that cited a passage, in any of its versions: whoever got them may have to be told."""
    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        found = workspace.cited(checked_text(passage))
        unread = workspace.parts.cited.unreadable()
    call.terminal.document({"cited": found, "unreadable": unread})
    if not found:
        call.terminal.note(_("no answer cited this passage"))
    for one in found:
        line = _("{thread}: answer {message}, citation [{n}], version {passage}")
        call.terminal.line(
            line.format(thread=one["thread_id"], message=one["message"], n=one["n"], passage=one["passage"])
        )
    for folder, why in unread.items():
        call.terminal.note(
            _("{folder} cannot be read, so what it cites is not known: {why}").format(
                folder=folder, why=call.terminal.told(why)
            )
        )
    return Exit.DONE


def aside(
    context: typer.Context,
    settle: Annotated[int | None, typer.Option(metavar="N", help="Note that number N was looked at.")] = None,
    reason: Reason = "",
) -> int:
    """List corrections that no longer fit, because their file says something else now."""
    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        if settle is not None:
            workspace.settle(settle, reason=checked_text(reason))
        waiting = workspace.set_aside()
    call.terminal.document(waiting)
    if not waiting:
        call.terminal.note(_("no correction is set aside"))
    for one in waiting:
        call.terminal.line(f"{one['n']}. {one['document']} ({one['author']}: {one['reason']})", style="yellow")
        call.terminal.line(f"  - {_one_line(one['old_text'])}")
        call.terminal.line(f"  + {_one_line(one['text'])}")
    return Exit.DONE


def _said(call: Invocation, text: str | None, file: Path | None) -> str:
    from state import UserError
    from store.readers.encodings import decode
    from store.readers.files import bytes_of

    if (text is None) == (file is None):
        raise UserError("say what the passage is to say, with --text or with --file")
    if text is not None:
        return checked_text(text)
    assert file is not None
    if str(file) == "-":
        return checked_text(call.terminal.rest())
    return decode(str(file), bytes_of(file))


def _tell_new(call: Invocation, workspace: Workspace, old: str, new: Passage) -> None:
    """Which version is found now, what is no longer said and what is, and who was told the old one."""
    _ = call.terminal.gettext
    found = workspace.cited(old)
    call.terminal.document({"passage": new, "cited": found})
    call.terminal.line(_("passage {old} is now {new}").format(old=old, new=new["id"]), style="green")
    for before in workspace.passages([old]):  # a version that was replaced stays readable
        call.terminal.line(f"  - {_one_line(before['text'])}")
    call.terminal.line(f"  + {_one_line(new['text'])}")
    if found:
        threads = ", ".join(dict.fromkeys(one["thread_id"] for one in found))
        said = _("{count} answers cited it before: {threads}; `dojang documents cited` says which")
        call.terminal.note(said.format(count=len(found), threads=threads))


def _one_line(text: str) -> str:
    return " ".join(text.split())
