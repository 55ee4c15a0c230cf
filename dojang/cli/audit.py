"""audit verify, list, export, report, erase, reopen, rotate-key: who saw and decided what. Files only; no database."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.audited import Sought, existing, last_moment, lines, note_export
from dojang.audited import found as sought_records
from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import word
from dojang.glossary import EVENTS, LEVELS
from dojang.home import check_home

if TYPE_CHECKING:
    from checkpoints.audit.trail import AuditLog
    from checkpoints.postgres.database import Database
    from checkpoints.upkeep.erasing import Erased
    from dojang.server.work.upkeep import RunsErased

app = typer.Typer()
audit = typer.Typer(no_args_is_help=True)
app.add_typer(audit, name="audit", help="Who saw what, decided what, when and why.")


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"


ReasonOption = Annotated[str, typer.Option(metavar="TEXT", help="Why; everybody who checks will read it.")]
ThreadOption = Annotated[
    str | None, typer.Option("--thread", metavar="ID", help="One conversation; all and the home when not given.")
]


@audit.command()
def verify(
    context: typer.Context,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the public keys to trust; the home's own when not given."),
    ] = None,
    every_signature: Annotated[
        bool, typer.Option("--every-signature", help="Check each record's signature, not only those of the heads.")
    ] = False,
) -> int:
    """Check every chain offline: each record, hash, signature and head. Code 70 when something was changed."""
    from checkpoints.audit.check import verify_audit

    call = invocation(context)
    _ = call.terminal.gettext
    with call.terminal.working(_("checking")):
        backend = call.sessions.backend
        report = verify_audit(call.settings.home, keys=keys, thorough=every_signature, backend=backend)
    call.terminal.document(report)
    said = _("{chains} chains, {records} records, {problems} problems")
    call.terminal.line(
        said.format(chains=report["chains"], records=report["records"], problems=report["problems"]),
        style="bold red" if report["problems"] else "green",
    )
    for finding in report["findings"]:
        place = finding["file"] + (f", {_('record')} {finding['record']}" if finding["record"] else "")
        call.terminal.line(f"  {word(_, LEVELS, finding['level'])} {place}: {call.terminal.told(finding['what'])}")
    if report["ends"] and report["ends"][0]["thread_id"] is None:
        end = report["ends"][0]
        call.terminal.line(_("the home's chain ends at record {n}, {hash}").format(n=end["records"], hash=end["hash"]))
    return Exit.BROKEN if report["problems"] else Exit.DONE


@audit.command("list")
def list_(
    context: typer.Context,
    thread: ThreadOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
) -> int:
    """List what was noted, newest first."""
    call = invocation(context)
    _ = call.terminal.gettext
    records = list(sought_records(call.audit, Sought(thread=thread)))[: -limit - 1 : -1]
    call.terminal.document(records)
    rows = [
        [
            call.terminal.moment(r["at"], seconds=True),
            r["actor"],
            word(_, EVENTS, r["event"]),
            r["subject"],
            r["thread_id"] or "",
            _told(r["facts"]),
        ]
        for r in records
    ]
    head = [_("at"), _("who"), _("event"), _("subject"), _("conversation"), _("facts")]
    call.terminal.rows(rows, head=head)
    if not records:
        call.terminal.note(_("nothing has been noted yet"))
    return Exit.DONE


@audit.command()
def export(
    context: typer.Context,
    thread: ThreadOption = None,
    form: Annotated[Format, typer.Option("--format", help="JSON lines, or a table for a spreadsheet.")] = Format.JSONL,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From this day or time on, such as 2026-11-22.")
    ] = None,
) -> int:
    """Write the records to stdout, oldest first. That they were exported is noted."""
    call = invocation(context)
    start = _time(since) if since else None
    check_home(call.settings.home)
    log = call.audit
    sought = Sought(thread=thread, since=start)
    records = list(sought_records(log, sought))
    note_export(log, call.settings.user, sought, form.value, len(records))
    call.terminal.document(records)
    if not call.as_json:
        for line in lines(records, form.value):
            call.terminal.out.file.write(line)
    return Exit.DONE


@audit.command()
def report(
    context: typer.Context,
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="The first day or moment, such as 2026-11-01.")],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The last one, the whole of a day; now when not given.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the public keys to trust; the home's own when not given."),
    ] = None,
) -> int:
    """Write, as Markdown, what people decided in a period, from the verified chains alone. Code 70 when one is not."""
    from checkpoints.audit.check import verify_audit
    from dojang.cli.period import markdown
    from dojang.period import period_of
    from state import UserError

    call = invocation(context)
    first = _time(since, "--from")
    last = _time(last_moment(until), "--to") if until else datetime.now().astimezone()
    if last < first:
        raise UserError(f"--to {until!r} is before --from {since!r}")
    check_home(call.settings.home)
    log = call.audit
    with call.terminal.working(call.terminal.gettext("checking")):
        checked = verify_audit(call.settings.home, keys=keys, backend=call.sessions.backend)
        made = period_of(checked, log, first, last)
    if made.figures is not None:
        note_export(log, call.settings.user, Sought(since=first, until=last), "report", made.verified.records)
    call.terminal.document(made.as_json())
    if not call.as_json:
        call.terminal.out.file.write(markdown(made, call.terminal))
    return Exit.DONE if made.verified.whole else Exit.BROKEN


@audit.command()
def reopen(
    context: typer.Context,
    reason: ReasonOption,
    thread: Annotated[
        str | None, typer.Option("--thread", metavar="ID", help="The conversation; the home's own when not given.")
    ] = None,
) -> int:
    """Put a broken chain aside as evidence and begin a new one. This is never forgotten."""
    from state import UserError

    call = invocation(context)
    if not checked_text(reason).strip():
        raise UserError("a chain is begun anew for a reason; write it with --reason")
    check_home(call.settings.home)
    log = call.audit
    if thread is not None:
        existing(log, thread)
    kept = log.reopen(thread, call.settings.user, reason)
    call.terminal.document({"kept": [str(path) for path in kept]})
    for path in kept:
        call.terminal.line(call.terminal.gettext("kept as evidence: {path}").format(path=path))
    return Exit.DONE


@audit.command()
def erase(
    context: typer.Context,
    reason: ReasonOption,
    person: Annotated[
        str | None, typer.Option("--person", metavar="NAME", help="What this person wrote, everywhere.")
    ] = None,
    thread: Annotated[
        str | None, typer.Option("--thread", metavar="ID", help="All content of one finished conversation.")
    ] = None,
) -> int:
    """Erase content for good. Digests stay, the chains still verify, and that it was erased is noted."""
    from checkpoints.upkeep.erasing import erase_person, erase_thread
    from dojang.flywheel.stale import mark_person, mark_threads
    from dojang.server.work.upkeep import under_way
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    if (person is None) == (thread is None):
        raise UserError("give either --person NAME or --thread ID")
    if not checked_text(reason).strip():
        raise UserError("content is erased for a reason; write it with --reason")
    check_home(call.settings.home)
    log, user, home = call.audit, call.settings.user, call.opened_home
    stale = mark_person(call.settings, person, reason) if person is not None else []  # first: a crash forgets no mark
    if thread is not None and under_way(_runs(call), thread):
        raise UserError(f"a run that the server accepted on thread {thread} is not over; let it end, then erase")
    found = [erase_thread(log, thread, user, reason, home=home)] if thread is not None else []
    found += erase_person(log, person, user, reason, home=home) if person is not None else []
    runs = _erase_runs(call, log, reason, found, person)
    stale = sorted({*stale, *mark_threads(call.settings, [one["thread_id"] for one in found], reason)})
    call.terminal.document({"erased": found, "runs": runs._asdict(), "stale_datasets": stale})
    for one in found:
        said = _(
            "{thread}: {decisions} decisions, {effects} effects, {texts} states and {prompts} model turns without words"
        ).format(**{key: one[key] for key in ("decisions", "effects", "texts", "prompts")}, thread=one["thread_id"])
        call.terminal.line(f"{said}; {call.terminal.told(one['left'])}" if one["left"] else said)
    if runs.runs:
        call.terminal.line(_("accepted runs without words: {runs}").format(runs=runs.runs))
    if runs.left:
        said = _("{runs} accepted runs are not over and keep their words: erase again when they are")
        call.terminal.note(said.format(runs=runs.left), style="yellow")
    if not found and not runs.runs:
        call.terminal.note(_("nothing was found to erase"))
    if stale:
        said = _("stale now: the datasets {ids}, and every adapter that was trained on them")
        call.terminal.note(said.format(ids=", ".join(stale)), style="yellow")
    return Exit.DONE


def _runs(call: Invocation) -> Path | Database:
    return call.sessions.database or call.settings.home / "runs.sqlite"


def _erase_runs(call: Invocation, log: AuditLog, reason: str, found: list[Erased], person: str | None) -> RunsErased:
    """The same words in what the server has accepted; a conversation that was left alone keeps those, too."""
    from dojang.server.work.upkeep import erase_runs

    def note(thread_id: str) -> None:
        if log.backend.exists(thread_id):
            facts: dict[str, Any] = {"what": "accepted runs", "reason": reason}
            log.note(thread_id, "content.erased", call.settings.user, thread_id, facts)

    touched = [one["thread_id"] for one in found if one["checkpoints"] or one["texts"] or one["decisions"]]
    alone = [one["thread_id"] for one in found if one["thread_id"] not in touched]
    keys = call.sessions.backend.folders.keys if call.sessions.database is None else None
    return erase_runs(_runs(call), keys, note, threads=touched, person=person, but=alone)


@audit.command("rotate-key")
def rotate_key(context: typer.Context) -> int:
    """Sign with a new key from now on; old public keys stay."""
    call = invocation(context)
    check_home(call.settings.home)
    log = call.audit
    key_id = log.rotate_key(call.settings.user)
    path = log.keys.directory / f"audit-{key_id}.pub"
    call.terminal.document({"key_id": key_id, "public_key": str(path)})
    call.terminal.line(call.terminal.gettext("key {id} signs from now on; whoever checks needs {path}").format(
        id=key_id, path=path
    ))  # fmt: skip
    return Exit.DONE


def _time(text: str, option: str = "--since") -> datetime:
    from state import UserError

    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UserError(f"{option} {text!r} is no day or time; write it like 2026-11-22 or 2026-11-22T09:00") from None


def _told(facts: dict[str, Any]) -> str:
    """The facts in one short line, in the order in which they were noted."""
    told = ", ".join(f"{name} {value}" for name, value in facts.items() if value not in ("", None) and name != "at")
    one = " ".join(told.split())
    return one if len(one) <= 100 else one[:99] + "…"
