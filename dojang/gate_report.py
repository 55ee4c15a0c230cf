"""A report of the gate as people read it: tables, the verdict and its reasons, the same for commands and pages. Pure.

Words are those of the commands' catalogue (domain ``cli``), whoever shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dojang.vocabulary import N_

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
Gettext = Callable[[str], str]


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first cell of the head says what the rows are, where they need it."""

    head: list[str]
    rows: list[list[str]]


def compared(_: Gettext, told: Report) -> str:
    """Who was compared with whom, on what."""
    return _("candidate {candidate}, against {against}, decisions of dataset {dataset}").format(
        candidate=told["candidate"], against=told["against"] or _("what goes with the model"), dataset=told["dataset"]
    )


def tables_of(_: Gettext, told: Report) -> list[Table]:
    """All figures, then matches by slice, then matches and repeats against each baseline."""
    head = ["", _("candidate"), _("the other"), _("difference"), _("interval"), _("decisions")]
    there = [(name, told["figures"][name]) for name in METRICS if name in told["figures"]]
    every = [_row(_named(_, METRICS, name), figure) for name, figure in there]
    slices = [_row(_slice(_, name), f["match"]) for name, f in told["slices"].items() if "match" in f]
    found = [Table(head, every), Table([_("does what was decided"), *head[1:]], slices)]
    for name, figures in told["baselines"].items():
        rows = [
            _row(_named(_, METRICS, metric), figures[metric]) for metric in ("match", "repeated") if metric in figures
        ]
        found.append(Table([_named(_, BASELINES, name), *head[1:]], rows))
    return [table for table in found if table.rows]


def verdict_of(_: Gettext, told: Report) -> str:
    """The verdict in a sentence."""
    return _("verdict: {verdict}").format(verdict=_named(_, VERDICTS, told["verdict"]))


def reasons_of(_: Gettext, told: Report) -> list[tuple[str, bool]]:
    """Why, one sentence each, and whether it is only a note."""
    return [(sentence(_, r["code"], r["facts"]), r["kind"] == "note") for r in told["reasons"]]


def sentence(_: Gettext, code: str, facts: Mapping[str, Any]) -> str:
    """A reason, in the reader's language; one that this version does not know, as it stands in the report."""
    shown = {key: _number(value, signed=key in SIGNED) for key, value in facts.items()}
    if "slice" in facts:
        shown["slice"] = _slice(_, str(facts["slice"]))
    return _named(_, REASONS, code).format(**shown)


def _named(_: Gettext, table: Mapping[str, str], key: str) -> str:
    return _(table[key]) if key in table else key


def _slice(_: Gettext, name: str) -> str:
    kind, _sep, value = name.partition(":")
    return f"{_named(_, SLICES, kind)} {value}"


def _row(name: str, figure: Figure) -> list[str]:
    low, high = _number(figure["low"], signed=True), _number(figure["high"], signed=True)
    return [
        name, _number(figure["candidate"]), _number(figure["against"]), _number(figure["difference"], signed=True),
        f"{low} … {high}" if figure["low"] is not None else "–", str(figure["n"]),
    ]  # fmt: skip


def _number(value: Any, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" if signed else f"{value:.3f}" if isinstance(value, float) else str(value)
