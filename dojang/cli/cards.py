"""A review as an operator reads it before deciding: what, with which arguments, why, on what evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from dojang.cli.telling import how_to_decide
from dojang.cli.terminal import Terminal
from dojang.cli.words import EFFECTS, FLAGS, KINDS, SAID, SEVERITIES, SPEAKERS, STATUSES, word
from dojang.reading import as_read

if TYPE_CHECKING:
    from dojang.results import ReviewCard
    from dojang.workspace import Workspace
    from state import JSON, Action, PassageRef, Progress, Review

SHOWN_EVIDENCE = 600
"""Characters of a passage that a card shows."""


def tell_card(terminal: Terminal, workspace: Workspace, card: ReviewCard) -> None:
    """The whole card: what will happen first, how to decide last."""
    review = as_read(card.review, workspace.describer, terminal.language)
    _head(terminal, card, review, workspace.parts.clock.now())
    tell_arguments(terminal, review["action"])
    _why(terminal, review)
    _report(terminal, card)
    _evidence(terminal, card)
    _conversation(terminal, card)
    if card.note:
        terminal.note(terminal.told(card.note))
    if card.status in ("open", "claimed"):
        _title(terminal, terminal.gettext("To decide"))
        for command in how_to_decide(review)[1:]:
            terminal.line(f"  {command}")


def _title(terminal: Terminal, text: str) -> None:
    terminal.line()
    terminal.line(text, style="bold cyan")


def _head(terminal: Terminal, card: ReviewCard, review: Review, now: datetime) -> None:
    _ = terminal.gettext
    action = review["action"]
    status = word(_, STATUSES, card.status)
    terminal.line(f"{review['id']} · {word(_, KINDS, review['kind'])} · {status}", style="yellow")
    terminal.line(review["summary"], style="bold")
    if review["question"]:
        terminal.line(review["question"])
    waits = card.status in ("open", "claimed")
    effect = word(_, EFFECTS, action["effect_class"])
    if action["effect_class"] != "irreversible" or action["reversible"]:  # the word itself says it
        effect += ", " + (_("can be undone") if action["reversible"] else _("cannot be undone"))
    rows = [
        [_("effect"), effect],
        [_("conversation"), review["thread_id"]],
        [_("due"), terminal.due(review["due_at"], now) if waits else terminal.moment(review["due_at"])],
        [_("needs"), _needs(terminal, card)],
    ]
    state = flags(_, review, card.progress, now)
    rows += [[_("state"), state]] if state else []
    for vote in card.progress["votes"] if review["votes_needed"] > 1 else []:
        rows.append([_("vote"), f"{vote['by']}, {terminal.moment(vote['at'])}"])
    if card.decision is not None:
        what = word(_, SAID, card.decision["type"])
        who, at = card.decision["by"] or _("nobody"), terminal.moment(card.decision["at"])
        rows.append([_("decision"), f"{what}, {who}, {at}"])
        if card.status == "recorded" and "held_until" in card.decision:
            rows.append([_("can be taken back"), terminal.moment(card.decision["held_until"], seconds=True)])
        rows += [[_("reason"), card.decision["reason"]]] if card.decision["reason"] else []
    terminal.rows(rows)


def _needs(terminal: Terminal, card: ReviewCard) -> str:
    _ = terminal.gettext
    review = card.review
    votes = _("{given} of {n} approvals, tier {tier}").format(
        given=len(card.progress["votes"]), n=review["votes_needed"], tier=review["tier"]
    )
    parts = [votes, *review["roles"]]
    if not review.get("self_approval", True):
        parts.append(_("not by {requester}, who asked").format(requester=review.get("requester", "")))
    if review.get("wants_reason", False):
        parts.append(_("a written reason"))
    return ", ".join(parts)


def flags(gettext: Callable[[str], str], review: Review, progress: Progress, now: datetime) -> str:
    """What a list says of a review beside its deadline: doubtful evidence, votes, who has it, half of its time over."""
    from dojang.flags import flags_of

    _ = gettext
    holds = flags_of(review, progress, now)
    told = [_("untrusted source")] if "untrusted" in holds else []
    if review["votes_needed"] > 1:
        told.append(f"{len(progress['votes'])}/{review['votes_needed']}")
    if progress["claim"] is not None and "claimed" in holds:
        told.append(_("claimed by {who}").format(who=progress["claim"]["by"]))
    if "escalated" in holds:
        told.append(_("half the time is over"))
    return ", ".join(told)


def tell_arguments(terminal: Terminal, action: Action) -> None:
    """The exact arguments as JSON values, so that 3 and "3" look different."""
    _ = terminal.gettext
    _title(terminal, _("What will run") if action["tool"] else _("The text"))
    if action["tool"]:
        terminal.line(_("{tool} (schema {version})").format(tool=action["tool"], version=action["schema_version"]))
    rows = [[f"  {name}", as_typed(value)] for name, value in action["args"].items()]
    if rows:
        terminal.rows(rows)
    else:
        terminal.line("  " + _("no arguments"))


def as_typed(value: JSON) -> str:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False)


def _why(terminal: Terminal, review: Review) -> None:
    _ = terminal.gettext
    terminal.line(_("digest {digest}").format(digest=review["digest"]))
    _title(terminal, _("Why a person is asked"))
    rows = [
        [
            f"  {reason['rule_id']}",
            word(_, SEVERITIES, reason["severity"]),
            _("hard") if reason["hard"] else _("soft"),
            reason["text"],
        ]
        for reason in review["why"]
    ]
    terminal.rows(rows, head=["  " + _("rule"), _("severity"), _("binding"), _("text")])


def _report(terminal: Terminal, card: ReviewCard) -> None:
    if card.report is None:
        return
    from dojang.cli.adapters_gate import tell_report

    _title(terminal, terminal.gettext("What the gate found"))
    tell_report(terminal, card.report)


def _evidence(terminal: Terminal, card: ReviewCard) -> None:
    _ = terminal.gettext
    if not card.review["evidence"]:
        return
    _title(terminal, _("Evidence"))
    texts = {passage["id"]: passage["text"] for passage in card.passages}
    signs = {passage["id"]: passage.get("flags", []) for passage in card.passages}
    for ref in card.review["evidence"]:
        terminal.line("  " + _place(terminal, ref))
        text = " ".join(texts.get(ref["id"], "").split())
        if text:
            clipped = text if len(text) <= SHOWN_EVIDENCE else text[: SHOWN_EVIDENCE - 1] + "…"
            terminal.line(f"    “{clipped}”", style="dim")
        if found := signs.get(ref["id"]):
            words = ", ".join(word(_, FLAGS, name) for name in found)
            terminal.line(
                "    " + _("speaks to the model (a weak sign): {signs}").format(signs=words), style="bold red"
            )


def _place(terminal: Terminal, ref: PassageRef) -> str:
    _ = terminal.gettext
    scores = ", ".join(f"{name} {score:.3f}" for name, score in ref["scores"].items())
    trust = _("trusted") if ref["trust"] == "trusted" else _("untrusted")
    return _("{document}, characters {start}–{end} ({scores}; {trust})").format(
        document=ref["document"], start=ref["start"], end=ref["end"], scores=scores, trust=trust
    )


def _conversation(terminal: Terminal, card: ReviewCard) -> None:
    _title(terminal, terminal.gettext("Conversation"))
    tell_conversation(terminal, card.conversation)


def tell_conversation(terminal: Terminal, lines: list[dict[str, str]]) -> None:
    """Who said what, oldest first."""
    for line in lines:
        terminal.line(f"  {word(terminal.gettext, SPEAKERS, line['role'])}: {line['text']}")
