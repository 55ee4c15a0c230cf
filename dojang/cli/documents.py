"""ingest, search, documents: what the agent may answer from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dojang.cli.exits import Exit
from dojang.cli.invocation import checked_text, invocation

app = typer.Typer()
documents = typer.Typer(invoke_without_command=True)
app.add_typer(documents, name="documents")

SAMPLE_DOCUMENTS = Path(__file__).parents[1] / "sample" / "documents"


@app.command()
def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATHS…", help="Files; folders are walked.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="The sample hotel's documents and tables.")] = False,
) -> int:
    """Read files into passages; what is there already stays as it is. Code 2 when a file could not be read."""
    from state import UserError

    call = invocation(context)
    wanted = [Path(checked_text(str(path))) for path in paths or []]
    if not wanted and not sample:
        raise UserError("name files or folders to read in, or --sample for the sample hotel")
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        if sample:
            wanted.append(SAMPLE_DOCUMENTS)
            _make_tables(workspace)
        with call.terminal.working(_("reading")) as tell:
            report = workspace.ingest(wanted, on_progress=lambda name, done, total: tell(f"{done}/{total} {name}"))
    call.terminal.document(asdict(report))
    for name, why in report.failed:
        call.terminal.error(why if name in why else f"{name}: {why}")
    call.terminal.line(
        _("{added} added, {replaced} replaced, {unchanged} unchanged, {failed} not read; {passages} passages").format(
            added=len(report.added),
            replaced=len(report.replaced),
            unchanged=len(report.unchanged),
            failed=len(report.failed),
            passages=report.passages,
        )
    )
    return Exit.MISTAKE if report.failed else Exit.DONE


def _make_tables(workspace: object) -> None:
    """The tools make their tables and sample rows when they are opened."""
    from dojang.workspace import Workspace

    assert isinstance(workspace, Workspace)
    workspace.parts.toolbox.offered()


@app.command()
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="How many passages at most.")] = 5,
) -> int:
    """Show the passages that match best, with their scores and places."""
    call = invocation(context)
    said = checked_text(query)
    _ = call.terminal.gettext
    with call.workspace() as workspace, call.terminal.working(_("searching")):
        passages = workspace.search(said, k=k)
    call.terminal.document(passages)
    if not passages:
        call.terminal.note(_("nothing matches; `dojang documents` lists what there is"))
    for number, passage in enumerate(passages, start=1):
        scores = ", ".join(f"{name} {score:.3f}" for name, score in passage["scores"].items())
        place = _("{document}, characters {start}–{end}").format(**passage)
        call.terminal.line(f"{number}. {place} ({scores})", style="yellow")
        call.terminal.line(f"   {' '.join(passage['text'].split())}")
    return Exit.DONE


@documents.callback()
def listed(context: typer.Context) -> int:
    """List the documents that were read in; `reembed` makes their vectors anew."""
    if context.invoked_subcommand is not None:
        return Exit.DONE
    call = invocation(context)
    with call.workspace() as workspace:
        rows = workspace.documents()
    _ = call.terminal.gettext
    call.terminal.document(rows)
    if not rows:
        call.terminal.note(_("no document has been read in yet; `dojang ingest` does that"))
        return Exit.DONE
    table = [
        [row["name"], row["format"], str(row["passages"]), f"{row['size']:,}", row["ingested_at"][:16]] for row in rows
    ]
    call.terminal.rows(table, head=[_("document"), _("format"), _("passages"), _("bytes"), _("read in")])
    return Exit.DONE


@documents.command()
def reembed(context: typer.Context) -> int:
    """Make all vectors with the embedding model of the settings, beside those in use; then switch. Can be cut off."""
    from dojang.parts import load_embedder_of, qdrant_place, store_key
    from state import UserError

    call = invocation(context)
    _ = call.terminal.gettext
    embedder = load_embedder_of(call.settings)
    if embedder is None:
        raise UserError("the settings name no embedding model (DOJANG_EMBEDDING=none); there is nothing to embed with")
    with call.workspace() as workspace, call.terminal.working(_("embedding")) as bar:

        def tell(done: int, total: int) -> None:
            bar(f"{done:,}/{total:,}")

        if (place := qdrant_place(call.settings)) is not None:
            from store.qdrant import reembed as embed_in_qdrant

            made = embed_in_qdrant(place, embedder, tell, key=store_key(call.settings))
        else:
            from store.reembedding import reembed as embed_in_postgres

            made = embed_in_postgres(workspace.parts.dsn, embedder, tell)
    call.terminal.document({"passages": made, "model": embedder.name})
    call.terminal.line(_("{passages} passages embedded anew by {model}").format(passages=made, model=embedder.name))
    return Exit.DONE
