"""replay: past conversations at their decision points, under another adapter. Runs no tool, writes nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import N_, SAID, word
from dojang.glossary import REASONS

if TYPE_CHECKING:
    from dojang.flywheel.replaying import Proposed, Replay, Replayed

app = typer.Typer()

JUDGED = {
    "same": N_("same"), "better": N_("better"), "worse": N_("worse"), "changed": N_("changed"),
    "not_recorded": N_("not recorded"), "failed": N_("failed"),
}  # fmt: skip
RULES = {"asks": N_("asks"), "passes": N_("passes"), "refuses": N_("refuses")}
MORE_REASONS = {**REASONS, "state_gone": N_("the state of then is gone")}
STYLES = {"better": "green", "worse": "bold red", "failed": "bold red"}
SHOWN_CHARS = 300


@app.command()
def replay(
    context: typer.Context,
    adapter: Annotated[
        str, typer.Option(metavar="DIR|ID", help="An adapter's folder, id or alias; at an endpoint its name.")
    ],
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="What was decided from this day or moment on, like 2026-11-01.")
    ] = None,
    thread: Annotated[str | None, typer.Option(metavar="ID", help="Only this conversation.")] = None,
) -> int:
    """Replay past decision points with an adapter: what it would propose, and what the rules would do. Runs no tool."""
    from dojang.flywheel.replaying import replay as replayed

    call = invocation(context)
    _ = call.terminal.gettext
    name, start = _adapter(call, checked_text(adapter)), _moment(since)
    with call.workspace() as workspace, call.terminal.counting(_("replaying")) as tell:
        found = replayed(workspace.parts, name, since=start, thread_id=checked_text(thread or ""), on_progress=tell)
    told = [point.as_json() for point in found.points]
    summary = found.summary()
    call.terminal.document({"adapter": name, "points": told, "summary": summary, "problems": found.problems})
    for point in found.points:
        _tell_point(call, point)
    _tell_summary(call, found)
    return Exit.DONE


def _adapter(call: Invocation, name: str) -> str:
    from dojang.cli.adapters_registry import folder_of, registry_of

    if call.settings.model.startswith("openai:"):
        registry = registry_of(call.settings)
        if registry.server is None:
            return name
        name = registry.aliases().get(name, name)
        if registry.has(name):
            registry.serve(name)
        return name

    return str(folder_of(call.settings, name).absolute())


def _moment(said: str | None) -> datetime | None:
    if said is None:
        return None
    from state import UserError

    try:
        moment = datetime.fromisoformat(checked_text(said))
    except ValueError:
        raise UserError(f"{said!r} is no date; write it like 2026-11-01 or 2026-11-01T09:00") from None
    return moment if moment.tzinfo else moment.astimezone()


def _tell_point(call: Invocation, point: Replayed) -> None:
    _ = call.terminal.gettext
    judged = word(_, JUDGED, point.judged)
    at = call.terminal.moment(point.at)
    call.terminal.line(f"{at} {point.thread_id} {point.review_id}: {judged}", style=STYLES.get(point.judged, ""))
    call.terminal.line("  " + _("then: {what}").format(what=_shown(point.then)))
    decided = _("{by} said: {decision}").format(by=point.by, decision=word(_, SAID, point.decision))
    edited = f" → {_shown(point.wanted)}" if point.decision == "edit" and point.wanted is not None else ""
    call.terminal.line("  " + decided + edited)
    if point.now is not None and point.judged != "same":
        rules = word(_, RULES, point.rules)
        call.terminal.line("  " + _("now: {what} ({rules})").format(what=_shown(point.now), rules=rules))
    if point.why:
        call.terminal.line("  " + call.terminal.told(point.why))


def _shown(what: Proposed) -> str:
    said = f"{what.tool} {json.dumps(dict(what.args), ensure_ascii=False)}" if what.tool else what.text
    one = " ".join(said.split())
    return one if len(one) <= SHOWN_CHARS else f"{one[: SHOWN_CHARS - 1]}…"


def _tell_summary(call: Invocation, found: Replay) -> None:
    _ = call.terminal.gettext
    told: dict[str, Any] = found.summary()
    counts = ", ".join(f"{word(_, JUDGED, name)} {told[name]}" for name in JUDGED if told[name])
    call.terminal.line(_("{points} points: {counts}").format(points=told["points"], counts=counts or "–"))
    if told["denied"]:
        call.terminal.line(
            _("{again} of {denied} proposals that a person rejected or edited are made again").format(
                again=told["repeated"], denied=told["denied"]
            )
        )
    for why, count in told["left_out"].items():
        call.terminal.note(_("left out: {why}: {count}").format(why=word(_, MORE_REASONS, why), count=count))
    for problem in found.problems:
        call.terminal.note(call.terminal.told(problem), style="yellow")
