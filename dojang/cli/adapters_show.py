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
            " ".join(
                [
                    *(word(_, ALIASES, alias) for alias in e["aliases"]),
                    *([_("stale")] if e["stale"] else []),
                    *([_("damaged")] if e["problem"] else []),
                ]
            ),
        ]
        for e in entries
    ]
    call.terminal.rows(rows, head=[_("adapter"), _("method"), _("base"), _("rows"), _("trained at"), ""])
    for problem in [e["problem"] for e in entries if e["problem"]]:
        call.terminal.note(call.terminal.told(problem), style="yellow")
    return Exit.DONE


def summary(terminal: Any, told: dict[str, Any]) -> None:
    """A manifest, for people; "–" for what it does not say, or in another form than ours."""
    from adapters.registry.folders import in_form

    _ = terminal.gettext
    told = {name: value for name, value in in_form(told).items() if value is not None}
    base, counts, loss = (_known(told.get(name)) for name in ("base", "counts", "loss"))
    terminal.line(
        _("{trained} rows trained on, {held_out} held out, {dropped} too long").format(
            trained=counts.get("trained", "–"), held_out=counts.get("held_out", "–"),
            dropped=counts.get("dropped_too_long", "–"),
        )
    )  # fmt: skip
    losses = [f"{loss[name]:.3f}" for name in ("first", "last") if name in loss]
    licences = [_known(one) for one in told.get("licences", []) if one.get("what") != "library"]
    rows = [
        [_("method"), told.get("method", "–") + (f" ({told['kto_loss']})" if told.get("kto_loss") else "")],
        [_("base"), " ".join(base[name] for name in ("name", "fingerprint") if name in base) or "–"],
        [_("data"), _known(told.get("data")).get("sha256", "–")[:16]],
        [_("steps"), _("{steps}, kept {kept}").format(steps=told.get("steps", "–"), kept=told.get("kept_step", "–"))],
        [_("loss"), " → ".join(losses) or "–"],
        [_("held-out loss"), f"{loss['held_out']:.3f}" if "held_out" in loss else "–"],
        [_("licences"), "; ".join(f"{one.get('name', '–')}: {one.get('licence', '–')}" for one in licences) or "–"],
    ]
    terminal.rows(rows)


def _known(told: dict[str, Any] | None) -> dict[str, Any]:
    """What an object of a manifest says."""
    return {name: value for name, value in (told or {}).items() if value is not None}
