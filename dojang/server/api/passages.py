"""Passages: the pieces of documents that are found and cited, and what people correct in them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, ConfigDict, Field

from dojang.server.access.callers import workspace_of
from dojang.server.access.owning import sees
from dojang.server.api.documents import VersionModel
from dojang.server.api.paging import Cursor, Limit, Page, Word, key_of, page_of, utf8
from dojang.server.api.problems import BAD, NO_ID, Unknown, problems
from dojang.server.models import PASSAGE, Model, PassageModel
from dojang.server.programs import ProgramRoute
from dojang.workspace import Workspace
from state import Passage

router = APIRouter(tags=["documents"], route_class=ProgramRoute, responses=BAD)
_CITED: dict[str, Any] = {
    "passage": "p_1a", "thread_id": "th_9f3c1a2b4d", "message": "ai-7", "n": 1, "start": 120, "end": 136,
}  # fmt: skip


class CitedModel(Model):
    """A citation in an answer; offsets are those of the document then."""

    passage: str
    thread_id: str
    message: str
    n: int
    start: int
    end: int


class PassageCard(Model):
    """A passage with its versions, and the answers that relied on any of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"passage": PASSAGE, "versions": [], "cited": [_CITED], "cited_elsewhere": 0}]},
    )

    passage: PassageModel
    versions: list[VersionModel] = Field(description="oldest first; empty where it was never corrected")
    cited: list[CitedModel] = Field(description="in threads that you may see")
    cited_elsewhere: int = Field(description="how often in threads of others")


class CorrectionIn(Model):
    """What a passage is to say, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "취소는 5일 전까지 합니다.", "reason": "the rule of November"}]},
    )

    text: Annotated[str, AfterValidator(utf8)] = Field(min_length=1, max_length=20_000)
    reason: Word = Field("", max_length=2_000)


class UndoIn(Model):
    """Why a correction is taken back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "it was right before"}]})

    reason: Word = Field("", max_length=2_000)


@router.get("/passages", response_model=Page[PassageModel], responses=NO_ID)
def list_passages(
    request: Request,
    document: Annotated[str, Query(min_length=1, max_length=500, description="of this document")],
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Any:
    """The passages of a document, in their order, as they are found now."""
    key = key_of(request, cursor, int, str)
    after = (key[0], key[1]) if key is not None else (-1, "")
    rows = workspace_of(request).passages_of(document, after=after, limit=limit + 1)
    return page_of(request, rows, limit, lambda row: [row["start"], row["id"]])


@router.get("/passages/{passage_id}", response_model=PassageCard, responses=NO_ID)
def show_passage(request: Request, passage_id: str) -> Any:
    """A passage, old versions too, with what was changed in it, and where it was cited."""
    workspace = workspace_of(request)
    passage = _named(workspace, passage_id)
    cited = workspace.cited(passage_id)
    mine = [one for one in cited if sees(request, one["thread_id"])]
    versions = workspace.versions(passage_id)
    return {"passage": passage, "versions": versions, "cited": mine, "cited_elsewhere": len(cited) - len(mine)}


_CORRECTING = {**NO_ID, **problems(s409="somebody corrected it first: look at the newest version")}


@router.post("/passages/{passage_id}/corrections", response_model=PassageModel, responses=_CORRECTING)
def correct_passage(request: Request, passage_id: str, body: CorrectionIn) -> Any:
    """Write a new version, in your name; the old one stays readable and is no longer found."""
    workspace = workspace_of(request)
    _named(workspace, passage_id)
    return workspace.correct(passage_id, body.text, reason=body.reason)


@router.post("/passages/{passage_id}/undo", response_model=PassageModel, responses=_CORRECTING)
def undo_correction(request: Request, passage_id: str, body: UndoIn) -> Any:
    """Put a passage back to what it said before its last correction, as a new version."""
    workspace = workspace_of(request)
    _named(workspace, passage_id)
    return workspace.undo_correction(passage_id, reason=body.reason)


def _named(workspace: Workspace, passage_id: str) -> Passage:
    found = workspace.passages([passage_id])
    if not found:
        raise Unknown(f"there is no passage {passage_id[:200]!r} any more; its document was changed or taken out")
    return found[0]
