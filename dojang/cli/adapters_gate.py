"""adapters evaluate --against, report: what the gate found, as a table with its reasons."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.words import word
from dojang.gate_report import SPEAKERS, compared, reasons_of, tables_of, verdict_of
from dojang.home import check_home

if TYPE_CHECKING:
    from adapters.gate.report import Report
    from dojang.cli.terminal import Terminal


def compare(call: Any, adapter: str | None, against: str, dataset: str | None, n: int | None) -> int:
    """Evaluate an adapter against another one and show the report."""
    from adapters.gate.report import read_report
    from dojang.flywheel.gating import OLD_ITEMS, evaluate_against
    from dojang.parts import Parts

    _ = call.terminal.gettext
    check_home(call.settings.home)
    with closing(Parts(call.settings)) as parts, call.terminal.counting(_("asking")) as tell:
        written = evaluate_against(
            parts, checked_text(adapter or "candidate"), checked_text(against),
            None if dataset is None else checked_text(dataset),
            on_progress=lambda done, total, who: tell(done, total, word(_, SPEAKERS, who)),
            old_items=OLD_ITEMS if n is None else n,
        )  # fmt: skip
    return _show(call, read_report(written.parent, written.stem))


def report(
    context: typer.Context,
    report_id: Annotated[str, typer.Argument(metavar="ID", help="A report's id, or how it begins.")],
) -> int:
    """Show a report of `evaluate --against` again, and check that it is unchanged. Code 1 unless it passed."""
    from adapters.gate.report import read_report
    from dojang.flywheel.stale import gates_of

    call = invocation(context)
    return _show(call, read_report(gates_of(call.settings), checked_text(report_id)))


def _show(call: Any, told: Report) -> int:
    call.terminal.document(told)
    tell_report(call.terminal, told)
    return Exit.DONE if told["verdict"] == "passed" else Exit.PROBLEM


def tell_report(terminal: Terminal, told: Report) -> None:
    """A report for a person: figures with their intervals, slices, baselines, the verdict and its reasons."""
    _ = terminal.gettext
    terminal.line(compared(_, told))
    for table in tables_of(_, told):
        terminal.rows(table.rows, head=table.head)
    passed = told["verdict"] == "passed"
    terminal.line(verdict_of(_, told), style="bold green" if passed else "bold red")
    for text, is_note in reasons_of(_, told):
        terminal.line(f"- {text}", style="dim" if is_note else "")
    terminal.line(_("report {id}").format(id=told["id"]))
