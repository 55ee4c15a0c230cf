"""Seeded checks as pages: the setting and the cards for whoever oversees, and what whoever decided one is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.checks import RIGHTS, Card, Checked, new_card
from dojang.seeding import CHANGED, Written, fields_of, seed_perhaps, went
from dojang.server.console.arguments import Argument, arguments_of
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.jobs import TooBusy, jobs_of
from dojang.server.console.told import rights, told_of
from dojang.server.wording import Say
from dojang.vocabulary import SAID
from state import DojangError, UserError

if TYPE_CHECKING:
    from dojang.workspace import Workspace

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
log = logging.getLogger(__name__)
PAGE: Final = "/shift/checks"
EMPTY: Final = {"text": "", "asked_by": "", "tool": "", "args": "{}", "right": "", "why": ""}


@dataclass(frozen=True)
class Shown:
    """A card of the deck. ``seen``, ``of``: how often it was decided rightly, and at all."""

    card: Card
    arguments: list[Argument]
    right: str
    seen: int
    of: int


def draw(desk: Desk) -> None:
    """After a decision: perhaps a check is put between the reviews, behind the page."""
    workspace: Workspace = desk.request.app.state.workspace
    if not workspace.parts.checks.deck().every:
        return
    try:
        jobs_of(desk.request).begin("check", "", desk.now, lambda tell: _drawn(workspace))
    except TooBusy:
        return


def _drawn(workspace: Workspace) -> None:
    try:
        seed_perhaps(workspace)
    except DojangError as error:
        log.warning("no check was put in: %s", error)


@router.get(PAGE)
def checks(desk: AtDesk) -> Response:
    """The setting, the cards, how they went. ``from``: a decided review to make a card of."""
    return _page(desk, held=_of_review(desk, desk.request.query_params.get("from", "")))


def _of_review(desk: Desk, review_id: str) -> dict[str, str]:
    if not review_id:
        return {}
    card = desk.workspace.show(review_id)
    action, said = card.review["action"], card.decision
    asked = next((line["text"] for line in reversed(card.conversation) if line["role"] == "user"), "")
    return {
        "text": asked,
        "tool": action["tool"],
        "args": json.dumps(action["args"], ensure_ascii=False, indent=2),
        "right": said["type"] if said is not None and said["type"] in RIGHTS else "",
        "why": said["reason"] if said is not None else "",
    }


def _page(desk: Desk, *, status: int = 200, error: str = "", held: Mapping[str, str] | None = None) -> HTMLResponse:
    workspace = desk.workspace
    files = workspace.parts.checks
    deck = files.deck()
    workspace.parts.index.refresh()
    over = [one for seeded in files.all() if (one := went(workspace, seeded)) is not None and one.final]
    tools = [tool["name"] for tool in workspace.parts.describer().offered() if tool["effect_class"] != "read"]
    context: dict[str, Any] = {
        "every": deck.every,
        "cards": [_shown(card, over, desk.say) for card in deck.cards],
        "over": [told_of(one, desk.say) for one in reversed(over)][:50],
        "tools": tools,
        "rights": [(kind, desk.say(SAID[kind]).unescape()) for kind in RIGHTS],
        "held": {**EMPTY, **(held or {})},
        "open": bool(held),
        "error": desk.say.told(error),
    }
    return desk.page("shift/checks.html", section="shift", status=status, **context)


def _shown(card: Card, over: Sequence[Checked], say: Say) -> Shown:
    mine = [one for one in over if one.seeded.card.id == card.id and one.result != "nobody"]
    return Shown(
        card, arguments_of(card.args, None), rights(card.right, say), sum(o.result == "seen" for o in mine), len(mine)
    )


@router.post(PAGE)
def setting(desk: AtDesk, form: Form) -> Response:
    """After how many decisions a check comes, on average; 0 for never."""
    said = form.get("every", "")
    try:
        if not (said.isascii() and said.isdigit() and len(said) < 6):
            raise UserError(f"a check comes after a number of decisions, not after {said[:40]!r}")
        deck = desk.workspace.parts.checks.set_every(int(said))
    except UserError as error:
        return _page(desk, status=400, error=str(error))
    desk.workspace.parts.audit.note(None, CHANGED, desk.workspace.user, "checks", {"every": deck.every})
    return RedirectResponse(PAGE, status_code=303)


@router.post(PAGE + "/cards")
def add(desk: AtDesk, form: Form) -> Response:
    """Write a card; refused with what was typed where it would be no check."""
    right = [kind for kind in RIGHTS if form.get(f"right.{kind}") == "yes"]
    try:
        args = _arguments(form.get("args", ""))
        written = Written(
            form.get("text", "").replace("\r\n", "\n"), form.get("asked_by", ""), form.get("tool", ""), args, right,
            form.get("why", ""),
        )  # fmt: skip
        fields = fields_of(desk.workspace, written, people=_people(desk))
        card = new_card(fields, desk.workspace.user, desk.now)
        desk.workspace.parts.checks.add(card)
    except UserError as error:
        return _page(desk, status=400, error=str(error), held={**form, "right": " ".join(right)})
    facts: dict[str, Any] = {"card": card.id, "tool": card.tool, "right": list(card.right)}
    desk.workspace.parts.audit.note(None, CHANGED, desk.workspace.user, "checks", facts)
    return RedirectResponse(PAGE + "#cards", status_code=303)


@router.post(PAGE + "/cards/{card_id}/remove")
def remove(desk: AtDesk, card_id: str, form: Form) -> Response:
    """Take a card out of the deck."""
    try:
        card = desk.workspace.parts.checks.remove(card_id)
    except UserError as error:
        return _page(desk, status=404, error=str(error))
    desk.workspace.parts.audit.note(None, CHANGED, desk.workspace.user, "checks", {"removed": card.id})
    return RedirectResponse(PAGE + "#cards", status_code=303)


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError("the arguments are not one JSON object")
    return found


def _people(desk: Desk) -> list[str]:
    """Names that are somebody's: nobody is said to have asked for what they did not."""
    tokens = desk.request.app.state.doorkeeper.tokens
    return [desk.workspace.settings.user, *(token.name for token in tokens.all())]
