"""adapters evaluate --against, report: what the gate found, as a table with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation
from dojang.cli.words import N_, word
from dojang.home import check_home

if TYPE_CHECKING:
    from adapters.gate.report import Figure, Report

METRICS = {
    "match": N_("does what was decided"),
    "match_exact": N_("to the sign"),
    "distance": N_("edits away from it (less is better)"),
    "repeated": N_("says again what was refused (less is better)"),
    "valid": N_("valid calls"),
    "grounded": N_("grounded"),
    "abstention": N_("abstains where it should"),
    "seconds": N_("seconds (less is better)"),
    "old_domain": N_("old domain"),
}
VERDICTS = {"passed": N_("passed"), "failed": N_("did not pass"), "cannot_tell": N_("cannot tell")}
BASELINES = {"base": N_("against the base alone"), "nearest": N_("against the champion with the nearest past edits")}
SPEAKERS = {
    "candidate": N_("candidate"), "champion": N_("champion"), "base": N_("the base alone"),
    "nearest": N_("the champion with past edits"),
}  # fmt: skip
SLICES = {"language": N_("language"), "tool": N_("tool"), "tier": N_("tier")}
REASONS = {
    "leak": N_("it was trained on {points} of the held-out decisions"),
    "unknown_training": N_("its folder does not say what it was trained on; train it again"),
    "rules_too_late": N_("the rules of dataset {dataset} were not noted before it was trained; train it again"),
    "too_few": N_(
        "too few decisions to tell: {points} in {conversations} conversations, the rules want {least} in "
        "{least_conversations}"
    ),
    "not_better": N_("not surely better: {difference}, interval {low} to {high}, {n} decisions"),
    "worse_than_nearest": N_("the champion does better when it is shown past edits: {difference}, {n} decisions"),
    "repeats_rose": N_("it says more often again what was refused: {difference}, {n} decisions"),
    "slice_fell": N_("worse in {slice}: {difference}, interval {low} to {high}, {n} decisions"),
    "old_domain_lost": N_("it forgets the old domain: {difference}, allowed {allowed}, {n} items"),
    "repeats_unknown": N_("nothing held out was refused: whether it repeats that is unknown"),
    "no_past_edits": N_("no past edits: the champion cannot be shown any"),
    "old_domain_unknown": N_("the old domain was not asked"),
    "slice_unknown": N_("nobody can tell of {slice}: {points} decisions, {least} are wanted"),
}
SIGNED = frozenset({"difference", "low", "high"})


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
    terminal, _ = call.terminal, call.terminal.gettext
    terminal.document(told)
    terminal.line(
        _("candidate {candidate}, against {against}, decisions of dataset {dataset}").format(
            candidate=told["candidate"], against=told["against"] or _("what goes with the model"),
            dataset=told["dataset"],
        )
    )  # fmt: skip
    head = ["", _("candidate"), _("the other"), _("difference"), _("interval"), _("decisions")]
    there = [(name, told["figures"][name]) for name in METRICS if name in told["figures"]]
    terminal.rows([_row(word(_, METRICS, name), figure) for name, figure in there], head=head)
    slices = [_row(_slice(_, name), figures["match"]) for name, figures in told["slices"].items()]
    terminal.rows(slices, head=[_("does what was decided"), *head[1:]])
    for name, figures in told["baselines"].items():
        rows = [_row(word(_, METRICS, metric), figures[metric]) for metric in ("match", "repeated")]
        terminal.rows(rows, head=[word(_, BASELINES, name), *head[1:]])
    passed = told["verdict"] == "passed"
    said = _("verdict: {verdict}").format(verdict=word(_, VERDICTS, told["verdict"]))
    terminal.line(said, style="bold green" if passed else "bold red")
    for reason in told["reasons"]:
        line = f"- {sentence(_, reason['code'], reason['facts'])}"
        terminal.line(line, style="dim" if reason["kind"] == "note" else "")
    terminal.line(_("report {id}").format(id=told["id"]))
    return Exit.DONE if passed else Exit.PROBLEM


def sentence(_: Callable[[str], str], code: str, facts: Mapping[str, Any]) -> str:
    """A reason, in the reader's language."""
    shown = {key: _number(value, signed=key in SIGNED) for key, value in facts.items()}
    if "slice" in facts:
        shown["slice"] = _slice(_, str(facts["slice"]))
    return word(_, REASONS, code).format(**shown)


def _slice(_: Callable[[str], str], name: str) -> str:
    kind, _sep, value = name.partition(":")
    return f"{word(_, SLICES, kind)} {value}"


def _row(name: str, figure: Figure) -> list[str]:
    low, high = (_number(figure[key], signed=True) for key in ("low", "high"))
    return [
        name, _number(figure["candidate"]), _number(figure["against"]), _number(figure["difference"], signed=True),
        f"{low} … {high}" if figure["low"] is not None else "–", str(figure["n"]),
    ]  # fmt: skip


def _number(value: Any, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" if signed else f"{value:.3f}" if isinstance(value, float) else str(value)
