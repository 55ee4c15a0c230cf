"""policy check, test, explain, replay, allow, standing, revoke: the rules, tried before they hold.

All but ``allow`` and ``revoke`` only read. None needs the model or the database.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import KINDS, N_, word
from dojang.home import check_home
from dojang.reading import reason_as_read

if TYPE_CHECKING:
    from state import Verdict
    from tools.policy import FilePolicy
    from tools.standing import Standing, StandingApproval
    from tools.toolbox import Toolbox

app = typer.Typer()
policy = typer.Typer(no_args_is_help=True)
app.add_typer(policy, name="policy", help="The rules that say which call needs whom: check, test, explain, replay.")

OUTCOMES = {"auto": N_("passes"), "notify": N_("passes, and is told"), "ask": N_("asks"), "forbid": N_("is forbidden")}
STANDINGS = {
    "active": N_("active"), "revoked": N_("revoked"), "expired": N_("expired"), "used up": N_("used up"),
    "not yet": N_("not yet"),
}  # fmt: skip
UNITS = {"m": 60, "h": 3600, "d": 86_400}

File = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="The rules; those of the settings when not given.")
]
Hard = Annotated[
    Path | None, typer.Option("--hard", metavar="FILE", help="The hard rules; those of the settings when not given.")
]


@policy.command()
def check(context: typer.Context, file: File = None, hard: Hard = None) -> int:
    """Load the rules and list them, hard ones first. Code 2 names file, line, rule and field of a mistake."""
    from dojang.trying import rule_as_json

    call = invocation(context)
    _ = call.terminal.gettext
    loaded = _load(call, file, hard)
    rules = [rule_as_json(rule) for rule in loaded.rules]
    call.terminal.document({"version": loaded.version, "rules": rules})
    rows = [
        [
            rule.id,
            _("hard") if rule.hard else "",
            rule.tool or (_("any call") if rule.on == "call" else _("answer")),
            word(_, OUTCOMES, rule.outcome) + (f" {rule.tier}" if rule.outcome == "ask" else ""),
            rule.text_ko if call.terminal.language == "ko" else rule.text,
        ]
        for rule in loaded.rules
    ]
    call.terminal.rows(rows, head=[_("rule"), "", _("about"), _("outcome"), _("what it says")])
    call.terminal.note(_("{count} rules, version {version}").format(count=len(rules), version=loaded.version))
    return Exit.DONE


@policy.command("test")
def try_cases_of(
    context: typer.Context,
    cases: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The cases; the sample's when not given.")
    ] = None,
    file: File = None,
    hard: Hard = None,
) -> int:
    """Judge the cases of a file and compare with what they expect. Code 1 when one is not met."""
    from dojang.settings import SAMPLE
    from tools.policy_cases import read_cases, try_cases

    call = invocation(context)
    _ = call.terminal.gettext
    loaded = _load(call, file, hard)
    tried = try_cases(loaded, read_cases(cases or SAMPLE / "policy-tests.toml", _toolbox(call).offered()))
    wrong = [one for one in tried if one.wrong]
    call.terminal.document(
        [{"name": t.case.name, "line": t.case.line, "wrong": list(t.wrong), "verdict": t.verdict} for t in tried]
    )
    for one in wrong:
        name = _("{name} (line {line})").format(name=one.case.name, line=one.case.line)
        call.terminal.line(f"{name}: {call.terminal.told('; '.join(one.wrong))}", style="bold red")
    call.terminal.line(_("{count} cases, {wrong} not met").format(count=len(tried), wrong=len(wrong)))
    return Exit.PROBLEM if wrong else Exit.DONE


@policy.command()
def explain(
    context: typer.Context,
    tool: Annotated[str | None, typer.Option(metavar="NAME", help="The tool of the call.")] = None,
    args: Annotated[str, typer.Option(metavar="JSON", help="Its arguments.")] = "{}",
    text: Annotated[str | None, typer.Option(metavar="TEXT", help="An answer, instead of a call.")] = None,
    untrusted: Annotated[bool, typer.Option("--untrusted", help="As if the evidence were not trusted.")] = False,
    file: File = None,
    hard: Hard = None,
) -> int:
    """Say the verdict on a call or an answer, every rule that matched, and why the others did not."""
    from dojang.trying import Tried, tried
    from state import UserError

    call = invocation(context)
    if (tool is None) == (text is None):
        raise UserError("give either --tool NAME (with --args JSON) or --text TEXT")
    said = Tried(
        tool=tool or "",
        args=_args(args) if tool is not None else {},
        text=checked_text(text) if text is not None else "",
        trust="untrusted" if untrusted else "trusted",
        requester=call.settings.user,
    )
    found = tried(_load(call, file, hard, standing=True), _toolbox(call), said, call.terminal.language)
    call.terminal.document(found.as_json())
    _tell_verdict(call, found.verdict)
    _ = call.terminal.gettext
    for one in found.rules:
        mark = _("matched") if one.matched else _("no")
        call.terminal.line(f"  {one.rule.id}: {mark}, {' '.join(one.because.split())}")
    for note in found.notes:
        call.terminal.note(call.terminal.told(note))
    return Exit.DONE


@policy.command()
def replay(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="DATE", help="From this day or moment on, like 2026-11-01.")],
    file: File = None,
    hard: Hard = None,
) -> int:
    """Judge anew what was really judged since a date, and show what would change. Runs nothing, writes nothing."""
    from dojang.policy_replay import replayed

    call = invocation(context)
    _ = call.terminal.gettext
    start = _moment(since)
    loaded = _load(call, file, hard)
    found = replayed(call.settings, loaded, start)
    call.terminal.document([one.as_json() for one in found])
    changed = [one for one in found if one.changed]
    for one in changed:
        was, now, about = one.judged.verdict, one.now, one.judged.subject
        what = about["tool"] or about["text"][:60]
        at = call.terminal.moment(one.judged.at)
        call.terminal.line(f"{at} {one.judged.thread_id} {what}: {_said(call, was)} → {_said(call, now)}")
        call.terminal.line("  " + ", ".join(reason["rule_id"] for reason in now["why"]))
    counts = _("{count} judged, {changed} would change").format(count=len(found), changed=len(changed))
    call.terminal.line(counts)
    return Exit.DONE


@policy.command()
def allow(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool, by its exact name.")],
    when: Annotated[str, typer.Option(metavar="CEL", help='Which calls, like "args.amount <= 20000".')],
    uses: Annotated[int, typer.Option(metavar="N", help="How many calls at most.")],
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long, like 30m, 8h or 7d.")],
    begin: Annotated[str | None, typer.Option("--from", metavar="MOMENT", help="Not before this moment.")] = None,
    irreversible: Annotated[
        bool, typer.Option("--irreversible", help="Calls that cannot be undone are meant too.")
    ] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; whoever takes over looks at it.")] = "",
) -> int:
    """Approve a bounded set of calls in advance, in your name. Hard rules and tiers above 2 still ask."""
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    if tool not in {spec["name"] for spec in _toolbox(call).offered()}:
        raise UserError(f"there is no tool {tool!r}; `dojang policy check` lists the rules, and the settings the tools")
    check_home(call.settings.home)
    made = _standing(call).allow(
        by=call.settings.user,
        tool=tool,
        condition=when,
        max_uses=uses,
        lasts=_lasting(lasting),
        not_before=_moment(begin) if begin else None,
        irreversible=irreversible,
        reason=checked_text(reason),
    )
    call.terminal.document(_shown(made))
    call.terminal.line(
        _("{id}: {tool} is allowed until {until}, {uses} times at most").format(
            id=made.id, tool=made.tool, until=call.terminal.moment(made.expires_at), uses=made.max_uses
        )
    )
    return Exit.DONE


@policy.command()
def standing(context: typer.Context) -> int:
    """List what was approved in advance, with its uses."""
    call = invocation(context)
    _ = call.terminal.gettext
    found = _standing(call).all()
    call.terminal.document([_shown(approval) for approval in found])
    rows = [
        [
            a.id, word(_, STANDINGS, a.status(datetime.now(UTC))), a.by, a.tool, a.condition, f"{a.uses}/{a.max_uses}",
            call.terminal.moment(a.expires_at), a.reason,
        ]
        for a in found
    ]  # fmt: skip
    if rows:
        call.terminal.rows(
            rows, head=[_("approval"), _("status"), _("by"), _("tool"), _("when"), _("uses"), _("until"), _("why")]
        )
    else:
        call.terminal.note(_("nothing is approved in advance"))
    return Exit.DONE


@policy.command()
def revoke(
    context: typer.Context,
    approval: Annotated[str, typer.Argument(metavar="ID", help="The approval; `dojang policy standing` lists them.")],
) -> int:
    """End a standing approval now."""
    call = invocation(context)
    ended = _standing(call).revoke(approval, by=call.settings.user)
    call.terminal.document(_shown(ended))
    call.terminal.line(call.terminal.gettext("{id} is revoked by {by}").format(id=ended.id, by=ended.revoked_by))
    return Exit.DONE


def _load(call: Invocation, file: Path | None, hard: Path | None, *, standing: bool = False) -> FilePolicy:
    from tools.policy import load_policy

    settings = call.settings
    consulted = _standing(call) if standing else None
    return load_policy(file or settings.policy, hard or settings.hard_policy, standing=consulted)


def _standing(call: Invocation) -> Standing:
    from dojang.noted import noted_standing

    return noted_standing(call.settings.home, call.sessions.backend, call.audit)


def _toolbox(call: Invocation) -> Toolbox:
    from dojang.trying import described

    return described(call.settings)


def _args(text: str) -> dict[str, Any]:
    from state import UserError

    try:
        given = json.loads(text)
    except ValueError as error:
        raise UserError(f"--args is no JSON ({error}); write it like '{{\"amount\": 1000}}'") from None
    if not isinstance(given, dict):
        raise UserError("--args must be a JSON object, like '{\"amount\": 1000}'")
    return given


def _tell_verdict(call: Invocation, verdict: Verdict) -> None:
    call.terminal.line(_said(call, verdict), style="bold")
    for reason in verdict["why"]:
        call.terminal.line(f"  {reason['rule_id']}: {reason_as_read(reason, call.terminal.language)['text']}")


def _said(call: Invocation, verdict: Verdict) -> str:
    _ = call.terminal.gettext
    said = word(_, OUTCOMES, verdict["outcome"])
    if verdict["outcome"] != "ask":
        return said
    return _("{asks} ({kind}, tier {tier})").format(
        asks=said, kind=word(_, KINDS, verdict["kind"]), tier=verdict["tier"]
    )


def _shown(approval: StandingApproval) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(approval), "status": approval.status(datetime.now(UTC))}


def _moment(said: str) -> datetime:
    from state import UserError

    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise UserError(f"{said!r} is no date; write it like 2026-11-01 or 2026-11-01T09:00") from None
    return moment if moment.tzinfo else moment.astimezone()


def _lasting(said: str) -> timedelta:
    from state import UserError

    match = re.fullmatch(r"(\d{1,5})\s*([mhd])", said.strip())
    if match is None:
        raise UserError(f"{said!r} is no time; write it like 30m, 8h or 7d")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])
