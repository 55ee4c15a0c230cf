"""ingest, search, documents: what the agent may answer from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dojang.cli.corrections import aside, cited, correct, history, undo
from dojang.cli.exits import Exit
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.words import TRUSTS, word

if TYPE_CHECKING:
    from state import Trust
    from store import IngestReport

app = typer.Typer()
documents = typer.Typer(invoke_without_command=True)
app.add_typer(documents, name="documents")
for command in (correct, undo, history, cited, aside):
    documents.command()(command)

SAMPLE_DOCUMENTS = Path(__file__).parents[1] / "sample" / "documents"


@app.command()
def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATHS…", help="Files; folders are walked.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="The sample hotel's documents and tables.")] = False,
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="From a source that may write what it likes: rules ask more of it.")
    ] = False,
    ray: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Read and embed with so many Ray workers; pip install 'dojang[ray]'."),
    ] = 0,
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
        with call.terminal.counting(_("reading")) as tell:
            watched = Watched(_, tell)
            trust: Trust = "untrusted" if untrusted else "trusted"
            report = workspace.ingest(wanted, trust=trust, on_progress=watched.file, on_work=watched.work, ray=ray)
    call.terminal.document(asdict(report))
    for name, why in report.failed:
        call.terminal.error(why if name in why else f"{name}: {why}")
    _tell_beside(call, report)
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


class Watched:
    """What an ingest tells, as one bar: files, and the passages of the batch under way."""

    def __init__(self, gettext: Callable[[str], str], tell: Callable[[int, int, str], None]) -> None:
        self.gettext = gettext
        self._tell = tell
        self._files = (0, 0)
        self._passages = {"read": 0, "embedded": 0, "written": 0, "indexing": 0}

    def file(self, name: str, done: int, total: int) -> None:
        """A file is done."""
        self._files = (done, total)
        self._show(name)

    def work(self, stage: str, passages: int) -> None:
        """Some passages are."""
        self._passages[stage] += passages
        self._show()

    def _show(self, name: str = "") -> None:
        said = self.gettext("passages: {read} read, {embedded} embedded, {written} written").format(**self._passages)
        if self._passages["indexing"]:
            said = self.gettext("making the index of {indexing} vectors").format(**self._passages)
        self._tell(*self._files, f"{said} {name}".rstrip())


def _tell_beside(call: Invocation, report: IngestReport) -> None:
    """What an operator should look at after an ingest."""
    _ = call.terminal.gettext
    for name in report.flagged:
        call.terminal.note(
            _(
                "{document} holds text that speaks to the model; it counts as untrusted. If it is harmless: "
                "`dojang documents trust`"
            ).format(document=name)
        )
    if report.carried:
        call.terminal.note(_("{count} corrections hold for the changed files too").format(count=report.carried))
    for name, text in report.aside:
        call.terminal.note(
            _(
                "{document}: a correction no longer fits and is set aside: “{text}”; see `dojang documents aside`"
            ).format(document=name, text=" ".join(text.split()))
        )


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
        call.terminal.line(f"{number}. {place} ({scores}) {passage['id']}", style="yellow")
        call.terminal.line(f"   {' '.join(passage['text'].split())}")
    return Exit.DONE


@documents.callback()
def listed(context: typer.Context) -> int:
    """List the documents that were read in; correct their passages, index them again, take them out."""
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
        [
            row["name"],
            row["format"],
            str(row["passages"]),
            f"{row['size']:,}",
            call.terminal.moment(row["ingested_at"]),
            word(_, TRUSTS, row["trust"]) + (f" ({row['flagged']})" if row["flagged"] else ""),
        ]
        for row in rows
    ]
    call.terminal.rows(table, head=[_("document"), _("format"), _("passages"), _("bytes"), _("read in"), _("trust")])
    stale = sum(row["stale"] for row in rows)
    if stale:
        call.terminal.note(_("{count} were indexed by an older Dojang: `dojang documents reindex`").format(count=stale))
    return Exit.DONE


@documents.command()
def delete(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAMES…", help="Documents, by the names in the list.")],
) -> int:
    """Take documents out; what was corrected in them stays in the history."""
    call = invocation(context)
    with call.workspace() as workspace:
        wanted = [checked_text(name) for name in names]
        known = {row["name"] for row in workspace.documents()}
        for name in wanted:
            if name not in known:
                workspace.delete(name)  # raises, before the first is gone
        for name in wanted:
            workspace.delete(name)
    call.terminal.document({"deleted": wanted})
    call.terminal.line(call.terminal.gettext("{count} documents taken out").format(count=len(wanted)))
    return Exit.DONE


@documents.command()
def reindex(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAMES…", help="Documents; all when none is named.")
    ] = None,
) -> int:
    """Cut and index documents again with this Dojang's code, each at once, from their files or the stored text."""
    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace, call.terminal.counting(_("indexing")) as tell:
        report = workspace.reindex(
            [checked_text(name) for name in names or []], on_progress=lambda name, done, total: tell(done, total, name)
        )
    call.terminal.document(asdict(report))
    call.terminal.line(
        _("{files} from their files, {stored} from the stored text; {passages} passages, {carried} corrections").format(
            files=len(report.from_file), stored=len(report.from_store), passages=report.passages, carried=report.carried
        )
    )
    for name, text in report.aside:
        call.terminal.note(
            _(
                "{document}: a correction no longer fits and is set aside: “{text}”; see `dojang documents aside`"
            ).format(document=name, text=" ".join(text.split()))
        )
    return Exit.DONE


@documents.command()
def trust(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DOCUMENT", help="A document, by its name in the list.")],
    said: Annotated[Literal["trusted", "untrusted"], typer.Argument(metavar="TRUST", help="trusted or untrusted.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept.")] = "",
) -> int:
    """Say of a document whether it is trusted; it holds until its content changes."""
    call = invocation(context)
    with call.workspace() as workspace:
        workspace.set_trust(checked_text(name), said, reason=checked_text(reason))
    call.terminal.document({"document": name, "trust": said})
    _ = call.terminal.gettext
    call.terminal.line(_("{document} is {trust} now").format(document=name, trust=word(_, TRUSTS, said)))
    return Exit.DONE


@documents.command()
def reembed(context: typer.Context) -> int:
    """Make all vectors with the embedding model of the settings, beside those in use; then switch. Can be cut off."""
    from dojang.chosen import load_embedder_of, qdrant_place, store_key
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
            from store.qdrant.store import reembed as embed_in_qdrant

            made = embed_in_qdrant(place, embedder, tell, key=store_key(call.settings))
        else:
            from store.ingesting.reembedding import reembed as embed_in_postgres

            made = embed_in_postgres(workspace.parts.dsn, embedder, tell)
    call.terminal.document({"passages": made, "model": embedder.name})
    call.terminal.line(_("{passages} passages embedded anew by {model}").format(passages=made, model=embedder.name))
    return Exit.DONE
