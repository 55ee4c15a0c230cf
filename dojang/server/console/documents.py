"""Documents: what was read in, what is found in it, one document with its passages, its trust, and taking it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dojang.server.access.roles import ASK, CURATE
from dojang.server.console.addresses import document_href, passage_href
from dojang.server.console.desk import AtDesk, Desk, Form
from dojang.server.console.evidence import closest_sentence, place_of, signs_of
from dojang.server.console.marked import Segment, spans
from state import Passage, Trust, UserError
from store import DocumentRow, UnknownDocument

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
PASSAGES: Final = 50  # of a document on one page
FOUND: Final = 10
FILTERS: Final = ("document", "language", "trust", "format")
Word = Annotated[str, Query(max_length=500)]


@dataclass(frozen=True)
class Hit:
    """A passage that was found."""

    href: str
    title: str
    document: str
    segments: list[Segment]
    place: str
    trust: str
    signs: str
    scores: list[tuple[str, str, int]]  # which half, its score, and that as a share of the best one, in per cent


@router.get("/documents")
def documents(
    desk: AtDesk,
    q: Annotated[str, Query(max_length=1000)] = "",
    document: Word = "",
    language: Word = "",
    trust: Word = "",
    fmt: Annotated[str, Query(alias="format", max_length=20)] = "",
) -> Response:
    """What has been ingested; with ``q``, the passages that match, as the agent would find them."""
    asked = dict(zip(FILTERS, (document, language, trust, fmt), strict=True))
    return listing(desk, q=q, filters={key: value for key, value in asked.items() if value})


def listing(
    desk: Desk, *, q: str = "", filters: dict[str, str] | None = None, status: int = 200, **told: Any
) -> HTMLResponse:
    """The page of all documents. ``told``: what became of files that were sent."""
    found, error = [], told.pop("error", "")
    if q.strip():
        try:
            found = desk.workspace.search(q, k=FOUND, filters=filters or None)
        except UserError as refused:
            status, error = 400, str(refused)
    rows = desk.workspace.documents()
    context: dict[str, Any] = {
        "rows": [(row, document_href(row["name"])) for row in rows],
        "q": q,
        "filters": {key: (filters or {}).get(key, "") for key in FILTERS},
        "formats": sorted({row["format"] for row in rows}),
        "hits": hits_of(desk, found, q),
        "stale": sum(row["stale"] for row in rows),
        "curates": curates(desk),
        "limit": desk.request.app.state.uploads.limit_bytes,
        "refused": [],
        **told,
        "error": desk.say.told(error),
    }
    return desk.page("documents/documents.html", section="documents", status=status, **context)


def hits_of(desk: Desk, found: list[Passage], q: str) -> list[Hit]:
    """Passages with the sentence that matches best, and how each half of the search saw them."""
    best = {name: max((p["scores"].get(name, 0.0) for p in found), default=0.0) for name in ("fused", *HALVES)}
    return [_hit(desk, p, q, best) for p in found]


HALVES: Final = ("vector", "lexical")


def _hit(desk: Desk, p: Passage, q: str, best: dict[str, float]) -> Hit:
    start, end = closest_sentence(p, q)
    scores = []
    for name in (*HALVES, "fused"):
        value = p["scores"].get(name)
        share = round(100 * value / best[name]) if value is not None and best[name] > 0 else 0
        scores.append((name, f"{value:.3f}" if value is not None else "–", max(0, min(100, share))))
    return Hit(
        href=passage_href(p["id"], p["start"] + start, p["start"] + end),
        title=p["title"] or p["document"],
        document=p["document"],
        segments=spans(p["text"], start, end),
        place=place_of(p, desk.say),
        trust=p["trust"],
        signs=signs_of(p, desk.say),
        scores=scores,
    )


@router.get("/documents/{name:path}")
def document(
    desk: AtDesk,
    name: str,
    start: Annotated[int, Query(ge=-1)] = -1,
    after: Annotated[str, Query(max_length=200)] = "",
    delete: str = "",
) -> Response:
    """One document: its passages, what was corrected in it, its trust; with ``delete``, the question before that."""
    return _document(desk, name, after=(start, after), asks=bool(delete) and curates(desk))


def _document(
    desk: Desk, name: str, *, after: tuple[int, str] = (-1, ""), asks: bool = False, status: int = 200, error: str = ""
) -> HTMLResponse:
    row = named(desk, name)
    kept = desk.workspace.settings.store == "postgres"
    found = desk.workspace.passages_of(name, after=after, limit=PASSAGES + 1) if kept else []
    page = found[:PASSAGES]
    context: dict[str, Any] = {
        "row": row,
        "href": document_href(name),
        "passages": [(p, passage_href(p["id"], 0, 0), place_of(p, desk.say), signs_of(p, desk.say)) for p in page],
        "kept": kept,
        "more": document_href(name, start=page[-1]["start"], after=page[-1]["id"]) if len(found) > PASSAGES else "",
        "versions": desk.workspace.document_history(name)[::-1],
        "curates": curates(desk),
        "corrects": desk.caller is not None and desk.caller.may(ASK),
        "asks": asks,
        "error": desk.say.told(error),
    }
    return desk.page("documents/document.html", section="documents", status=status, **context)


@router.post("/documents/{name:path}")
def change(desk: AtDesk, name: str, form: Form) -> Response:
    """Say whether a document is trusted, or take it out, once that was confirmed."""
    named(desk, name)
    workspace, what = desk.workspace, form.get("do", "")
    if what == "delete" and form.get("confirmed") == "yes":
        workspace.delete(name)
        return RedirectResponse("/documents", status_code=303)
    if what == "delete":
        return _document(desk, name, asks=True)
    if what != "trust" or form.get("trust") not in ("trusted", "untrusted"):
        return _document(desk, name, status=400, error="the form could not be read; open the page again")
    said: Trust = "trusted" if form["trust"] == "trusted" else "untrusted"
    try:
        workspace.set_trust(name, said, reason=form.get("reason", "").strip())
    except UserError as refused:
        return _document(desk, name, status=400, error=str(refused))
    return RedirectResponse(document_href(name), status_code=303)


def named(desk: Desk, name: str) -> DocumentRow:
    """The document of this name; raises UnknownDocument."""
    found = next((row for row in desk.workspace.documents() if row["name"] == name), None)
    if found is None:
        raise UnknownDocument(f"there is no document {name[:200]}: see the list of documents for the names")
    return found


def curates(desk: Desk) -> bool:
    """Whether this person sends documents and takes them out."""
    return desk.caller is not None and desk.caller.may(CURATE)
