"""checkpoints verify, repair, stats, export, import, prune: the session files themselves. Starts no database."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.cli.session_keys import encrypt, make_key, now_and_then, rotate_key
from dojang.cli.words import N_, word
from dojang.home import check_home

app = typer.Typer()
checkpoints = typer.Typer(no_args_is_help=True)
app.add_typer(checkpoints, name="checkpoints", help="Check and mend the session files.")
checkpoints.command("make-key")(make_key)
checkpoints.command("rotate-key")(rotate_key)
checkpoints.command()(encrypt)

FATES: Final = {
    "recent": N_("changed since"),
    "waits": N_("waits for a person"),
    "unfinished": N_("not finished"),
    "busy": N_("is running"),
    "unreadable": N_("cannot be read"),
    "pruned": N_("pruned"),
}


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    JSON = "json"


@checkpoints.command()
def verify(context: typer.Context) -> int:
    """Read every byte of every session and follow every reference. Code 70 when something is damaged."""
    from checkpoints import verify as verify_all
    from dojang.sessions import load_session_keys

    call = invocation(context)
    _ = call.terminal.gettext
    call.only_files()
    keys = load_session_keys(call.settings)
    with call.terminal.working(_("checking")):
        report = verify_all(call.settings.threads, keys=keys)
    call.terminal.document(report)
    call.terminal.line(
        _("{threads} conversations, {records} records, {damaged} damaged").format(
            threads=report["threads"], records=report["records"], damaged=len(report["damaged"])
        )
    )
    for thread in report["damaged"]:
        for problem in thread["problems"]:
            call.terminal.line(f"  {thread['thread_id'] or thread['folder']}: {call.terminal.told(problem)}")
    if any(thread["thread_id"] for thread in report["damaged"]):
        call.terminal.note(_("`dojang checkpoints repair ID` keeps what is intact and says what is lost"))
    return Exit.BROKEN if report["damaged"] else Exit.DONE


@checkpoints.command()
def repair(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(metavar="ID", help="The conversation.")],
) -> int:
    """Keep all that the damage did not reach; the damaged file stays beside it. Code 70 when damage remains."""
    from checkpoints import repair as repair_thread
    from dojang.sessions import load_session_keys

    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    call.only_files()
    report = repair_thread(call.settings.threads, thread, keys=load_session_keys(call.settings))
    call.terminal.document(report)
    for file in report["files"]:
        if file["kept"]:
            kept = _("{path}: {records} records kept; the damaged file is {damaged}")
            call.terminal.line(kept.format(path=file["path"], records=file["records"], damaged=file["kept"]))
        for lost in file["lost"]:
            call.terminal.line(_("{path}: lost: {what}").format(path=file["path"], what=call.terminal.told(lost)))
    for problem in report["problems"]:
        call.terminal.line(call.terminal.told(problem))
    if not report["problems"]:
        call.terminal.note(_("the conversation can be read"))
    return Exit.BROKEN if report["problems"] else Exit.DONE


@checkpoints.command()
def stats(
    context: typer.Context,
    thread: Annotated[str | None, typer.Argument(metavar="ID", help="One conversation; all when not given.")] = None,
) -> int:
    """Say how much each conversation holds: checkpoints, writes, bytes."""
    from checkpoints import stats as stats_of
    from state import DojangError, UserError

    call = invocation(context)
    _ = call.terminal.gettext
    home = call.opened_home
    if thread is not None and not home.backend.exists(thread):
        raise UserError(f"there is no thread {thread!r}; `dojang threads` lists those that exist")
    found, unread = [], list[str]()
    with call.terminal.working(_("counting")) as tell:
        say = now_and_then(tell)
        for thread_id in [thread] if thread is not None else home.backend.readable(lambda _, why: unread.append(why)):
            try:
                found.append(stats_of(home, thread_id))
                say(thread_id)
            except DojangError as e:
                if thread is not None:
                    raise
                unread.append(str(e))
    call.terminal.document(found)
    rows = [
        [one["thread_id"], str(one["checkpoints"]), str(one["writes"]), str(sum(one["bytes"].values()))]
        for one in found
    ]
    call.terminal.rows(rows, head=[_("conversation"), _("checkpoints"), _("writes"), _("bytes")])
    for problem in unread:
        call.terminal.error(problem)
    return Exit.BROKEN if unread else Exit.DONE


@checkpoints.command()
def export(
    context: typer.Context,
    thread: Annotated[str, typer.Argument(metavar="ID", help="The conversation.")],
    form: Annotated[Format, typer.Option("--format", help="JSON lines, or one JSON array.")] = Format.JSONL,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file; stdout when not given.")] = None,
) -> int:
    """Write a conversation as plain JSON: checkpoints, writes, decisions, effects. Not encrypted, and noted."""
    from checkpoints.upkeep.exporting import as_json, as_jsonl, export

    call = invocation(context)
    _ = call.terminal.gettext
    rest = export(call.opened_home, thread)
    records = chain([next(rest)], rest)  # there is such a conversation: noted before any of it is shown
    call.audit.note(thread, "thread.exported", call.settings.user, thread)
    if out is None and call.as_json:
        call.terminal.document(list(records))
        return Exit.DONE
    lines = as_json(records) if form is Format.JSON else as_jsonl(records)
    if out is None:
        for line in lines:
            call.terminal.out.file.write(line.decode())
        return Exit.DONE
    with call.terminal.working(_("writing")) as tell:
        size = _write_new(out, lines, now_and_then(tell))
    call.terminal.document({"thread_id": thread, "file": str(out), "bytes": size})
    call.terminal.line(_("written: {path}, {bytes} bytes").format(path=out, bytes=size))
    return Exit.DONE


@checkpoints.command("import")
def import_(
    context: typer.Context,
    from_sqlite: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The database of LangGraph's SqliteSaver.")
    ] = None,
    from_postgres: Annotated[
        str | None, typer.Option(metavar="DSN", help="The database of LangGraph's PostgresSaver.")
    ] = None,
    thread: Annotated[
        list[str] | None, typer.Option("--thread", metavar="ID", help="Only this one; may be given again.")
    ] = None,
) -> int:
    """Take over the conversations of another LangGraph saver: all of them or none. Nothing is written there."""
    from checkpoints.upkeep.importing import postgres_source, sqlite_source, take_over
    from dojang.sessions import load_session_keys
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    if (from_sqlite is None) == (from_postgres is None):
        raise UserError("name one database to import from, with --from-sqlite or --from-postgres")
    check_home(call.settings.home)
    call.only_files()
    keys = load_session_keys(call.settings)
    opened = sqlite_source(from_sqlite) if from_sqlite is not None else postgres_source(from_postgres or "")
    with call.terminal.working(_("importing")) as tell, opened as source:
        done = take_over(source, call.settings.threads, keys=keys, only=thread or (), tell=now_and_then(tell))
    call.terminal.document(done)
    said = _("{threads} conversations imported, {checkpoints} checkpoints; {present} were here already")
    call.terminal.line(
        said.format(threads=len(done["threads"]), checkpoints=done["checkpoints"], present=len(done["present"]))
    )
    return Exit.DONE


@checkpoints.command()
def prune(
    context: typer.Context,
    older_than: Annotated[str, typer.Option(metavar="TIME", help="Unchanged for this long: 12h, 30d, 8w.")],
    keep_latest: Annotated[
        bool, typer.Option("--keep-latest", help="Keep the newest checkpoint, the decisions and the effects.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> int:
    """Delete conversations that nobody has touched for long. One that waits for a person is never deleted."""
    from checkpoints.upkeep.pruning import prune as prune_threads

    call = invocation(context)
    _ = call.terminal.gettext
    age = _duration(older_than)
    check_home(call.settings.home)
    with call.terminal.working(_("pruning")) as tell:
        say = now_and_then(tell)

        def note(thread_id: str) -> None:
            call.audit.deleted(thread_id, call.settings.user)
            say(thread_id)

        found = prune_threads(call.opened_home, age, keep_latest=keep_latest, dry_run=dry_run, before=note)
    call.terminal.document({"dry_run": dry_run, "keep_latest": keep_latest, "threads": found})
    told = [
        [
            one["thread_id"],
            call.terminal.moment(one["updated_at"]),
            word(_, FATES, one["fate"]),
            call.terminal.told(one["why"]),
        ]
        for one in found
    ]
    call.terminal.rows(told, head=[_("conversation"), _("last change"), _("outcome"), ""])
    if dry_run:
        call.terminal.note(_("nothing was changed: --dry-run"))
    return Exit.DONE


def _duration(text: str) -> timedelta:
    from state import UserError

    found = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if found is None:
        raise UserError(f"--older-than {text!r} is no length of time; write it like 12h, 30d or 8w")
    hours = {"h": 1, "d": 24, "w": 168}[found[2]]
    return timedelta(hours=int(found[1]) * hours)


def _write_new(path: Path, parts: Iterable[bytes], tell: Callable[[str], None]) -> int:
    """Write a file that is not there yet, 0600, whole or not at all; its bytes."""
    from state import PassingFault, UserError

    if path.exists():
        raise UserError(f"{path} exists already; name another file with --out")
    temp = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    size = 0
    try:
        with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for part in parts:
                file.write(part)
                size += len(part)
                tell(f"{size}")
            file.flush()
            os.fsync(file.fileno())
        temp.rename(path)
    except OSError as e:
        raise PassingFault(f"cannot write {path}: {e.strerror}; nothing was written") from e
    finally:
        temp.unlink(missing_ok=True)
    return size
