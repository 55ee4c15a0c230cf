"""Reads a decision from the console's form, records it, and shows who was first where somebody was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.results import ReviewCard
from dojang.server.console.addresses import review_href, thread_href
from dojang.server.console.arguments import differences
from dojang.server.console.checks import draw
from dojang.server.console.desk import AtDesk, Desk, Form, dwell_ms
from dojang.server.console.editing import edit_of
from dojang.server.console.inbox import listed
from dojang.server.console.item import Around, item_of
from dojang.server.console.reviews import review_page
from dojang.server.console.stamp import stamp_of
from dojang.server.console.talking import rule
from dojang.server.console.thread import IN_THREAD
from dojang.server.wording import CHIPS
from nodes.wire import StaleDecision
from state import TOP_TIER, Conflict, PassingFault, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
ID: Final = re.compile(r"rv_[0-9a-f]{1,64}")


@router.post("/reviews/{review_id}/decision")
def decide(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Take a decision from the bar."""
    return take_decision(desk, review_id, form)


@router.post("/reviews/{review_id}/undo")
def undo(desk: AtDesk, review_id: str, form: Form) -> Response:
    """Take back one's decision or vote."""
    return take_back(desk, review_id)


def take_back(desk: Desk, review_id: str) -> Response:
    """Undo: 303 to the review, which is open again; 409 when it is too late."""
    try:
        desk.workspace.undo(review_id)
    except UserError as error:
        status = 409 if isinstance(error, Conflict) else 400
        return review_page(desk, desk.workspace.show(review_id), status=status, error=str(error))
    return RedirectResponse(review_href(review_id, desk.chosen.query), status_code=303)


def take_decision(desk: Desk, review_id: str, form: Mapping[str, str]) -> Response:
    """Record what the form says: 303 to the review, 409 when it is too late, 400 when something is amiss."""
    card = desk.workspace.show(review_id)
    if form.get("digest") != card.review["digest"]:
        return _refused(desk, card, form)
    try:
        said = _said(desk, card, form)
        if isinstance(said, Response):
            return said
        if form.get("next") == IN_THREAD:
            rule(desk, review_id, said)
        else:
            result = desk.workspace.decide(review_id, said, channel="console")
            desk.request.app.state.keeper.remind(result.decision)
    except UserError as error:
        card = desk.workspace.show(review_id)
        if card.decision is not None or isinstance(error, StaleDecision):
            return _refused(desk, card, form)
        status = 409 if isinstance(error, Conflict) else 400
        return review_page(desk, card, status=status, error=str(error), form=form)
    except PassingFault as error:  # the run may have stopped after the decision was recorded: show what is true
        return review_page(desk, desk.workspace.show(review_id), status=503, error=str(error), form=form)
    draw(desk)
    return RedirectResponse(onward(desk, review_id, form), status_code=303)


def onward(desk: Desk, review_id: str, form: Mapping[str, str]) -> str:
    """Where it goes on: the item that the page named as the next one, which says what was done; else the same one."""
    following, query = form.get("next", ""), desk.chosen.query
    if following == IN_THREAD and (thread_id := desk.workspace.parts.index.locate(review_id)) is not None:
        return thread_href(thread_id) + "?" + urlencode({"said": review_id}) + "#now"
    if not ID.fullmatch(following):
        return review_href(review_id, query)
    return review_href(following, "&".join(part for part in (query, urlencode({"said": review_id})) if part))


class NotYet(UserError):
    """The form lacks something that the page asks for."""


def _said(desk: Desk, card: ReviewCard, form: Mapping[str, str]) -> dict[str, Any] | Response:
    """The decision in our wire form, or the page that shows an edit before it is sent."""
    review, kind = card.review, form.get("type", "")
    said: dict[str, Any] = {"type": kind, "digest": form["digest"], "dwell_ms": dwell_ms(form)}
    note = form.get("note", "").replace("\r\n", "\n").strip()
    if kind == "reject":
        chip = form.get("chip", "")
        if chip and chip not in CHIPS:
            raise NotYet(desk.say("choose one of the reasons").unescape())
        return {**said, "reason": ": ".join(part for part in (chip, note) if part), "message": note}
    if kind == "answer":
        return {**said, "message": form.get("message", "").replace("\r\n", "\n").strip()}
    if kind == "approve" and review["tier"] >= TOP_TIER and form.get("confirm") != "yes":
        raise NotYet(desk.say("tick the box to confirm: this decision is of the highest tier").unescape())
    if kind in ("approve", "edit"):
        said["reason"] = form.get("reason", "").replace("\r\n", "\n").strip()
    if kind == "edit" and card.decision is None:
        return _edit(desk, card, form, said)
    return said


@router.post("/reviews/{review_id}/changes")
def changes(desk: AtDesk, review_id: str, form: Form) -> Response:
    """What an edit changes, while it is being written: a part of the page. Records nothing."""
    review = desk.workspace.review(review_id)
    edit = edit_of(desk.workspace.toolbox_of(review), review, form, desk.say)
    told = [desk.say.told(problem) for problem in edit.problems]
    made = {"changes": differences(review["action"]["args"], edit.args), "problems": told, "seen": edit.seen}
    return HTMLResponse(desk.part("item/_changes.html", **made))


def _edit(desk: Desk, card: ReviewCard, form: Mapping[str, str], said: dict[str, Any]) -> dict[str, Any] | Response:
    card = replace(card, review=desk.read(card.review))
    review = card.review
    edit = edit_of(desk.workspace.toolbox_of(review), review, form, desk.say)
    if edit.problems:
        raise NotYet("; ".join(map(desk.say.told, edit.problems)))
    if form.get("confirmed") == "yes" and form.get("seen", "") in ("", edit.seen):
        return {**said, "edited_args": edit.args}
    carried = {"type": "edit", "confirmed": "yes", "digest": review["digest"], "shown": form.get("shown", "")}
    carried |= {"next": form["next"]} if form.get("next") else {}
    carried |= {"seen": edit.seen, **{f.key: form[f.key] for f in edit.fields}}
    shown = differences(review["action"]["args"], edit.args)
    item = item_of(card, Around(query=desk.chosen.query), desk.say, desk.now)
    return desk.page(
        "item/edit.html", item=item, changes=shown, carried=carried, section="inbox", **listed(desk, desk.chosen)
    )


def _refused(desk: Desk, card: ReviewCard, form: Mapping[str, str]) -> HTMLResponse:
    """409: who decided what and when, and what this person had typed."""
    review = desk.read(card.review)
    words = [form.get(name, "") for name in ("message", "note", "reason")]
    words += [value for key, value in form.items() if key.startswith("arg.")]
    return desk.page(
        "item/conflict.html",
        status=409,
        href=review_href(card.review["id"]),
        summary=review["question"] or review["summary"],
        stamp=stamp_of(card.decision, desk.say) if card.decision else None,
        typed=[word for word in words if word.strip()],
        section="inbox",
        **listed(desk, desk.chosen),
    )
