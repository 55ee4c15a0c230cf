"""adapters add, diff, verify, gc: the registry. Loads no weights and starts no database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation
from dojang.home import check_home

if TYPE_CHECKING:
    from adapters.registry.aliases import Registry
    from adapters.registry.folders import Entry
    from dojang.settings import Settings

AdapterName = Annotated[str, typer.Argument(metavar="DIR|ID", help="A folder, an id of the registry, or an alias.")]
DAY_S = 86_400


def add(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An adapter that was trained.")],
    candidate: Annotated[bool, typer.Option("--candidate", help="Also make it the candidate.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stands in the log.")] = "",
) -> int:
    """Copy an adapter into the registry, where it is named by its content and never changes."""
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    check_home(call.settings.home)
    if candidate and not checked_text(reason).strip():
        raise UserError("an adapter becomes the candidate for a reason; write it with --reason")
    registry = registry_of(call.settings)
    seen = registry.aliases().get("candidate")
    entry = registry.add(folder)
    foreign = _of_another_base(entry, call.settings)
    if candidate:
        registry.nominate(entry["id"], seen=seen, by=call.settings.user, reason=reason)
    call.terminal.document({**entry, "candidate": candidate})
    call.terminal.line(_("adapter {id} is in the registry").format(id=entry["id"]))
    if foreign:
        said = _("it is of the base {base}, and {served} is served: it speaks where DOJANG_MODEL names its base")
        call.terminal.note(said.format(base=entry["base"], served=foreign))
    if candidate:
        call.terminal.line(_("it is the candidate now"))
    return Exit.DONE


def _of_another_base(entry: Entry, settings: Settings) -> str:
    """The fingerprint of the base that is served where the adapter is of another one; "" where nobody can tell."""
    from adapters.serving import base_fingerprint
    from state import UserError

    try:
        served = base_fingerprint(settings.model)
    except UserError:  # no model yet: whoever wants to speak hears of it
        return ""
    return served if entry["base"] and served and entry["base"] != served else ""


def diff(context: typer.Context, first: AdapterName, second: AdapterName) -> int:
    """Show in what two adapters differ: base, data, settings, what was measured. Code 1 when they differ."""
    from dojang.flywheel.comparing import differences

    call = invocation(context)
    _ = call.terminal.gettext
    found = differences(folder_of(call.settings, first), folder_of(call.settings, second))
    call.terminal.document([{"key": key, "first": a, "second": b} for key, a, b in found])
    rows = [[key, _shown(a), _shown(b)] for key, a, b in found]
    call.terminal.rows(rows, head=["", first, second])
    if not found:
        call.terminal.line(_("they are the same"))
    return Exit.PROBLEM if found else Exit.DONE


def verify(context: typer.Context) -> int:
    """Check every adapter of the registry, the promotions log and the aliases. Code 70 when something was changed."""
    call = invocation(context)
    _ = call.terminal.gettext
    registry = registry_of(call.settings)
    problems = registry.problems()
    adapters, promotions = len(registry.entries()), len(registry.log.read())
    call.terminal.document({"adapters": adapters, "promotions": promotions, "problems": problems})
    said = _("{adapters} adapters, {promotions} promotions, {problems} problems")
    call.terminal.line(said.format(adapters=adapters, promotions=promotions, problems=len(problems)))
    for problem in problems:
        call.terminal.line(call.terminal.told(problem), style="bold red")
    return Exit.BROKEN if problems else Exit.DONE


def gc(
    context: typer.Context,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only adapters that were added so long ago.")
    ] = 7,
    promoted: Annotated[bool, typer.Option("--promoted", help="Also champions of the past.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> int:
    """Delete adapters of the registry that no alias names and no conversation keeps, and interrupted commands' rest."""
    call = invocation(context)
    _ = call.terminal.gettext
    registry = registry_of(call.settings)
    how: dict[str, Any] = {"promoted": promoted, "older_s": older_than * DAY_S, "spared": _kept(call.settings)}
    gone = dict.fromkeys(registry.unused(**how), 0) if dry_run else registry.gc(**how)
    call.terminal.document({"adapters": list(gone), "bytes": sum(gone.values()), "dry_run": dry_run})
    said = _("would be deleted: {id}") if dry_run else _("deleted: {id}")
    for adapter in gone:
        call.terminal.line(said.format(id=adapter))
    if not gone:
        call.terminal.note(_("there is nothing to delete"))
    return Exit.DONE


def _kept(settings: Settings) -> set[str]:
    """The adapters with which conversations of this home were begun: they go on with no other."""
    from dojang.parts import Parts
    from dojang.sessions import any_sessions

    if not any_sessions(settings):
        return set()
    with closing(Parts(settings)) as parts:
        parts.index.refresh()
        return {row["adapter"] for row in parts.index.threads(limit=-1)}


def registry_of(settings: Settings) -> Registry:
    """The registry of a home, with whoever serves it."""
    from dojang.served import registry_of as found

    return found(settings)


def folder_of(settings: Settings, name: str) -> Path:
    """An adapter's folder: the path itself, or where the registry has what is called so."""
    path = Path(checked_text(name))
    return path if path.is_dir() else registry_of(settings).path(name)


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
