"""Says where a run stands: the answer with its sources, what was done, and which reviews wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dojang.cli.terminal import Terminal
from dojang.cli.words import KINDS, SAID, STATUSES, word
from dojang.reading import as_read

if TYPE_CHECKING:
    from dojang.results import DecisionResult, RunResult
    from dojang.workspace import Workspace
    from state import Citation, Outcome, Review


def run_document(workspace: Workspace, run: RunResult) -> dict[str, Any]:
    """A run for ``--json``: each citation carries ``source``, its span read back from the stored document."""
    document = run.as_json()
    if run.answer is not None:
        document["answer"]["citations"] = [
            {**citation, "source": source_of(workspace, citation)} for citation in run.answer["citations"]
        ]
    return document


def tell_servers(terminal: Terminal, workspace: Workspace) -> None:
    """Which tools are held back, or not to be had, before anything is asked."""
    for line in workspace.server_problems():
        terminal.note(terminal.told(line), style="yellow")


def give_run(terminal: Terminal, workspace: Workspace, run: RunResult, *, as_json: bool) -> None:
    """A run as the answer of a command: one document, or told to a person."""
    terminal.document(run_document(workspace, run) if as_json else None)
    if not as_json:
        tell_run(terminal, workspace, run)


def tell_run(terminal: Terminal, workspace: Workspace, run: RunResult) -> None:
    """Print a run for a person."""
    _ = terminal.gettext
    tell_outcomes(terminal, run.outcomes)
    if run.answer is not None:
        terminal.line(run.answer["text"], style="bold")
        for citation in run.answer["citations"]:
            tell_citation(terminal, citation, source_of(workspace, citation))
    for review in run.reviews:
        tell_waiting(terminal, workspace, review)
    if run.note:
        terminal.note(terminal.told(run.note))
    terminal.note(
        _("conversation {thread}: {status}").format(thread=run.thread_id, status=word(_, STATUSES, run.status))
    )


def tell_citation(terminal: Terminal, citation: Citation, source: str | None) -> None:
    """One numbered line: document (or a tool's result), character range, and the text that stands there."""
    _ = terminal.gettext
    quote = citation["quote"] if source is None else source
    of_tool = not citation["document"]
    line = (
        _("[{n}] the tool's result, characters {start}–{end}: “{quote}”")
        if of_tool
        else _("[{n}] {document}, characters {start}–{end}: “{quote}”")
    )
    terminal.line(
        line.format(
            n=citation["n"],
            document=citation["document"],
            start=citation["start"],
            end=citation["end"],
            quote=" ".join(quote.split()),
        )
    )
    if source is not None and source.split() != citation["quote"].split():
        terminal.note(_("the document says something else there now than when it was quoted"))


def source_of(workspace: Workspace, citation: Citation) -> str | None:
    """The cited characters as the stored document has them; None when the store cannot say."""
    from state import DojangError

    try:
        return workspace.source(citation["document"], citation["start"], citation["end"])
    except DojangError:
        return None


def tell_outcomes(terminal: Terminal, outcomes: list[Outcome]) -> None:
    """What became of each tool call."""
    _ = terminal.gettext
    for outcome in outcomes:
        status = word(_, STATUSES, outcome["status"])
        tail = f": {terminal.told(outcome['error'])}" if outcome["error"] else ""
        terminal.line(f"{outcome['tool']} — {status}{tail}")


def tell_waiting(terminal: Terminal, workspace: Workspace, review: Review) -> None:
    """A review that waits, and the commands that decide it."""
    _ = terminal.gettext
    review = as_read(review, workspace.describer, terminal.language)
    terminal.line(
        _("Review {id} ({kind}) waits for a person:").format(id=review["id"], kind=word(_, KINDS, review["kind"])),
        style="yellow",
    )
    terminal.line(f"  {review['summary']}", style="bold")
    if review["question"]:
        terminal.line(f"  {review['question']}")
    for command in how_to_decide(review):
        terminal.line(f"  {command}")


def how_to_decide(review: Review) -> list[str]:
    """The commands that this review takes, the one that shows it first."""
    why = " --reason …" if review.get("wants_reason", False) else ""
    forms = {
        "approve": f"dojang approve {review['id']}{why}",
        "edit": f"dojang edit {review['id']} --set …=…{why}",
        "reject": f"dojang reject {review['id']} --reason …",
        "answer": f"dojang answer {review['id']} …"
        if review["kind"] != "in_doubt"
        else f"dojang look-up {review['id']}",
    }
    return [f"dojang show {review['id']}", *(forms[decision] for decision in review["allowed"])]


def tell_cut_off(terminal: Terminal, workspace: Workspace, thread_id: str | None) -> None:
    """After a run that broke off: the command that goes on with it, where there is something to go on with."""
    from state import DojangError

    try:
        run = workspace.thread(thread_id) if thread_id is not None else None
    except (DojangError, OSError):
        return
    if run is not None and run.status == "paused" and not run.reviews:
        text = terminal.gettext("`dojang resume {thread}` goes on with this conversation")
        terminal.note(text.format(thread=thread_id))


def tell_decision(terminal: Terminal, workspace: Workspace, result: DecisionResult) -> None:
    """Who decided what, and where the run got to with it."""
    _ = terminal.gettext
    decision = result.decision
    text = _("Review {id}: {what} by {by}") if decision["by"] else _("Review {id}: {what}")
    what = word(_, SAID, decision["type"])
    terminal.line(text.format(id=decision["review_id"], what=what, by=decision["by"]))
    tell_run(terminal, workspace, result.run)
