"""approve, reject, edit, answer, undo, claim, look-up: a person's word on a review, recorded before anything runs."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dojang.cli.exits import Exit, exit_of_run
from dojang.cli.forms import arguments_form, decision_form, typed_like, why_form
from dojang.cli.invocation import Invocation, checked_text, invocation
from dojang.cli.telling import run_document, tell_cut_off, tell_decision
from dojang.cli.words import SAID, word

if TYPE_CHECKING:
    from dojang.cli.terminal import Terminal
    from dojang.results import DecisionResult
    from dojang.workspace import Workspace
    from state import JSON, Review

app = typer.Typer()

LOOK_EVERY_S: Final = 0.2
"""How often a waiting command looks whether its decision was taken back."""

ReviewId = Annotated[str, typer.Argument(metavar="REVIEW", help="The review's id; `dojang inbox` lists them.")]
Digest = Annotated[
    str | None,
    typer.Option(metavar="SHA", help="Refuse unless the review still has the digest that you looked at."),
]
Role = Annotated[str, typer.Option("--as", metavar="ROLE", help="In which of your roles, where the review wants one.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the decision.")]


@app.command()
def approve(context: typer.Context, review: ReviewId, reason: Why = "", digest: Digest = None, role: Role = "") -> int:
    """Approve a review: exactly what it shows is what runs, once. Where several people are wanted, it is a vote."""
    return _decide(context, review, {"type": "approve", "reason": checked_text(reason), "digest": digest}, role)


@app.command()
def reject(context: typer.Context, review: ReviewId, reason: Why = "", digest: Digest = None, role: Role = "") -> int:
    """Reject a review: nothing runs, and the model is told why."""
    from state import UserError

    call = invocation(context)
    if not reason.strip() and call.terminal.interactive:
        reason = call.terminal.ask(call.terminal.gettext("Why? "))
    if not reason.strip():
        raise UserError(f"to reject review {review} needs a reason: add --reason TEXT")
    return _decide(context, review, {"type": "reject", "reason": checked_text(reason), "digest": digest}, role)


@app.command()
def edit(
    context: typer.Context,
    review: ReviewId,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one argument and keep the others; may be repeated."),
    ] = None,
    args: Annotated[str | None, typer.Option(metavar="JSON", help="The whole new argument object.")] = None,
    reason: Why = "",
    digest: Digest = None,
    role: Role = "",
) -> int:
    """Approve a review with other arguments. Without --set and --args, a terminal asks for each."""
    call = invocation(context)
    with call.workspace() as workspace:
        card = workspace.show(review)
        edited = _edited(call, card.review, sets or [], args)
        said = {
            "type": "edit",
            "edited_args": edited,
            "reason": checked_text(reason),
            "digest": digest or card.review["digest"],
        }
        if call.terminal.interactive and not reason.strip():
            said |= why_form(call.terminal, card.review)
        return _carry_out(call, workspace, review, said, role)


@app.command()
def answer(
    context: typer.Context,
    review: ReviewId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What you answer.")],
    digest: Digest = None,
    role: Role = "",
) -> int:
    """Answer what a review asks; the run goes on with it."""
    return _decide(context, review, {"type": "answer", "message": checked_text(text), "digest": digest}, role)


@app.command("look-up")
def look_up(context: typer.Context, review: ReviewId) -> int:
    """Let the tool itself say whether an effect in doubt happened; where it cannot, you are asked again."""
    from nodes.gate import LOOK_IT_UP

    return _decide(context, review, {"type": "answer", "message": LOOK_IT_UP})


@app.command()
def undo(context: typer.Context, review: ReviewId) -> int:
    """Take back your decision or vote, as long as nothing has been carried out; the review is open again."""
    call = invocation(context)
    with call.workspace() as workspace:
        said = workspace.undo(review)
    _ = call.terminal.gettext
    call.terminal.document(dict(said))
    call.terminal.line(
        _("Review {id}: {what} by {by} is taken back; it waits again").format(
            id=review, what=word(_, SAID, said["type"]), by=said["by"]
        )
    )
    return Exit.DONE


@app.command()
def claim(
    context: typer.Context,
    review: ReviewId,
    give_back: Annotated[bool, typer.Option("--give-back", help="End your claim before its time.")] = False,
) -> int:
    """Reserve a review for ten minutes: nobody else can decide it meanwhile. It ends by itself."""
    call = invocation(context)
    _ = call.terminal.gettext
    with call.workspace() as workspace:
        if give_back:
            workspace.give_back(review)
            call.terminal.document({"review_id": review, "claim": None})
            call.terminal.line(_("Review {id} is free again").format(id=review))
            return Exit.DONE
        made = workspace.claim(review)
    call.terminal.document({"review_id": review, "claim": made})
    call.terminal.line(
        _("Review {id} is yours until {until}").format(id=review, until=call.terminal.moment(made["until"]))
    )
    return Exit.DONE


def _decide(context: typer.Context, review_id: str, said: dict[str, Any], role: str = "") -> int:
    call = invocation(context)
    with call.workspace() as workspace:
        if said["type"] == "approve" and call.terminal.interactive and not said["reason"].strip():
            said |= why_form(call.terminal, workspace.review(review_id))
        return _carry_out(call, workspace, review_id, said, role)


def decide_here(call: Invocation, workspace: Workspace, review: Review) -> int:
    """Ask for a decision at the terminal and carry it out; PAUSED when it is put off."""
    said = decision_form(call.terminal, review)
    return Exit.PAUSED if said is None else _carry_out(call, workspace, review["id"], said)


def _carry_out(call: Invocation, workspace: Workspace, review_id: str, said: dict[str, Any], role: str = "") -> int:
    terminal = call.terminal
    try:
        with terminal.running() as on_node:
            result = workspace.decide(review_id, said, role=role, channel="cli", on_node=on_node)
        if "held_until" in result.decision and result.run.status == "paused":
            result = wait_out(terminal, workspace, result)
    except BaseException:
        _tell_recorded(call, workspace, review_id)
        raise
    if call.as_json:
        terminal.document({"decision": dict(result.decision), "run": run_document(workspace, result.run)})
    else:
        tell_decision(terminal, workspace, result)
    return exit_of_run(result.run)


def wait_out(terminal: Terminal, workspace: Workspace, result: DecisionResult) -> DecisionResult:
    """Wait until a decision cannot be taken back any more, then go on with the run; Ctrl-C takes it back.

    Raises:
        Conflict: somebody took it back from elsewhere.
    """
    from dojang.results import DecisionResult
    from state import Conflict

    decision, _ = result.decision, terminal.gettext
    review_id, until = decision["review_id"], decision.get("held_until", "")
    thread_id = result.run.thread_id
    waits = _("goes on at {until}; until then Ctrl-C or `dojang undo {id}` takes it back")
    try:
        terminal.note(waits.format(until=terminal.moment(until, seconds=True), id=review_id))
        while (left := (datetime.fromisoformat(until) - workspace.parts.clock.now()).total_seconds()) > 0:
            if workspace.parts.decisions.of(thread_id).get(review_id) != decision:
                raise Conflict(f"the decision on review {review_id} was taken back; it waits again")
            time.sleep(min(left, LOOK_EVERY_S))
    except KeyboardInterrupt:
        workspace.undo(review_id, by=decision["by"])
        terminal.note(_("taken back; review {id} waits again").format(id=review_id))
        raise
    with terminal.running() as on_node:
        return DecisionResult(decision=decision, run=workspace.resume(thread_id, on_node=on_node))


def _tell_recorded(call: Invocation, workspace: Workspace, review_id: str) -> None:
    """After a failure: how to go on, where this person's decision is on disk all the same."""
    from state import DojangError

    try:
        card = workspace.show(review_id)
    except (DojangError, OSError):
        return
    if card.decision is not None and card.decision["by"] == workspace.settings.user:
        tell_cut_off(call.terminal, workspace, card.review["thread_id"])


def _edited(call: Invocation, review: Review, sets: list[str], args: str | None) -> dict[str, JSON]:
    from state import UserError

    if sets and args is not None:
        raise UserError("give --set or --args, not both")
    if args is not None:
        return _parsed(args)
    if sets:
        return _changed(review, sets)
    if not call.terminal.interactive:
        raise UserError("say what to change: --set name=value (may be repeated) or --args JSON")
    return arguments_form(call.terminal, review)


def _parsed(text: str) -> dict[str, JSON]:
    from state import UserError

    try:
        value = json.loads(checked_text(text))
    except ValueError as error:
        raise UserError(f"--args is not JSON: {error}; nothing was changed") from None
    if not isinstance(value, dict):
        raise UserError('--args must be a JSON object like {"guests": 3}; nothing was changed')
    return value


def _changed(review: Review, sets: list[str]) -> dict[str, JSON]:
    from state import UserError

    args = dict(review["action"]["args"])
    for pair in sets:
        name, equals, value = checked_text(pair).partition("=")
        if not equals or not name.strip():
            raise UserError(f"--set {pair!r} is not name=value, for example --set guests=3; nothing was changed")
        args[name.strip()] = typed_like(args.get(name.strip()), value)
    return args
