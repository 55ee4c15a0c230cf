"""A period as Markdown in the reader's language: what a manager reads, keeps and hands on. Pure but for the words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dojang.glossary import REFUSALS
from dojang.shift import QUICK_S, TYPES
from dojang.visible import visible
from dojang.vocabulary import KINDS, N_, SAID

if TYPE_CHECKING:
    from dojang.cli.terminal import Terminal
    from dojang.period import Figures, Period, Verified

COUNTS: Final = {
    "looked_at": N_("looks at a review"),
    "passed": N_("calls that a rule let pass, and told"),
    "used_in_advance": N_("calls that an approval in advance let pass"),
    "allowed_in_advance": N_("approvals in advance given"),
    "revoked_in_advance": N_("approvals in advance ended"),
    "escalated": N_("reviews of which half the time was over"),
    "handed_up": N_("reviews handed up"),
    "taken_back": N_("decisions taken back"),
    "policy_changes": N_("times that the policy was another one than before"),
    "changed_by_hand": N_("times that a conversation's state was changed by hand"),
    "rolled_back": N_("champions taken back"),
    "erased": N_("erasures of content"),
    "deleted": N_("conversations deleted: what was decided in them is in no figure"),
    "reopened": N_("chains begun anew"),
}
CHECKS: Final = {
    "put_in": N_("put in"),
    "seen": N_("seen"),
    "missed": N_("missed"),
    "nobody": N_("nobody decided it in time"),
}
EXPIRED: Final = SAID["expire"]
FINDINGS_SHOWN: Final = 20


def markdown(period: Period, terminal: Terminal) -> str:
    """The whole report, its last line ended."""
    _ = terminal.gettext
    first, last = terminal.moment(period.since), terminal.moment(period.until)
    lines = [f"# {_('Human decisions from {first} to {last}').format(first=first, last=last)}", ""]
    lines += _verified(period.verified, terminal)
    if period.figures is not None:
        lines += _figures(period.figures, terminal)
    return "\n".join(lines).rstrip() + "\n"


def _verified(found: Verified, terminal: Terminal) -> Iterator[str]:
    _ = terminal.gettext
    counted = {"chains": found.chains, "records": found.records, "problems": found.problems}
    if found.whole:
        yield _("The audit chains verify: {chains} chains, {records} records.").format(**counted)
    else:
        said = _("THE AUDIT CHAINS DO NOT VERIFY: {problems} problems in {chains} chains.")
        yield f"**{said.format(**counted)}**"
        yield ""
        if found.left_out:
            threads = ", ".join(map(_text, found.left_out))
            yield _("Nothing counts of these conversations: {threads}.").format(threads=threads)
        else:
            yield _("The chain of the home is not whole, so there are no figures.")
        yield ""
        for one in found.findings[:FINDINGS_SHOWN]:
            yield f"- {_text(one['file'])}: {_text(terminal.told(one['what']))}"
    if found.end is not None:
        said = _("the home's chain ends at record {n}, {hash}")
        yield ""
        yield said.format(n=found.end["records"], hash=f"`{found.end['hash']}`")
    yield ""


def _figures(figures: Figures, terminal: Terminal) -> Iterator[str]:
    _ = terminal.gettext
    overrides = figures.of("edit") + figures.of("reject")
    opened = sum(figures.opened.values())
    yield from _pairs(
        _("In all"),
        [
            (_("reviews opened"), opened),
            (_("decisions and votes"), figures.total),
            *((_(SAID[kind]), figures.of(kind)) for kind in TYPES),
            (_("of them overrides: the person wanted something else"), overrides),
            (_("expired without a decision"), sum(figures.expired.values())),
            (_("decided in less than {n} s").format(n=f"{QUICK_S:g}"), figures.quick),
            *((_(text), figures.counts[name]) for name, text in COUNTS.items()),
        ],
    )
    yield from _by_type(_("By kind"), figures.by_kind, terminal, KINDS, more=figures.expired)
    yield from _by_type(_("By tier"), figures.by_tier, terminal, {}, looked=figures.looked_by_tier)
    yield from _by_type(_("By tool"), figures.by_tool, terminal, KINDS)
    yield from _pairs(_("By channel"), figures.by_channel.items())
    yield from _persons(figures, terminal)
    yield from _pairs(_("Checks of attention"), [(_(text), figures.checks[name]) for name, text in CHECKS.items()])
    yield from _pairs(
        _("Decisions refused"), [(_(REFUSALS.get(why, why)), count) for why, count in figures.refused.items()]
    )
    yield from _events(figures, terminal)


def _persons(figures: Figures, terminal: Terminal) -> Iterator[str]:
    _ = terminal.gettext
    if not figures.persons:
        return
    head = [
        _("person"), *(_(SAID[kind]) for kind in TYPES), _("looked (median)"), _("quick, high tier"), _("in bulk"),
        _("longest streak"), _("taken back"), _("refused"), _("checks seen"),
    ]  # fmt: skip
    rows = []
    for one in figures.persons:
        checks = one.checks_seen + one.checks_missed
        rows.append([
            one.name, *(str(one.types[kind]) for kind in TYPES), _seconds(one.looked_s), str(one.quick_high),
            str(one.bulk), str(one.streak), str(one.taken_back), str(one.refused),
            f"{one.checks_seen}/{checks}" if checks else "–",
        ])  # fmt: skip
    yield from _section(_("By person"), head, rows)


def _events(figures: Figures, terminal: Terminal) -> Iterator[str]:
    _ = terminal.gettext
    moment = terminal.moment
    if figures.halts:
        head = [_("paused"), _("who"), _("why"), _("resumed"), _("who")]
        rows = [
            [moment(h.at), h.by, h.why, moment(h.resumed_at) if h.resumed_at else "–", h.resumed_by]
            for h in figures.halts
        ]
        yield from _section(_("All runs paused"), head, rows)
    if figures.promotions:
        rows = [[moment(p.at), ", ".join(p.by), p.thread] for p in figures.promotions]
        yield from _section(_("Adapters promoted"), [_("at"), _("who approved"), _("conversation")], rows)
    if figures.handovers:
        head = [_("at"), _("handed over by"), _("to"), _("reviews"), _("taken over")]
        rows = [
            [moment(h.at), h.by, h.to, str(h.reviews), moment(h.taken_at) if h.taken_at else "–"]
            for h in figures.handovers
        ]
        yield from _section(_("Shifts handed over"), head, rows)


def _by_type(
    title: str,
    table: Mapping[str, Mapping[str, int]],
    terminal: Terminal,
    names: Mapping[Any, str],
    *,
    more: Mapping[str, int] | None = None,
    looked: Mapping[str, float] | None = None,
) -> Iterator[str]:
    _ = terminal.gettext
    known = {str(key): text for key, text in names.items()}
    head = ["", *(_(SAID[kind]) for kind in TYPES)]
    head += [_(EXPIRED)] if more is not None else []
    head += [_("looked (median)")] if looked is not None else []
    rows = []
    for name in dict.fromkeys([*table, *(more or {})]):
        counts = table.get(name, {})
        row = [_(known[name]) if name in known else name, *(str(counts.get(kind, 0)) for kind in TYPES)]
        row += [str(more.get(name, 0))] if more is not None else []
        row += [_seconds(looked.get(name))] if looked is not None else []
        rows.append(row)
    if rows:
        yield from _section(title, head, rows)


def _pairs(title: str, pairs: Iterable[tuple[str, int]]) -> Iterator[str]:
    rows = [[name, str(count)] for name, count in pairs]
    if rows:
        yield from _section(title, ["", "n"], rows)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield _row(head)
    yield "|---" * len(head) + "|"
    yield from map(_row, rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(value: str) -> str:
    """Text of others in a cell: on one line, and nothing in it is a mark of Markdown or HTML."""
    one = " ".join(visible(value).split())
    return "".join(f"\\{letter}" if letter in "\\|`*_[]<>#~" else letter for letter in one)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
