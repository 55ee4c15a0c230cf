"""adapters show, list: what an adapter was made from, and which ones there are. Loads no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dojang.cli.adapters_registry import folder_of
from dojang.cli.exits import Exit
from dojang.cli.invocation import invocation
from dojang.cli.words import word
from dojang.glossary import ALIASES

if TYPE_CHECKING:
    pass


def show(
    context: typer.Context,
    adapter: Annotated[
        str | None,
        typer.Argument(metavar="DIR|ID", help="A folder, an id of the registry, or champion; else the shipped one."),
    ] = None,
) -> int:
    """Show what an adapter was trained from, by what, under which licences, and how it went."""
    from adapters.local.loading import read_note
    from adapters.training.manifest import MANIFEST, read_manifest
    from dojang.flywheel.listing import shipped, stale_of

    call = invocation(context)
    _ = call.terminal.gettext
    path = folder_of(call.settings, adapter) if adapter is not None else shipped()[1]
    if why := stale_of(call.settings, path):
        call.terminal.note(_("stale: {why}").format(why=why), style="bold red")
    note = read_note(path)
    if note and not (path / MANIFEST).is_file():  # trained before there were manifests
        call.terminal.document({"adapter": str(path), "note": note})
        call.terminal.rows([[_("base"), str(note.get("base_fingerprint"))]])
        call.terminal.note(_("this adapter has no manifest: it was trained by an earlier version"))
        return Exit.DONE
    told = read_manifest(path)
    call.terminal.document({"adapter": str(path), **told})
    summary(call.terminal, told)
    return Exit.DONE


def listed(context: typer.Context) -> int:
    """List the adapters of the registry, those under DOJANG_HOME/models, and the one that ships with Dojang."""
    from dojang.flywheel.listing import adapters_of

    call = invocation(context)
    _ = call.terminal.gettext
    entries = adapters_of(call.settings)
    call.terminal.document(entries)
    rows = [
        [
            *(str(e[key] or "–") for key in ("adapter", "method", "base", "rows", "at")),
            " ".join([*(word(_, ALIASES, alias) for alias in e["aliases"]), *([_("stale")] if e["stale"] else [])]),
        ]
        for e in entries
    ]
    call.terminal.rows(rows, head=[_("adapter"), _("method"), _("base"), _("rows"), _("trained at"), ""])
    return Exit.DONE


def summary(terminal: Any, told: dict[str, Any]) -> None:
    """A manifest, for people."""
    _ = terminal.gettext
    counts, loss = told["counts"], told["loss"]
    terminal.line(
        _("{trained} rows trained on, {held_out} held out, {dropped} too long").format(
            trained=counts["trained"], held_out=counts["held_out"], dropped=counts["dropped_too_long"]
        )
    )
    rows = [
        [_("method"), told["method"] + (f" ({told['kto_loss']})" if told.get("kto_loss") else "")],
        [_("base"), f"{told['base']['name']} {told['base']['fingerprint']}"],
        [_("data"), told["data"]["sha256"][:16]],
        [_("steps"), _("{steps}, kept {kept}").format(steps=told["steps"], kept=told["kept_step"])],
        [_("loss"), " → ".join(f"{v:.3f}" for v in (loss["first"], loss["last"]) if v is not None)],
        [_("held-out loss"), f"{loss['held_out']:.3f}" if loss["held_out"] is not None else "–"],
        [_("licences"), "; ".join(f"{e['name']}: {e['licence']}" for e in told["licences"] if e["what"] != "library")],
    ]
    terminal.rows(rows)
