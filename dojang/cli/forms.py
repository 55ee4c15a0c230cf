"""Decisions taken at the keyboard: one question at a time, the exact arguments on the screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dojang.cli.cards import as_typed
from dojang.cli.terminal import Terminal

if TYPE_CHECKING:
    from state import JSON, Review

KEYS = {"a": "approve", "e": "edit", "r": "reject", "w": "answer"}


def decision_form(terminal: Terminal, review: Review) -> dict[str, Any] | None:
    """Ask for a decision on ``review``; None for "later". Bound to the digest that was shown.

    Raises:
        EOFError: the input ended before a decision.
    """
    _ = terminal.gettext
    names = {
        "approve": _("[a]pprove"),
        "edit": _("[e]dit"),
        "reject": _("[r]eject"),
        "answer": _("[w]rite an answer") if review["kind"] != "in_doubt" else _("look it up ([w])"),
    }
    offered = ", ".join(names[decision] for decision in review["allowed"])
    while True:
        said = terminal.ask(_("{offered} or [l]ater? ").format(offered=offered)).strip().lower()
        if said in ("l", "later", _("later")):
            return None
        kind = KEYS.get(said[:1], "")
        if kind in review["allowed"]:
            return {"digest": review["digest"], **_filled(terminal, review, kind)}
        terminal.note(_("one letter of those in brackets, please"))


def _filled(terminal: Terminal, review: Review, kind: str) -> dict[str, Any]:
    _ = terminal.gettext
    if kind == "edit":
        return {"type": "edit", "edited_args": arguments_form(terminal, review), **why_form(terminal, review)}
    if kind == "reject":
        return {"type": "reject", "reason": terminal.ask(_("Why? "))}
    if kind == "answer" and review["kind"] == "in_doubt":
        return {"type": "answer", "message": review["answer_schema"]["enum"][0]}
    if kind == "answer":
        return {"type": "answer", "message": terminal.ask(_("Your answer: "))}
    return {"type": "approve", **why_form(terminal, review)}


def why_form(terminal: Terminal, review: Review) -> dict[str, Any]:
    """The reason of an approval, asked for where the review wants one."""
    return {"reason": terminal.ask(terminal.gettext("Why? "))} if review.get("wants_reason", False) else {}


def arguments_form(terminal: Terminal, review: Review) -> dict[str, JSON]:
    """Each argument with its value; Enter keeps it, ``-`` leaves it out. Returns the whole new argument object.

    Raises:
        EOFError: the input ended.
    """
    _ = terminal.gettext
    terminal.note(_("Enter keeps a value, - leaves it out."))
    args: dict[str, JSON] = {}
    for name, value in review["action"]["args"].items():
        said = terminal.ask(f"{name} [{as_typed(value)}]: ")
        if said == "":
            args[name] = value
        elif said != "-":
            args[name] = typed_like(value, said)
    return args


def typed_like(current: JSON, said: str) -> JSON:
    """What was typed, as text where the value is text (or unknown), else as JSON where it can be read so.

    The tool's own schema has the last word on types; this only keeps ``"3"`` from replacing ``3``.
    """
    if current is None or isinstance(current, str):
        return said
    try:
        return json.loads(said)
    except ValueError:
        return said
