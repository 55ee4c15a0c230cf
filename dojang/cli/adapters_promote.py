"""adapters promote, rollback, history, shadow: who is champion, who wants to be. Starts no database."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from dojang.cli.adapters_registry import registry_of
from dojang.cli.exits import Exit, exit_of_run
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.telling import tell_run
from dojang.cli.words import word
from dojang.glossary import ALIASES

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the log.")]


def promote(
    context: typer.Context,
    adapter: Annotated[str, typer.Argument(metavar="ID", help="An adapter of the registry, or candidate.")],
    report: Annotated[
        str, typer.Option(metavar="REPORT", help="The report that it passed; `evaluate --against champion` makes it.")
    ],
    reason: Reason,
) -> int:
    """Ask a person to make an adapter the champion: a review of the top tier, with the report. Ends with code 3."""
    from dojang.flywheel.promoting import propose

    call = invocation(context)
    with call.workspace() as workspace:
        run = propose(workspace, checked_text(adapter), checked_text(report), checked_text(reason))
        call.terminal.document(run.as_json())
        if not call.as_json:
            tell_run(call.terminal, workspace, run)
    return exit_of_run(run)


def rollback(context: typer.Context, reason: Reason) -> int:
    """Make the champion before this one champion again, at once and without a review."""
    from dojang.flywheel.promoting import roll_back
    from dojang.home import check_home
    from dojang.parts import Parts

    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    with closing(Parts(call.settings)) as parts:
        made = roll_back(parts, checked_text(reason))
    call.terminal.document(made)
    said = _("champion again: {champion}; before this command it was {previous}")
    call.terminal.line(said.format(champion=made["set"]["champion"], previous=made["set"]["previous"]))
    return Exit.DONE


def history(context: typer.Context) -> int:
    """List what was ever promoted, rolled back or made the candidate, newest first: who, when, why, on which report."""
    call = invocation(context)
    _ = call.terminal.gettext
    records: list[dict[str, Any]] = [dict(record) for record in reversed(registry_of(call.settings).log.read())]
    call.terminal.document(records)
    head = [_("number"), _("at"), _("by"), _("what"), _("report"), _("reason")]
    table = [
        [
            str(record["n"]), call.terminal.moment(record["at"]), record["by"], _what(_, record),
            record.get("report", "–"), record["reason"],
        ]
        for record in records
    ]  # fmt: skip
    call.terminal.rows(table, head=head)
    if not records:
        call.terminal.note(_("nothing was promoted yet"))
    return Exit.DONE


def shadow(
    context: typer.Context,
    self_approved: Annotated[
        bool, typer.Option("--self-approved", help="Also count approvals by whoever made the request.")
    ] = False,
) -> int:
    """Show how candidates that were asked in the shadow would have fared against what people then decided."""
    from dojang.flywheel.datasets import sessions_of
    from dojang.flywheel.gating import read_value
    from dojang.flywheel.shadow import compare
    from dojang.parts import Parts

    call = invocation(context)
    _ = call.terminal.gettext
    with closing(Parts(call.settings)) as parts, call.terminal.working(_("reading decisions")):
        found = compare(sessions_of(parts), read_value, self_approved=self_approved)
    call.terminal.document([one.as_json() for one in found])
    head = [
        _("adapter"), _("turns"), _("decided"), _("does what was decided"), _("who spoke"),
        _("says again what was refused"), _("who spoke"),
    ]  # fmt: skip
    table = [
        [
            one.adapter, str(one.asked), str(one.decided),
            *(f"{n}/{one.wanted}" for n in one.agreed), *(f"{n}/{one.refused}" for n in one.repeated),
        ]
        for one in found
    ]  # fmt: skip
    call.terminal.rows(table, head=head)
    if not found:
        call.terminal.note(_("no candidate was asked yet; DOJANG_SHADOW=true asks it every turn"))
    return Exit.DONE


def _what(_: Any, record: dict[str, Any]) -> str:
    named = [f"{word(_, ALIASES, alias)}: {adapter or '–'}" for alias, adapter in record["set"].items()]
    back = [_("rolled back")] if record.get("rollback") else []
    return ", ".join([*back, *named])
