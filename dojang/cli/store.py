"""store backup, restore, move: the database as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation

app = typer.Typer()
store = typer.Typer(no_args_is_help=True, help="Back up, restore or move the database.")
app.add_typer(store, name="store")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The backup's folder.")]
Tell = Callable[[int, int, str], None]


@store.command()
def backup(context: typer.Context, folder: Folder) -> int:
    """Write documents and the tables of tools into a new folder, as they are at one instant."""
    from dojang.sessions import in_postgres
    from store.postgres.backup import backup as write_backup

    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace, call.terminal.counting(_("backing up")) as tell:
        manifest = write_backup(workspace.parts.dsn, folder, _tables(tell))
    call.terminal.document({"folder": str(folder.absolute()), **manifest})
    rows = sum(table["rows"] for table in manifest["tables"])
    said = _("{tables} tables, {rows} rows, {size} MB in {folder}; sessions are files of their own: copy {home} too")
    if in_postgres(call.settings):
        said = _(
            "{tables} tables, {rows} rows, {size} MB in {folder}; sessions are not in it: back up all of the database "
            "with its own tools"
        )
    call.terminal.line(
        said.format(
            tables=len(manifest["tables"]),
            rows=f"{rows:,}",
            size=f"{manifest['dump_bytes'] / 2**20:.1f}",
            folder=folder,
            home=call.settings.threads,
        )
    )
    return Exit.DONE


@store.command()
def restore(
    context: typer.Context,
    folder: Folder,
    yes: Annotated[bool, typer.Option("--yes", help="Replace what the database holds without asking.")] = False,
) -> int:
    """Put a backup in place of everything that the database holds; when it fails, nothing has changed."""
    from state import UserError
    from store.postgres.backup import read_manifest
    from store.postgres.backup import restore as put_back

    call = invocation(context)
    _ = call.terminal.gettext
    manifest = read_manifest(folder)
    if not yes:
        if not call.terminal.interactive:
            raise UserError("a restore replaces what the database holds: say --yes")
        asked = _("Replace everything in the database with the backup of {at}? Type yes: ")
        if call.terminal.ask(asked.format(at=call.terminal.moment(manifest["made_at"]))).strip().lower() not in (
            "yes",
            "y",
            "예",
            "네",
        ):
            return Exit.MISTAKE
    with call.workspace() as workspace, call.terminal.counting(_("restoring")) as tell:
        put_back(workspace.parts.dsn, folder, _tables(tell))
    call.terminal.document({"folder": str(folder.absolute()), "restored": True, "tables": manifest["tables"]})
    said = _("{tables} tables are as they were at {at}; each was compared with the backup")
    call.terminal.line(said.format(tables=len(manifest["tables"]), at=call.terminal.moment(manifest["made_at"])))
    return Exit.DONE


@store.command()
def move(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="DSN", help="An empty database with pgvector, as postgresql://….")],
) -> int:
    """Copy everything into another PostgreSQL, compare, and say which setting makes Dojang use it."""
    from dojang.sessions import has_files
    from store.database import describe
    from store.postgres.backup import move as copy_to

    call = invocation(context)
    _ = call.terminal.gettext
    target = checked_text(to)
    with call.workspace() as workspace, call.terminal.counting(_("moving")) as tell:
        tables = copy_to(workspace.parts.dsn, target, _tables(tell))
    setting = "DOJANG_DATABASE_URL"
    call.terminal.document({"to": describe(target), "tables": tables, "setting": setting})
    said = _(
        "{tables} tables, {rows} rows are in {to}, compared with what they came from. Set {setting} to that address; "
        "until then the old database is used, and it stays as it is"
    )
    rows = sum(table["rows"] for table in tables)
    call.terminal.line(said.format(tables=len(tables), rows=f"{rows:,}", to=describe(target), setting=setting))
    if call.settings.sessions is None and has_files(call.settings):
        call.terminal.note(
            _("the conversations stay in {home} with DOJANG_SESSIONS=files; `dojang workspace move` takes them along")
            .format(home=call.settings.home)
        )  # fmt: skip
    return Exit.DONE


def _tables(tell: Tell) -> Callable[[str, int, int], None]:
    return lambda name, done, total: tell(done, total, name)
