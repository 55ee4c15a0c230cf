"""One passage: what it says, who changed it, which answers cited it; and correcting it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.glossary import VERSIONS
from dojang.server.access.owning import sees
from dojang.server.access.roles import ASK
from dojang.server.console.addresses import document_href, passage_href, thread_href
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.differing import Piece, pieces_of
from dojang.server.console.evidence import place_of, signs_of
from dojang.server.console.marked import spans
from dojang.server.console.terms import term
from dojang.workspace import UnknownReview
from state import Conflict, Passage, UserError

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


class UnknownPassage(UnknownReview):
    """There is no passage with this id (any more)."""


@router.get("/passages/{passage_id}")
def passage(desk: AtDesk, passage_id: str, start: int = 0, end: int = 0) -> Response:
    """One passage; [start, end) counts in the document and is marked."""
    return _page(desk, _named(desk, passage_id), start=start, end=end)


def _page(
    desk: Desk, p: Passage, *, start: int = 0, end: int = 0, status: int = 200, error: str = "", **held: str
) -> HTMLResponse:
    workspace = desk.workspace
    versions = workspace.versions(p["id"])
    cited = workspace.cited(p["id"])
    mine = [one for one in cited if sees(desk.request, one["thread_id"])]
    newest = next((v["passage"] for v in reversed(versions) if v["passage"]), p["id"])
    context: dict[str, Any] = {
        "passage": p,
        "segments": spans(p["text"], start - p["start"], end - p["start"]),
        "place": place_of(p, desk.say),
        "signs": signs_of(p, desk.say),
        "document": document_href(p["document"]),
        "versions": [(v, term(desk.say, VERSIONS, v["kind"]), _changed(v)) for v in reversed(versions)],
        "newest": passage_href(newest, 0, 0) if newest != p["id"] else "",
        "cited": [(one, thread_href(one["thread_id"])) for one in mine],
        "elsewhere": len(cited) - len(mine),
        "corrects": workspace.settings.store == "postgres" and desk.caller is not None and desk.caller.may(ASK),
        "can_undo": bool(versions) and newest == p["id"],
        "text": held.get("text", p["text"]),
        "reason": held.get("reason", ""),
        "held": bool(held),
        "error": desk.say.told(error),
    }
    return desk.page("documents/passage.html", section="documents", status=status, **context)


def _changed(version: Mapping[str, Any]) -> list[Piece]:
    return pieces_of(version["old_text"], version["text"]) if version["text"] else []


@router.post("/passages/{passage_id}/corrections")
def correct(desk: AtDesk, passage_id: str, form: Form) -> Response:
    """Show what a correction changes; then, once it was confirmed, write it as a new version."""
    p = _named(desk, passage_id)
    text, reason = form.get("text", "").replace("\r\n", "\n").strip(), form.get("reason", "").strip()
    if not text or text == p["text"].strip():
        why = "the correction is empty" if not text else "nothing was changed: change something, or go back"
        return _page(desk, p, status=400, error=why, text=text, reason=reason)
    if form.get("confirmed") != "yes":
        context: dict[str, Any] = {
            "passage": p,
            "pieces_list": pieces_of(p["text"], text),
            "text": text,
            "reason": reason,
        }
        back = passage_href(p["id"], 0, 0)
        return desk.page("documents/correct.html", section="documents", back=back, **context)
    try:
        made = desk.workspace.correct(passage_id, text, reason=reason)
    except UserError as refused:
        status = 409 if isinstance(refused, Conflict) else 400
        return _page(desk, p, status=status, error=str(refused), text=text, reason=reason)
    return RedirectResponse(passage_href(made["id"], 0, 0), status_code=303)


@router.post("/passages/{passage_id}/undo")
def undo(desk: AtDesk, passage_id: str, form: Form) -> Response:
    """Put a passage back to what it said before its last correction, as a new version."""
    p = _named(desk, passage_id)
    try:
        made = desk.workspace.undo_correction(passage_id, reason=form.get("reason", "").strip())
    except UserError as refused:
        return _page(desk, p, status=409 if isinstance(refused, Conflict) else 400, error=str(refused))
    return RedirectResponse(passage_href(made["id"], 0, 0), status_code=303)


def _named(desk: Desk, passage_id: str) -> Passage:
    found = desk.workspace.passages([passage_id])
    if not found:
        gone = desk.say(
            "There is no passage %(id)s any more; its document was changed or taken out.", id=passage_id
        ).unescape()
        raise UnknownPassage(gone)
    return found[0]
